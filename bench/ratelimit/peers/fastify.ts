import { createRequire } from 'node:module'
import type { Cluster } from 'ioredis'
import { type Open, only } from '../subject.js'
import { openCluster } from './cluster.js'

interface Counted {
  readonly current: number
  readonly ttl: number
}

interface Store {
  incr(
    key: string,
    done: (error: Error | null, counted: Counted | null) => void,
    windowMs: number,
    max: number,
  ): void
}

/** It has no types of its own: it is what the plugin makes when it is given `redis`. */
const RedisStore = createRequire(import.meta.url)('@fastify/rate-limit/store/RedisStore.js') as new (
  continueExceeding: boolean,
  exponentialBackoff: boolean,
  redis: Cluster,
  key: string,
) => Store

const openWith =
  ({ autopipelining = false } = {}): Open =>
  async (place, limits) => {
    const { limit, windowMs } = only(limits)
    const cluster = await openCluster(place, { autopipelining })
    const store = new RedisStore(false, false, cluster, `${place.prefix}:`)
    return {
      hasCosts: false,
      take: (id) =>
        new Promise((resolve, reject) => {
          const done = (error: Error | null, counted: Counted | null) =>
            counted === null
              ? reject(error ?? new Error('it counted nothing'))
              : resolve(counted.current <= limit)
          store.incr(id, done, windowMs, limit)
        }),
      keysOf: (id) => [`${place.prefix}:${id}`],
      close: async () => cluster.disconnect(),
    }
  }

/** The store of the plugin, which calls `incr` and compares. */
export const open = openWith()
export const openPipelining = openWith({ autopipelining: true })
