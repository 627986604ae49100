import { type Cache, type CacheEntry, cachified, totalTtl } from '@epic-web/cachified'
import { Cluster } from 'ioredis'
import type { Open, Value } from '../subject.js'
import { TTL_MS } from '../subject.js'

/** It brings no store: this is the one its README would have one write, over a cluster. */
export const open: Open = async ({ nodes, prefix }) => {
  const cluster = new Cluster([...nodes])
  cluster.on('error', () => {})
  await new Promise<void>((resolve) => cluster.once('ready', () => resolve()))
  const cache: Cache = {
    name: prefix,
    get: async (key) => {
      const text = await cluster.get(`${prefix}:${key}`)
      return text === null ? null : (JSON.parse(text) as CacheEntry)
    },
    set: (key, entry) =>
      cluster.set(`${prefix}:${key}`, JSON.stringify(entry), 'PX', totalTtl(entry.metadata)),
    delete: (key) => cluster.del(`${prefix}:${key}`),
  }
  return {
    read: (key, load) => cachified<Value>({ key, cache, ttl: TTL_MS, getFreshValue: load }),
    remove: async (key) => cache.delete(key),
    close: async () => cluster.disconnect(),
  }
}
