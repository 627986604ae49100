import { Cluster, type Redis } from 'ioredis'
import { Loader, RedisCache } from 'layered-loader'
import type { Load, Open, Value } from '../subject.js'
import { TTL_MS } from '../subject.js'

/** It is declared for one server, and documented for whatever has the same methods. */
const asServer = (cluster: object): Redis => cluster as Redis

export const open: Open = async ({ nodes, prefix }) => {
  const cluster = new Cluster([...nodes])
  cluster.on('error', () => {})
  await new Promise<void>((resolve) => cluster.once('ready', () => resolve()))
  const asyncCache = new RedisCache<Value>(asServer(cluster), {
    json: true,
    prefix,
    ttlInMsecs: TTL_MS,
  })
  const loader = new Loader<Value, { readonly id: string; readonly load: Load }>({
    asyncCache,
    cacheKeyFromLoadParamsResolver: ({ id }) => id,
    dataSourceGetOneFn: ({ load }) => load(),
  })
  return {
    read: async (id, load) => (await loader.get({ id, load })) ?? (await load()),
    remove: (id) => loader.invalidateCacheFor(id),
    removeMany: (ids) => loader.invalidateCacheForMany([...ids]),
    removeAll: () => loader.invalidateCache(),
    close: async () => cluster.disconnect(),
  }
}
