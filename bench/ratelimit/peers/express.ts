import type { Options } from 'express-rate-limit'
import { type RedisReply, RedisStore } from 'rate-limit-redis'
import { type Open, only } from '../subject.js'
import { openCluster } from './cluster.js'

/** The store of the middleware, which calls `increment` and compares. */
export const open: Open = async (place, limits) => {
  const { limit, windowMs } = only(limits)
  const cluster = await openCluster(place)
  const store = new RedisStore({
    prefix: `${place.prefix}:`,
    // Scripts have no key: each primary has to be told of them.
    sendCommandCluster: async ({ command: [name = '', ...args] }) => {
      if (name !== 'SCRIPT') return (await cluster.call(name, ...args)) as RedisReply
      const [sha1] = await Promise.all(cluster.nodes('master').map((node) => node.call(name, ...args)))
      return sha1 as RedisReply
    },
  })
  // Of its options the store reads this one.
  await store.init({ windowMs } as Options)
  return {
    hasCosts: false,
    take: async (id) => (await store.increment(id)).totalHits <= limit,
    keysOf: (id) => [`${place.prefix}:${id}`],
    close: async () => cluster.disconnect(),
  }
}
