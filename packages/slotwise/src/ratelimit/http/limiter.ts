import type { CallOptions } from '../../options.js'
import type { Decision } from '../decision.js'
import type { Subject } from '../policy.js'
import type { RateLimiter } from '../rate-limiter.js'
import type { Receipt } from '../receipt.js'

/** What a middleware asks of a limiter, so that whatever stands in front of one can take its place. */
export interface HttpLimiter<N extends string, S extends Subject>
  extends Pick<RateLimiter<N, S>, 'consume' | 'describe' | 'refund'> {
  /** Ends what an admission has under way of concurrency tiers. Needed where there are such. */
  release?(receipt: Receipt<N>, call?: CallOptions): Promise<boolean>
  /** Lets it last longer. */
  renew?(receipt: Receipt<N>, call?: CallOptions): Promise<boolean>
}

/** A decision by which a request may go on. */
export type Admission<N extends string = string> = Decision<N> & { readonly allowed: true }

/** A decision by which it may not. */
export type Denial<N extends string = string> = Decision<N> & { readonly allowed: false }
