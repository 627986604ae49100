import { fileURLToPath } from 'node:url'

const file = (name) => fileURLToPath(new URL(name, import.meta.url))

export default {
  cacheHandler: file('cache-handler.mjs'),
  cacheMaxMemorySize: 0,
  cacheHandlers: { default: file('use-cache.mjs'), remote: file('use-cache.mjs') },
  experimental: { useCache: true, cpus: 1 },
  turbopack: { root: file('.') },
}
