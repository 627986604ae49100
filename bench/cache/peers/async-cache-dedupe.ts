import { createCache } from 'async-cache-dedupe'
import { Cluster, type Redis } from 'ioredis'
import type { Load, Open, Value } from '../subject.js'
import { TTL_MS } from '../subject.js'

export const open: Open = async ({ nodes, prefix }) => {
  const cluster = new Cluster([...nodes])
  cluster.on('error', () => {})
  await new Promise<void>((resolve) => cluster.once('ready', () => resolve()))
  // It is declared for one server, and documented for whatever is compatible.
  const client = cluster as unknown as Redis
  const loads = new Map<string, Load>()
  const cache = createCache({
    ttl: TTL_MS / 1000,
    storage: { type: 'redis', options: { client, invalidation: { referencesTTL: TTL_MS / 1000 } } },
  }).define(
    'value',
    { references: (id: string) => [`${prefix}:${id}`], serialize: (id: string) => `${prefix}:${id}` },
    async (id: string): Promise<Value> => {
      const load = loads.get(id)
      if (load === undefined) throw new Error(`nobody has said how to load ${id}`)
      return await load()
    },
  )
  return {
    read: (id, load) => {
      loads.set(id, load)
      return cache.value(id)
    },
    remove: (id) => cache.clear('value', id),
    removeMany: (ids) => cache.invalidateAll(ids.map((id) => `${prefix}:${id}`)),
    removeAll: () => cache.clear('value'),
    close: async () => cluster.disconnect(),
  }
}
