import { connect } from 'slotwise/ioredis'
import { RateLimiter, slidingWindow, type Tier, tokenBucket } from 'slotwise/ratelimit'
import { keyOf } from 'slotwise/redis'
import { COMMAND_TIMEOUT_MS, type Limit, type Open, type Place } from './subject.js'

type Make = (limit: Limit) => Tier

const bucket: Make = ({ limit, windowMs }) =>
  tokenBucket({ capacity: limit, refillPerSecond: (limit * 1000) / windowMs })
const estimate: Make = ({ limit, windowMs }) => slidingWindow({ limit, windowMs })
const strict: Make = ({ limit, windowMs }) => slidingWindow({ limit, windowMs, mode: 'strict' })

/** What all measurements call it, as short as names in use are. */
const NAME = 'api'

export const portOf = ({ nodes, prefix, endpointMap }: Place) =>
  connect({
    nodes: nodes.map(({ host, port }) => [host, port].join(':')),
    namespace: prefix,
    commandTimeoutMs: COMMAND_TIMEOUT_MS,
    endpointMap,
  })

/** @param first how the first limit is counted; others are estimates */
const openWith =
  (first: Make, deadlineMs?: number): Open =>
  async (place, limits) => {
    const port = await portOf(place)
    const tiers = Object.fromEntries(
      limits.map((limit, i): [string, Tier] => [`t${i}`, i === 0 ? first(limit) : estimate(limit)]),
    )
    const limiter = new RateLimiter(port, {
      name: NAME,
      tiers,
      whenUnavailable: 'deny',
      deadlineMs,
    })
    await limiter.ready()
    return {
      hasCosts: true,
      take: async (id, cost = 1) => {
        const decision = await limiter.consume(id, { cost })
        if (!decision.allowed && decision.reason === 'unavailable') throw decision.cause
        return decision.allowed
      },
      left: async (id) => (await limiter.peek(id)).map(({ remaining }) => remaining),
      keysOf: (id) => [keyOf({ namespace: place.prefix, pattern: 'ratelimit', name: NAME }, id)],
      close: async () => {
        await limiter.close()
        await port.close()
      },
    }
  }

// What is measured is how fast it is, and not what it does on a machine that is too busy.
export const openBucket = openWith(bucket, COMMAND_TIMEOUT_MS)
export const openEstimate = openWith(estimate, COMMAND_TIMEOUT_MS)
export const openStrict = openWith(strict, COMMAND_TIMEOUT_MS)
/** With the deadline that it has unless told otherwise. */
export const openPlain = openWith(bucket)
