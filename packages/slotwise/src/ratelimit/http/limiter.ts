import type { Decision } from '../decision.js'
import type { Subject } from '../policy.js'
import type { RateLimiter } from '../rate-limiter.js'

/**
 * What a middleware asks of a limiter, so that whatever stands in front of one can take its place. `release` and `renew` are
 * needed where there are tiers of concurrency.
 */
export type HttpLimiter<N extends string, S extends Subject> = Pick<
  RateLimiter<N, S>,
  'consume' | 'describe' | 'refund'
> &
  Partial<Pick<RateLimiter<N, S>, 'release' | 'renew'>>

/** A decision by which a request may go on. */
export type Admission<N extends string = string> = Decision<N> & { readonly allowed: true }

/** A decision by which it may not. */
export type Denial<N extends string = string> = Decision<N> & { readonly allowed: false }
