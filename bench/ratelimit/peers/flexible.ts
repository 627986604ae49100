import type { Cluster } from 'ioredis'
import { BurstyRateLimiter, RateLimiterRedis, RateLimiterRes, RateLimiterUnion } from 'rate-limiter-flexible'
import { type Limit, type Open, only, type Place } from '../subject.js'
import { openCluster } from './cluster.js'

const limiter = (storeClient: Cluster, keyPrefix: string, { limit, windowMs }: Limit) =>
  new RateLimiterRedis({ storeClient, keyPrefix, points: limit, duration: windowMs / 1000 })

/** It rejects with what a limit says, of several with all that refused by their names, and with an error of what failed. */
function admitted(taking: Promise<unknown>): Promise<boolean> {
  return taking.then(
    () => true,
    (refusal: unknown) => {
      if (isRefusal(refusal)) return false
      throw refusal instanceof Error ? refusal : new Error(String(refusal))
    },
  )
}

function isRefusal(why: unknown): boolean {
  if (why instanceof RateLimiterRes) return true
  if (typeof why !== 'object' || why === null || why instanceof Error) return false
  const parts: readonly unknown[] = Object.values(why)
  return parts.length > 0 && parts.every((part) => part instanceof RateLimiterRes)
}

const openWith =
  ({ autopipelining = false } = {}): Open =>
  async (place: Place, limits) => {
    const cluster = await openCluster(place, { autopipelining })
    const prefixes = limits.map((_, i) => `${place.prefix}:${i + 1}`)
    const limiters = limits.map((limit, i) => limiter(cluster, prefixes[i] ?? '', limit))
    const [first] = limiters
    if (first === undefined) throw new Error('it has at least one limit')
    const taken = limiters.length === 1 ? first : new RateLimiterUnion(...limiters)
    return {
      hasCosts: true,
      take: (id, cost = 1) => admitted(taken.consume(id, cost)),
      left: (id) =>
        Promise.all(
          limiters.map(async (one, i) => {
            const consumed = (await one.get(id))?.consumedPoints ?? 0
            return (limits[i]?.limit ?? 0) - consumed
          }),
        ),
      keysOf: (id) => prefixes.map((prefix) => `${prefix}:${id}`),
      close: async () => cluster.disconnect(),
    }
  }

/** One limit, or a union of several: a call for each, all at once. */
export const open = openWith()
export const openPipelining = openWith({ autopipelining: true })

/** A rate of one in a window and bursts of the rest in ten: who is above that rate is asked for twice, one after the other. */
export const openBursty: Open = async (place, limits) => {
  const cluster = await openCluster(place)
  const { limit, windowMs } = only(limits)
  const rate = limiter(cluster, `${place.prefix}:1`, { limit: 1, windowMs })
  const burst = limiter(cluster, `${place.prefix}:2`, { limit: limit - 1, windowMs: 10 * windowMs })
  const taken = new BurstyRateLimiter(rate, burst)
  return {
    hasCosts: true,
    take: (id, cost = 1) => admitted(taken.consume(id, cost)),
    close: async () => cluster.disconnect(),
  }
}
