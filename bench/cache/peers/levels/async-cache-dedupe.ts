import { createCache } from 'async-cache-dedupe'
import { Cluster, type Redis } from 'ioredis'
import type { OpenLevels } from '../../../invalidation/subject.js'
import { type Load, TTL_MS, type Value } from '../../subject.js'

/** Its level is memory or Redis; its tags are called references. */
export const open: OpenLevels = async ({ nodes, prefix }) => {
  const cluster = new Cluster([...nodes])
  cluster.on('error', () => {})
  await new Promise<void>((resolve) => cluster.once('ready', () => resolve()))
  // It is declared for one server, and documented for whatever is compatible.
  const client = cluster as unknown as Redis
  const loads = new Map<string, Load>()
  const reference = (tag: string) => `${prefix}:${tag}`
  const cache = createCache({
    ttl: TTL_MS / 1000,
    storage: { type: 'redis', options: { client, invalidation: { referencesTTL: TTL_MS / 1000 } } },
  }).define(
    'value',
    {
      references: ({ tag }: { id: string; tag: string }) => [reference(tag)],
      serialize: ({ id }: { id: string; tag: string }) => `${prefix}:${id}`,
    },
    async ({ id }: { id: string; tag: string }): Promise<Value> => {
      const load = loads.get(id)
      if (load === undefined) throw new Error(`nobody has said how to load ${id}`)
      return await load()
    },
  )
  return {
    read: (id, load, tag = 'none') => {
      loads.set(id, load)
      return cache.value({ id, tag })
    },
    remove: (id) => cache.clear('value', { id }),
    removeTag: (tag) => cache.invalidateAll([reference(tag)]),
  }
}
