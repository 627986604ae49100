import KeyvRedis, { createCluster, Keyv } from '@keyv/redis'
import { createCache } from 'cache-manager'
import type { Open, Value } from '../subject.js'
import { TTL_MS } from '../subject.js'

export const open: Open = async ({ nodes, prefix }) => {
  const cluster = createCluster({ rootNodes: nodes.map((socket) => ({ socket })) })
  const store = new KeyvRedis(cluster, { namespace: prefix })
  const keyv = new Keyv({ store, namespace: prefix, useKeyPrefix: false })
  for (const emitter of [cluster, store, keyv]) emitter.on('error', () => {})
  const cache = createCache({ stores: [keyv], ttl: TTL_MS })
  await store.getClient()
  return {
    read: (id, load) => cache.wrap<Value>(id, load),
    remove: (id) => cache.del(id),
    removeMany: (ids) => cache.mdel([...ids]),
    removeAll: () => cache.clear(),
    close: async () => cluster.destroy(),
  }
}
