import KeyvRedis, { createCluster, Keyv } from '@keyv/redis'
import { createCache } from 'cache-manager'
import { KeyvCacheableMemory } from 'cacheable'
import { MAX_ENTRIES, type OpenLevels } from '../../../invalidation/subject.js'
import { TTL_MS, type Value } from '../../subject.js'

/** Nothing tells its levels in memory of changes elsewhere. */
export const open: OpenLevels = async ({ nodes, prefix }) => {
  const cluster = createCluster({ rootNodes: nodes.map((socket) => ({ socket })) })
  const store = new KeyvRedis(cluster, { namespace: prefix })
  const second = new Keyv({ store, namespace: prefix, useKeyPrefix: false })
  for (const emitter of [cluster, store, second]) emitter.on('error', () => {})
  const first = new Keyv({ store: new KeyvCacheableMemory({ ttl: TTL_MS, lruSize: MAX_ENTRIES }) })
  const cache = createCache({ stores: [first, second], ttl: TTL_MS })
  await store.getClient()
  return { read: (id, load) => cache.wrap<Value>(id, load), remove: (id) => cache.del(id) }
}
