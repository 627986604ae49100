import { ConfigurationError } from '../errors.js'
import { integer, shown } from '../options.js'
import type { Policy } from './policy.js'
import type { Tier } from './tiers.js'

/** Settings of leases: `lease` of a {@link RateLimiter}. */
export type LeaseOptions = (
  | {
      /**
       * What the processes together may admit beyond a bucket's own bound, as a part of its capacity: above 0 and at most 1. A lease
       * lasts `epsilon × capacity / refillPerSecond` then. For steady token buckets; where `tiers` is a function, subjects with
       * other tiers, or of which that part is less than four tokens, stay exact.
       */
      readonly epsilon: number
    }
  | {
      /** How long a lease lasts, in milliseconds, for tiers of any kind. At most a minute. */
      readonly forMs: number
      /** How much it may hold. @defaultValue `1000`, and at most half of a limit */
      readonly most?: number | undefined
    }
) & {
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
export const LEAST_DEMAND = 4
/** What its script calls a bucket that fills steadily. */
export const STEADY_BUCKET = 1

/** The same, checked. */
export type CheckedLease = LeaseOptions & { readonly maxSubjects: number }

export function checkedLease(options: LeaseOptions): CheckedLease {
  const { auto, maxSubjects = 10_000 } = options
  if ('forMs' in options) {
    integer('lease.forMs', options.forMs, { max: 60_000 })
    integer('lease.most', options.most ?? 1000)
  } else if (!(typeof options.epsilon === 'number' && options.epsilon > 0 && options.epsilon <= 1)) {
    throw new ConfigurationError(`lease.epsilon must be above 0 and at most 1, got ${shown(options.epsilon)}`)
  }
  if (auto !== undefined && !(Number.isFinite(auto.abovePerSecond) && auto.abovePerSecond >= 0)) {
    throw new ConfigurationError(
      `lease.auto.abovePerSecond must be a number from 0, got ${shown(auto.abovePerSecond)}`,
    )
  }
  return { ...options, maxSubjects: integer('lease.maxSubjects', maxSubjects) }
}

/** Nothing where a lease is not possible, or too small to save anything. */
export function leaseTerms({ tiers }: Policy<string>, options: LeaseOptions): LeaseTerms | undefined {
  if (tiers.some(({ kind }) => kind === 'concurrency')) return undefined
  const smallest = Math.min(...tiers.map(({ limit }) => limit))
  let [forMs, most] = [0, 0]
  if ('forMs' in options) {
    forMs = options.forMs
    most = Math.min(options.most ?? 1000, Math.floor(smallest / 2))
  } else {
    if (tiers.some(({ algorithm }) => algorithm.code !== STEADY_BUCKET)) return undefined
    const fullUs = Math.min(...tiers.map(({ limit, algorithm }) => limit * algorithm.width))
    forMs = (options.epsilon * fullUs) / 1000
    most = Math.floor((options.epsilon * smallest) / 2)
  }
  if (most < 2) return undefined
  // Of what many subjects have in common every decision is by a lease.
  if (tiers.every(({ by }) => by !== undefined)) return { forMs, most, hotFrom: 0 }
  const hotFrom = Math.max(LEAST_DEMAND, ((options.auto?.abovePerSecond ?? 0) * forMs) / 1000)
  return { forMs, most, hotFrom }
}

/** By how much a tier may be exceeded in any interval; of others than steady buckets that is no number. */
export function excessOf(tier: Tier<string>, { forMs }: LeaseTerms): number | undefined {
  // Not among the arguments: declarations would name what they do not have.
  const { algorithm } = tier
  return algorithm.code === STEADY_BUCKET ? (forMs * 1000) / algorithm.width : undefined
}
