import { slidingWindow, tokenBucket } from './tiers.js'

const planOf = (perMinute: number, perHour: number, perDay: number) => ({
  second: tokenBucket({ capacity: 100, refillPerSecond: 100 }),
  minute: slidingWindow({ limit: perMinute, windowMs: 60_000 }),
  hour: slidingWindow({ limit: perHour, windowMs: 3_600_000 }),
  day: slidingWindow({ limit: perDay, windowMs: 86_400_000 }),
})

/**
 * Four plans to begin with: of each a bucket of 100 requests a second, and sliding windows of a minute, an hour and a day, by
 * estimate. For `tiers` of a {@link RateLimiter}.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { PLANS, RateLimiter } from 'slotwise/ratelimit'
 *
 * interface Caller {
 *   readonly tenant: string
 *   readonly plan: keyof typeof PLANS
 * }
 *
 * const limiter = new RateLimiter(await connect({ nodes: ['127.0.0.1:7000'] }), {
 *   name: 'api',
 *   tiers: ({ plan }: Caller) => PLANS[plan],
 *   whenUnavailable: 'allow',
 * })
 * await limiter.consume({ tenant: 'acme', plan: 'STARTER' })
 * ```
 */
export const PLANS = {
  FREE: planOf(10, 100, 1000),
  STARTER: planOf(100, 5000, 50_000),
  BUSINESS: planOf(1000, 50_000, 500_000),
  ENTERPRISE: planOf(10_000, 500_000, 5_000_000),
} as const
