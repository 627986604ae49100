import { Cache, type CacheOptions } from 'slotwise/cache'
import { connect } from 'slotwise/ioredis'
import type { Place, Subject, Value } from './subject.js'
import { TTL_MS } from './subject.js'

type Settings = Partial<Pick<CacheOptions, 'staleMs' | 'earlyRefresh'>>

const openWith =
  (settings: Settings) =>
  async ({ nodes, prefix }: Place): Promise<Subject> => {
    const port = await connect({ nodes: nodes.map(({ host, port: at }) => `${host}:${at}`) })
    const cache = new Cache<Value>(port, { name: prefix, ttlMs: TTL_MS, ...settings })
    return {
      read: (id, load) => cache.getOrLoad(id, load),
      remove: (id) => cache.invalidate(id),
      removeMany: (ids) => cache.invalidateMany(ids),
      removeAll: () => cache.invalidateAll(),
      close: async () => {
        await cache.close()
        await port.close()
      },
    }
  }

export const open = openWith({})
export const openStale = openWith({ staleMs: 60_000, earlyRefresh: 1 })
