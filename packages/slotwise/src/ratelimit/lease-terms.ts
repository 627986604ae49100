import { ConfigurationError } from '../errors.js'
import { integer, shown } from '../options.js'
import type { Policy } from './policy.js'

/** Settings of leases: `lease` of a {@link RateLimiter}. */
export interface LeaseOptions {
  /**
   * What the processes together may admit beyond a bucket's own bound, as a part of its capacity: above 0 and at most 1. It sets how
   * long a lease lasts: `epsilon × capacity / refillPerSecond`.
   */
  readonly epsilon: number
  /**
   * Which subjects are leased: those of which this process is asked for more than so much a second, until it is less than half of
   * that. @defaultValue four tokens in the time that a lease lasts, which is also the least
   */
  readonly auto?: { readonly abovePerSecond: number } | undefined
  /** Of how many subjects this process keeps how hot they are, and leases. @defaultValue `10000` */
  readonly maxSubjects?: number | undefined
}

/** What a lease is for the tiers of one policy. */
export interface LeaseTerms {
  /** How long one lasts from before it was asked for, in milliseconds. */
  readonly forMs: number
  /** How many tokens one may hold. */
  readonly most: number
  /** The demand in `forMs` from which a subject is hot. */
  readonly hotFrom: number
}

/** Of less than four tokens in its time a lease would hold one, and save nothing. */
const LEAST_DEMAND = 4
const STEADY_BUCKET = 1

/** The same, checked. */
export type CheckedLease = LeaseOptions & { readonly maxSubjects: number }

export function checkedLease({ epsilon, auto, maxSubjects = 10_000 }: LeaseOptions): CheckedLease {
  if (!(typeof epsilon === 'number' && epsilon > 0 && epsilon <= 1)) {
    throw new ConfigurationError(`lease.epsilon must be above 0 and at most 1, got ${shown(epsilon)}`)
  }
  if (auto !== undefined && !(Number.isFinite(auto.abovePerSecond) && auto.abovePerSecond >= 0)) {
    throw new ConfigurationError(
      `lease.auto.abovePerSecond must be a number from 0, got ${shown(auto.abovePerSecond)}`,
    )
  }
  return { epsilon, auto, maxSubjects: integer('lease.maxSubjects', maxSubjects) }
}

/** Nothing where a lease is not possible, or too small to save anything. */
export function leaseTerms(
  { tiers }: Policy<string>,
  { epsilon, auto }: Pick<LeaseOptions, 'epsilon' | 'auto'>,
): LeaseTerms | undefined {
  if (tiers.some(({ algorithm }) => algorithm.code !== STEADY_BUCKET)) return undefined
  const most = Math.floor((epsilon * Math.min(...tiers.map(({ limit }) => limit))) / 2)
  if (most < 2) return undefined
  const forMs = (epsilon * Math.min(...tiers.map(({ limit, algorithm }) => limit * algorithm.width))) / 1000
  const hotFrom = Math.max(LEAST_DEMAND, ((auto?.abovePerSecond ?? 0) * forMs) / 1000)
  return { forMs, most, hotFrom }
}
