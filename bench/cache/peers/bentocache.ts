import { BentoCache, bentostore } from 'bentocache'
import { redisDriver } from 'bentocache/drivers/redis'
import { Cluster } from 'ioredis'
import type { Open, Value } from '../subject.js'
import { TTL_MS } from '../subject.js'

export const open: Open = async ({ nodes, prefix }) => {
  const connection = new Cluster([...nodes])
  connection.on('error', () => {})
  await new Promise<void>((resolve) => connection.once('ready', () => resolve()))
  const cache = new BentoCache({
    default: 'redis',
    ttl: TTL_MS,
    prefix,
    stores: { redis: bentostore().useL2Layer(redisDriver({ connection })) },
  })
  return {
    read: (key, factory) => cache.getOrSet<Value>({ key, factory }),
    remove: (key) => cache.delete({ key }),
    removeMany: (ids) => cache.deleteMany({ keys: [...ids] }),
    removeAll: () => cache.clear(),
    close: async () => connection.disconnect(),
  }
}
