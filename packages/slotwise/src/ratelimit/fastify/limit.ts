import {
  type HttpLimiter,
  type NodeRequest,
  type NodeResponse,
  type ProtectOptions,
  protect,
} from '../http/index.js'
import { nodeFacts, whenEnded } from '../http/node.js'
import type { Subject } from '../policy.js'

/**
 * A request of Fastify, as far as it is read here and by most keys. Who needs more of it says so:
 * `key: (request: FastifyRequest) => …`.
 */
export interface FastifyRequestLike {
  readonly raw: NodeRequest
  readonly headers: NodeRequest['headers']
  readonly method: string
  readonly url: string
  readonly ip: string
}

/** A reply of Fastify, as far as it is written. */
export interface FastifyReplyLike {
  readonly sent: boolean
  readonly raw: Pick<NodeResponse, 'statusCode' | 'destroyed' | 'once'>
  getHeader(name: string): unknown
  header(name: string, value: string): unknown
  code(status: number): unknown
  send(body: string): unknown
}

/**
 * A hook for Fastify 5: `onRequest`, or `preHandler` where the key or the cost need what comes in between; for all routes by
 * `addHook`, or for one in its options.
 *
 * @throws ConfigurationError an option is wrong
 *
 * @example
 * ```ts
 * import { fastify } from 'fastify'
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
 * import { fastifyLimit } from 'slotwise/ratelimit/fastify'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const tiers = { second: tokenBucket({ capacity: 100, refillPerSecond: 100 }) }
 * const limiter = new RateLimiter(redis, { name: 'api', tiers, whenUnavailable: 'allow' })
 * fastify().addHook('onRequest', fastifyLimit(limiter, { proxies: { trust: 1 } }))
 * ```
 */
export function fastifyLimit<R extends FastifyRequestLike, S extends Subject, N extends string>(
  limiter: HttpLimiter<N, S>,
  options: ProtectOptions<R, S, N>,
): (request: R, reply: FastifyReplyLike) => Promise<unknown> {
  const ask = protect(limiter, options, ({ raw }: R) => nodeFacts(raw))
  return async (request, reply) => {
    const verdict = await ask(request)
    // A hook that resolves with the reply ends the request there.
    if (reply.sent) {
      if (verdict?.allowed === true) void verdict.ended?.({ status: reply.raw.statusCode })
      return reply
    }
    if (verdict === undefined) return undefined
    if (verdict.allowed) {
      if (verdict.ended !== undefined) whenEnded(reply.raw, verdict.ended)
      for (const [name, value] of verdict.headers) {
        const before = reply.getHeader(name)
        reply.header(name, typeof before === 'string' ? `${before}, ${value}` : value)
      }
      return undefined
    }
    for (const [name, value] of verdict.headers) reply.header(name, value)
    reply.code(verdict.status)
    reply.send(verdict.body)
    return reply
  }
}
