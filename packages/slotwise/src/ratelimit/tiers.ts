import { ConfigurationError } from '../errors.js'
import { integer, positive } from '../options.js'

/** Settings of {@link tokenBucket}. */
export interface TokenBucketOptions {
  /** How many tokens a full bucket holds: the largest burst. A whole number. */
  readonly capacity: number
  /** How many tokens come back a second; fractions are allowed, `10 / 60` is ten a minute. */
  readonly refillPerSecond: number
}

/** One limit of a policy. Made by {@link tokenBucket}. */
export interface Tier {
  readonly kind: 'token-bucket'
  /** What `limit` of a {@link TierState} says: the largest burst. */
  readonly limit: number
  /** Whole microseconds until one token is back. */
  readonly intervalUs: number
}

/** Times are integers that doubles hold exactly; with the server's own time on top they stay below 2^53. */
const LONGEST_US = 2 ** 52
/** How much slower than asked a bucket may fill because a token takes whole microseconds. */
const SLOWEST = 0.01

/**
 * A bucket of `capacity` tokens that refills steadily: bursts up to its capacity, `refillPerSecond` in the long
 * run. In any interval of `t` seconds at most `capacity + refillPerSecond × t` tokens are given out.
 *
 * A token takes a whole number of microseconds, rounded up, so the bucket never fills faster than asked, and at
 * most 1 % slower; rates for which that is not possible are refused, with the nearest one that is.
 *
 * @see {@link https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm | GCRA}
 *
 * @example
 * ```ts
 * import { tokenBucket } from 'slotwise/ratelimit'
 *
 * const tenPerMinute = tokenBucket({ capacity: 10, refillPerSecond: 10 / 60 })
 * ```
 */
export function tokenBucket({ capacity, refillPerSecond }: TokenBucketOptions): Tier {
  const limit = integer('capacity', capacity)
  const exact = 1_000_000 / positive('refillPerSecond', refillPerSecond)
  // 1e6 / (10 / 60) is 6000000.000000001: an error of the division must not cost a microsecond.
  const intervalUs =
    Math.abs(exact - Math.round(exact)) < exact * 1e-12 ? Math.round(exact) : Math.ceil(exact)
  if (intervalUs > exact * (1 + SLOWEST)) {
    const nearest = 1_000_000 / intervalUs
    throw new ConfigurationError(
      `refillPerSecond ${refillPerSecond} cannot be kept to within 1 % in whole microseconds; the next slower rate is ${nearest}`,
    )
  }
  if (limit * intervalUs > LONGEST_US) {
    throw new ConfigurationError(
      `a bucket of ${capacity} at ${refillPerSecond} a second takes more than 142 years to fill: use a smaller capacity or a higher rate`,
    )
  }
  return { kind: 'token-bucket', limit, intervalUs }
}
