import { Cluster, type Redis } from 'ioredis'
import {
  createGroupNotificationPair,
  createNotificationPair,
  GroupLoader,
  Loader,
  RedisCache,
  RedisGroupCache,
} from 'layered-loader'
import { MAX_ENTRIES, type OpenLevels } from '../../../invalidation/subject.js'
import { type Load, TTL_MS, type Value } from '../../subject.js'

interface Wanted {
  readonly id: string
  readonly load: Load
}

const ttlInMsecs = TTL_MS
const common = {
  cacheKeyFromLoadParamsResolver: ({ id }: Wanted) => id,
}

/** What it has of tags are groups: each entry is in one, and another class of loader serves it. */
export const open: OpenLevels = async ({ nodes, prefix, bus }) => {
  const cluster = new Cluster([...nodes])
  cluster.on('error', () => {})
  await new Promise<void>((resolve) => cluster.once('ready', () => resolve()))
  // It is declared for one server, and documented for whatever has the same methods.
  const redis = cluster as object as Redis
  const pair = (channel: string) => ({
    channel: `${prefix}:${channel}`,
    consumerRedis: { ...bus[0] },
    publisherRedis: { ...bus[0] },
  })
  const single = createNotificationPair<Value>(pair('single'))
  const loader = new Loader<Value, Wanted>({
    ...common,
    inMemoryCache: { ttlInMsecs, maxItems: MAX_ENTRIES },
    asyncCache: new RedisCache<Value>(redis, { json: true, prefix, ttlInMsecs }),
    dataSourceGetOneFn: ({ load }) => load(),
    notificationConsumer: single.consumer,
    notificationPublisher: single.publisher,
  })
  const grouped = createGroupNotificationPair<Value>(pair('grouped'))
  const groups = new GroupLoader<Value, Wanted>({
    ...common,
    inMemoryCache: { ttlInMsecs, maxItemsPerGroup: MAX_ENTRIES },
    asyncCache: new RedisGroupCache<Value>(redis, { json: true, prefix: `${prefix}-groups`, ttlInMsecs }),
    dataSourceGetOneFn: ({ load }) => load(),
    notificationConsumer: grouped.consumer,
    notificationPublisher: grouped.publisher,
  })
  await Promise.all([loader.init(), groups.init()])
  return {
    read: async (id, load, tag) => {
      const wanted = { id, load }
      const value = await (tag === undefined ? loader.get(wanted) : groups.get(wanted, tag))
      return value ?? (await load())
    },
    remove: (id) => loader.invalidateCacheFor(id),
    removeTag: (tag) => groups.invalidateCacheForGroup(tag),
  }
}
