/** Where a subject stands with one tier. */
export interface TierState<N extends string = string> {
  readonly name: N
  /** The largest burst. */
  readonly limit: number
  /** Tokens left, rounded down. */
  readonly remaining: number
  /** Until the bucket is full again, in milliseconds, if nobody consumes meanwhile. */
  readonly resetMs: number
}

/** What a limiter decided. A refusal is a value: nothing was consumed. */
export type Decision<N extends string = string> =
  | {
      readonly allowed: true
      /** `'policy'`: Redis could not be asked, and the limiter was told to allow then. */
      readonly decidedBy: 'redis' | 'policy'
      /** In the policy's order; empty when Redis could not be asked. */
      readonly tiers: readonly TierState<N>[]
      /** Why Redis could not be asked. */
      readonly cause?: unknown
    }
  | {
      readonly allowed: false
      readonly reason: 'limited'
      /** The same request is admitted then, and not a millisecond earlier, if nobody else consumes meanwhile. */
      readonly retryAfterMs: number
      readonly violated: readonly N[]
      readonly tiers: readonly TierState<N>[]
    }
  /** More than a full bucket holds: waiting never helps. Redis was not asked. */
  | { readonly allowed: false; readonly reason: 'exceeds-capacity'; readonly violated: readonly N[] }
  /** Redis could not be asked, and the limiter was told to deny then. */
  | { readonly allowed: false; readonly reason: 'unavailable'; readonly cause: unknown }
