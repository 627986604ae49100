import KeyvRedis, { createCluster, Keyv } from '@keyv/redis'
import { Cacheable } from 'cacheable'
import type { Open, Value } from '../subject.js'
import { TTL_MS } from '../subject.js'

/** With the settings that its README gives against hanging on Redis; `nonBlocking` needs a second level. */
export const open: Open = async ({ nodes, prefix }) => {
  const cluster = createCluster({
    rootNodes: nodes.map((socket) => ({ socket })),
    defaults: { disableOfflineQueue: true, socket: { reconnectStrategy: false } },
  })
  const store = new KeyvRedis(cluster, { namespace: prefix, throwOnConnectError: false })
  const primary = new Keyv({ store, namespace: prefix, useKeyPrefix: false })
  const cache = new Cacheable({ primary, ttl: TTL_MS })
  for (const emitter of [cluster, store, primary, cache]) emitter.on('error', () => {})
  await store.getClient()
  return {
    read: async (id, load) => (await cache.getOrSet<Value>(id, load)) ?? (await load()),
    remove: (id) => cache.delete(id),
    removeMany: (ids) => cache.deleteMany([...ids]),
    removeAll: () => cache.clear(),
    close: async () => cluster.destroy(),
  }
}
