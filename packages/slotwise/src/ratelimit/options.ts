import type { CallOptions } from '../options.js'
import type { EvictionCheck } from '../redis/eviction.js'
import type { LeaseOptions } from './lease-terms.js'
import type { OnPlanChange } from './plan.js'
import type { Cost, PartOf, Subject } from './policy.js'
import type { Tier } from './tiers.js'

/** Settings of a {@link RateLimiter}. */
export interface RateLimiterOptions<N extends string, S extends Subject> {
  /** Part of every key: limiters of one name share their counts. */
  readonly name: string
  /**
   * The limits by name, all of which must admit; or a function that gives those of a subject, e.g. by its plan. It is asked for
   * every decision, and cheap where it returns the same object for the same plan. A tier with `by` counts one part of the subject.
   */
  readonly tiers:
    | Readonly<Record<N, NoInfer<Tier<PartOf<S>>>>>
    | ((subject: S) => Readonly<Record<N, NoInfer<Tier<PartOf<S>>>>>)
  /**
   * What to decide when Redis does not answer in time: `'allow'`, `'deny'`, or `'local'`, by a share of each limit that this
   * process has for itself meanwhile. There is no default: each choice can be an outage.
   */
  readonly whenUnavailable: 'allow' | 'deny' | 'local'
  /**
   * Of `'local'`: which part of each limit is this process's while Redis is away, above 0 and at most 1. With a share of one over
   * the number of processes all of them together stay within the limits. Required by `'local'`.
   */
  readonly localShare?: number | undefined
  /** Bound on one decision, in milliseconds. @defaultValue `50` */
  readonly deadlineMs?: number | undefined
  /**
   * What becomes of what was used when the limits of a subject change: `'keep-used'` keeps it in whole tokens and requests,
   * `'keep-proportion'` as the part of the limit that it was, `'reset'` forgets it. @defaultValue `'keep-used'`
   */
  readonly onPlanChange?: OnPlanChange | undefined
  /** For how long a decision with an `idempotencyKey` is known again, in milliseconds. @defaultValue `60000` */
  readonly idempotencyWindowMs?: number | undefined
  /**
   * Remembers refusals in this process until their exact time, so that who is refused over and over costs Redis nothing. What
   * another process gives back or resets is seen after `maxAgeMs`. @defaultValue nothing is remembered
   */
  readonly refusals?:
    | {
        /** @defaultValue `10000` */
        readonly maxEntries?: number | undefined
        /** @defaultValue `1000` */
        readonly maxAgeMs?: number | undefined
      }
    | undefined
  /**
   * Takes tokens of subjects that are asked for often ahead, and spends them in this process without a round trip. In any `t` all
   * processes together then admit at most what exact decisions would in `t` and the time of a lease. Others stay exact, as do requests
   * with an `idempotencyKey`, with costs that differ by tier, and where a tier is a concurrency. @defaultValue every decision asks Redis
   */
  readonly lease?: LeaseOptions | undefined
  /**
   * Decides tiers with `by`, of any kind, in the same round trip as the others and exactly: both keys of a subject lie in the slot
   * of its part. So all users of a tenant share one primary, and while that slot moves, a subject of which only one key has moved is
   * decided by `whenUnavailable`. For one part, and without `lease`. Not to be changed while limits are in force: subjects have other keys,
   * and begin anew. @defaultValue `false`: tiers with `by` are leased
   */
  readonly together?: boolean | undefined
  /**
   * What to do about primaries that may evict counts (any `maxmemory-policy` but `noeviction`), looked for at first and every
   * minute: refuse every operation, tell `onError`, or do not ask, where CONFIG is forbidden. @defaultValue `'refuse'`
   */
  readonly evictionCheck?: EvictionCheck | undefined
  /**
   * Names of priorities, the highest first, and which part of every limit is reserved for each, from those below: with
   * `{ payments: 0.2, pages: 0.3, reports: 0 }` pages are refused when 80 % of a limit is taken, and reports at half of it, by whomever it was
   * taken. Not looked at where Redis does not answer. @defaultValue all are alike
   */
  readonly priorities?: Readonly<Record<string, number>> | undefined
  /**
   * Lets everybody in, and only tells what would be refused (`wouldRefuse`, the event, metrics, `topLimited`): to try limits before
   * they are in force. No request waits longer than `deadlineMs`, nor fails for Redis. What would be refused takes nothing, so
   * counts are those that the limits in force would have. @defaultValue `false`
   */
  readonly shadow?: boolean | undefined
  /** Hears of every decision that Redis did not make. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Options of {@link RateLimiter.consume}. */
export interface ConsumeOptions<N extends string> extends CallOptions {
  /** Whole numbers from 0, which only looks. @defaultValue `1` from every tier */
  readonly cost?: Cost<N> | undefined
  /** One of `priorities`; not together with an `idempotencyKey`, unless it is the highest. @defaultValue the highest */
  readonly priority?: string | undefined
  /**
   * The same request is admitted again and takes nothing when it comes again with the same key within `idempotencyWindowMs`. So it
   * is repeated when its answer was lost. Of a subject the last thousand are known.
   */
  readonly idempotencyKey?: string | undefined
}

/** Options of {@link RateLimiter.penalize}. */
export interface PenalizeOptions<N extends string> extends CallOptions {
  readonly cost: Cost<N>
}

/** Options of {@link RateLimiter.settle}. */
export interface SettleOptions<N extends string> extends CallOptions {
  /** What it cost in the end. */
  readonly cost: Cost<N>
}

/** Options of {@link RateLimiter.block}. */
export interface BlockOptions extends PartOptions {
  /** In milliseconds; 0 ends a block. */
  readonly forMs: number
}

/** Options of what is done with a subject, or with a part that it has in common with others. */
export interface PartOptions extends CallOptions {
  /** The part, as tiers name it by `by`. @defaultValue the whole subject */
  readonly by?: string | undefined
}
