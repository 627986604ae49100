import { fileURLToPath } from 'node:url'

const file = (name) => fileURLToPath(new URL(name, import.meta.url))

export default {
  cacheComponents: true,
  cacheHandler: file('../cache-handler.mjs'),
  cacheMaxMemorySize: 0,
  cacheHandlers: { default: file('../use-cache.mjs'), remote: file('../use-cache.mjs') },
  experimental: { cpus: 1 },
  turbopack: { root: file('..') },
}
