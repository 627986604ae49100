import type { Receipt } from './receipt.js'

/** Where a subject stands with one tier. */
export interface TierState<N extends string = string> {
  readonly name: N
  /** The most that can be had at once. */
  readonly limit: number
  /** What could be taken now, in whole units. */
  readonly remaining: number
  /** Until the tier is as if it had never been used, in milliseconds, if nobody consumes meanwhile. */
  readonly resetMs: number
  /** Until more than `remaining` could be taken, if nobody consumes meanwhile; 0 when nothing is taken. */
  readonly nextMs: number
}

/** What a limiter decided. A refusal is a value: nothing was consumed. */
export type Decision<N extends string = string> = Admitted<N> | Refused<N>

/** A request that goes on. */
type Admitted<N extends string> = {
  readonly allowed: true
  /**
   * `'lease'`: from what this process was given before; `'local'`: Redis could not be asked, and this process spent from
   * its share; `'policy'`: Redis could not be asked, and the limiter was told to allow then; or it
   * only tries its limits.
   */
  readonly decidedBy: 'redis' | 'lease' | 'local' | 'policy'
  /** In the policy's order; empty when Redis could not be asked. */
  readonly tiers: readonly TierState<N>[]
  /** What {@link RateLimiter.refund} takes. */
  readonly receipt: Receipt<N>
  /** Why Redis could not be asked. */
  readonly cause?: unknown
  /** What a limiter with `shadow: true` would have refused, and why. Nothing was taken. */
  readonly wouldRefuse?: Refused<N> | undefined
}

/** A request that does not. */
export type Refused<N extends string = string> =
  | {
      readonly allowed: false
      /** `'blocked'`: by {@link RateLimiter.block}, whatever was consumed. */
      readonly reason: 'limited' | 'blocked'
      /**
       * `'cache'`: by a refusal that this process remembers and that is still true; `'lease'`: by what Redis said of a leased
       * subject, which is asked again no sooner.
       */
      readonly decidedBy?: 'redis' | 'cache' | 'lease' | 'local'
      /** The same request is admitted then, and not a millisecond earlier, if nobody else consumes meanwhile. */
      readonly retryAfterMs: number
      readonly violated: readonly N[]
      readonly tiers: readonly TierState<N>[]
    }
  /** More than a tier ever gives at once: waiting never helps. Redis was not asked. */
  | { readonly allowed: false; readonly reason: 'exceeds-capacity'; readonly violated: readonly N[] }
  /** Redis could not be asked, and the limiter was told to deny then. */
  | { readonly allowed: false; readonly reason: 'unavailable'; readonly cause: unknown }

/** One tier of a policy, as headers tell it. */
export interface TierDescription<N extends string = string> {
  readonly name: N
  readonly kind: TierKind
  /** The most that can be had at once. */
  readonly limit: number
  /** Length of the window, in milliseconds; of a bucket the time from empty to full, of a concurrency its `ttlMs`. */
  readonly windowMs: number
  /** What leases change, where the tier is leased. */
  readonly lease?: LeaseDescription
}

/** What a lease may cost in exactness, as a user is told. */
export interface LeaseDescription {
  /** How long tokens that were debited may be spent, in milliseconds. What is left is dropped then. */
  readonly forMs: number
  /** Of a steady bucket: by how much all processes together may exceed its bound in any interval, its rate times `forMs`. */
  readonly excess: number | undefined
}

/** What kind of limit a tier is. */
export type TierKind = 'token-bucket' | 'fixed-window' | 'sliding-window' | 'sliding-log' | 'concurrency'
