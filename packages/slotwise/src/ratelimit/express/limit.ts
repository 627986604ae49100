import {
  type HttpLimiter,
  httpLimit,
  type NodeRequest,
  type NodeResponse,
  type ProtectOptions,
} from '../http/index.js'
import type { Subject } from '../policy.js'

/**
 * A request of Express, as far as it is read here and by most keys. Who needs more of it says so:
 * `key: (request: Request) => …`.
 */
export interface ExpressRequest extends NodeRequest {
  readonly method: string
  readonly path: string
  readonly ip?: string | undefined
}

/**
 * A middleware for Express 5. `trust proxy` and `request.ip` of Express are not looked at: say `proxies`, or take
 * `request.ip` as the key.
 *
 * @throws ConfigurationError an option is wrong
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
 * import { expressLimit } from 'slotwise/ratelimit/express'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const tiers = { second: tokenBucket({ capacity: 100, refillPerSecond: 100 }) }
 * const limiter = new RateLimiter(redis, { name: 'api', tiers, whenUnavailable: 'allow' })
 * express().use(expressLimit(limiter, { proxies: { trust: 1 } }))
 * ```
 */
export function expressLimit<R extends ExpressRequest, S extends Subject, N extends string>(
  limiter: HttpLimiter<N, S>,
  options: ProtectOptions<R, S, N>,
): (request: R, response: NodeResponse, next: (error?: unknown) => void) => Promise<void> {
  const limit = httpLimit(limiter, options)
  return async (request, response, next) => {
    let goesOn: boolean
    try {
      goesOn = await limit(request, response)
    } catch (error) {
      // Who calls it by hand may not look at the promise.
      next(error)
      return
    }
    if (goesOn) next()
  }
}
