import type { Decision } from '../decision.js'
import type { RateLimiter } from '../rate-limiter.js'

/** What a limiter decided, as far as two of them can be compared. */
export interface Ruling {
  readonly allowed: boolean
  /** For refusals, if it was told. */
  readonly retryAfterMs?: number | undefined
  /** Of the tier that has least left, if it was told. */
  readonly remaining?: number | undefined
}

/** One of two limiters: how it is asked, and how what it says is read. */
export interface Side<T> {
  consume(key: string, cost: number): Promise<T>
  /** What its answer means; `undefined` if it did not decide. */
  ruling(answer: T): Ruling | undefined
  /** What its rejection means, if that is how it refuses; `undefined` for failures. */
  refusal?(rejection: unknown): Ruling | undefined
}

/** A `RateLimiter` as a side. */
export function limiterSide<N extends string>(
  limiter: Pick<RateLimiter<N, string>, 'consume'>,
): Side<Decision<N>> {
  return {
    consume: (key, cost) => limiter.consume(key, { cost }),
    ruling: (decision) => {
      if ('cause' in decision && decision.cause !== undefined) return undefined
      if (!decision.allowed && decision.reason !== 'limited' && decision.reason !== 'blocked')
        return { allowed: false }
      const remaining = Math.min(...decision.tiers.map((tier) => tier.remaining))
      return decision.allowed
        ? { allowed: true, remaining }
        : { allowed: false, remaining, retryAfterMs: decision.retryAfterMs }
    },
  }
}
