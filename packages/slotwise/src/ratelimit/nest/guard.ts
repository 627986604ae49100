import { ConfigurationError } from '../../errors.js'
import {
  type HeaderList,
  type HttpLimiter,
  type NodeRequest,
  type NodeResponse,
  type ProtectOptions,
  protect,
} from '../http/index.js'
import { nodeFacts, refuse, whenEnded } from '../http/node.js'
import type { Subject } from '../policy.js'

/** What Nest gives a guard, as far as it is used. */
export interface NestContextLike {
  getType(): string
  switchToHttp(): { getRequest(): unknown; getResponse(): unknown }
}

/** A reply of Fastify, as far as it is written. */
interface FastifyReply {
  readonly raw: Pick<NodeResponse, 'statusCode' | 'destroyed' | 'once'>
  getHeader(name: string): unknown
  header(name: string, value: string): unknown
}

/** A guard, as Nest asks for it. */
export interface NestGuard {
  canActivate(context: NestContextLike): Promise<boolean>
}

/** Settings of {@link nestLimit}. */
export type NestLimitOptions<R, S extends Subject, N extends string> = ProtectOptions<R, S, N> & {
  /** `HttpException` of `@nestjs/common`, which refusals are thrown as, so that they pass the filters of the application. */
  readonly exception: new (
    response: object | string,
    status: number,
  ) => Error
  /**
   * On Express, whether the guard writes the answer before it throws. Else Nest does, which there makes `application/json` of
   * any type and an object with a `message` of any text. Say so where all filters look at `headersSent`, as Nest's own does.
   * @defaultValue `false`
   */
  readonly answers?: boolean | undefined
  /**
   * The request and the response of what is no HTTP by itself, such as GraphQL; `undefined` for what is not limited.
   * @defaultValue HTTP is limited, and anything else an error
   */
  readonly exchange?:
    | ((context: NestContextLike) => { readonly request: R; readonly response: unknown } | undefined)
    | undefined
}

/**
 * A guard for NestJS 11, on Express and on Fastify: `@UseGuards(nestLimit(…))`, `useGlobalGuards`, or what a provider of
 * `APP_GUARD` makes.
 *
 * @throws ConfigurationError an option is wrong
 *
 * @example
 * ```ts
 * import { HttpException } from '@nestjs/common'
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
 * import { nestLimit } from 'slotwise/ratelimit/nest'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const tiers = { second: tokenBucket({ capacity: 100, refillPerSecond: 100 }) }
 * const limiter = new RateLimiter(redis, { name: 'api', tiers, whenUnavailable: 'allow' })
 * export const guard = nestLimit(limiter, { exception: HttpException, proxies: { trust: 1 } })
 * ```
 */
export function nestLimit<
  R extends NodeRequest | { readonly raw: NodeRequest },
  S extends Subject,
  N extends string,
>(limiter: HttpLimiter<N, S>, options: NestLimitOptions<R, S, N>): NestGuard {
  const { exception: Exception, exchange = httpOf, answers = false } = options
  if (typeof Exception !== 'function') {
    throw new ConfigurationError('nestLimit needs exception: HttpException of @nestjs/common')
  }
  const ask = protect(limiter, options, (request: R) => nodeFacts('raw' in request ? request.raw : request))
  return {
    canActivate: async (context) => {
      const both = exchange(context)
      if (both === undefined) return true
      const verdict = await ask(both.request as R)
      if (verdict === undefined) return true
      const response = both.response as NodeResponse | FastifyReply
      if (verdict.allowed) {
        if (verdict.ended !== undefined) whenEnded('raw' in response ? response.raw : response, verdict.ended)
        addHeaders(response, verdict.headers)
        return true
      }
      if ('raw' in response) {
        for (const [name, value] of verdict.headers) response.header(name, value)
      } else if (answers) {
        refuse(response, verdict)
      } else {
        // A type other than JSON would have Nest complain in the log, and change it.
        const others = verdict.headers.filter(([name]) => name !== 'Content-Type')
        for (const [name, value] of others) response.setHeader(name, value)
      }
      throw new Exception(bodyOf(verdict.body), verdict.status)
    },
  }
}

function addHeaders(response: NodeResponse | FastifyReply, headers: HeaderList): void {
  for (const [name, value] of headers) {
    if ('raw' in response) {
      const before = response.getHeader(name)
      response.header(name, typeof before === 'string' ? `${before}, ${value}` : value)
    } else response.appendHeader(name, value)
  }
}

function httpOf(context: NestContextLike): { request: unknown; response: unknown } {
  if (context.getType() !== 'http') {
    throw new ConfigurationError(
      `nestLimit limits HTTP; for ${context.getType()} say by exchange what the request is, or that it is not limited`,
    )
  }
  const http = context.switchToHttp()
  return { request: http.getRequest(), response: http.getResponse() }
}

/** Nest writes objects as JSON, and texts as they are. */
function bodyOf(text: string): object | string {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : text
  } catch {
    return text
  }
}
