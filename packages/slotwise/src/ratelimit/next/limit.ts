import { ConfigurationError } from '../../errors.js'
import { whenRead } from '../http/body.js'
import { refuses } from '../http/headers.js'
import {
  type HeaderList,
  type HttpLimiter,
  type ProtectOptions,
  type Proxies,
  protect,
} from '../http/index.js'
import type { Subject } from '../policy.js'
import { whenAsked } from './when-asked.js'

/**
 * Settings of {@link nextLimit}. **Either `key` or `proxies` has to be given**: Next does not tell who is at the other end of a
 * connection, and what `X-Forwarded-For` says is the client's own word where no proxy has added to it.
 */
export type NextLimitOptions<S extends Subject, N extends string> = ProtectOptions<Request, S, N> & {
  /** Is given what goes on until after the response, such as by `after` of `next/server` or `waitUntil` of a platform. @defaultValue nobody */
  readonly waitUntil?: ((work: Promise<void>) => void) | undefined
} & ({ readonly key: object } | { readonly proxies: Proxies })

/**
 * Wraps a route handler of Next.js, or any function from a `Request` to a `Response`. For Node, not for the Edge runtime, on
 * which there are no connections to Redis.
 *
 * @param limiter a limiter, or what makes one: called with the first request, and never by `next build`, which loads every
 *   route. While it cannot be made, requests are refused with 503, and the next one tries again.
 * @throws ConfigurationError an option is wrong
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
 * import { nextLimit } from 'slotwise/ratelimit/next'
 *
 * const tiers = { second: tokenBucket({ capacity: 100, refillPerSecond: 100 }) }
 * const limiter = async () =>
 *   new RateLimiter(await connect({ nodes: ['127.0.0.1:7000'] }), { name: 'api', tiers, whenUnavailable: 'allow' })
 * export const GET = nextLimit(limiter, { proxies: { trust: 1 } }, () => Response.json({ hello: 'world' }))
 * ```
 */
export function nextLimit<
  S extends Subject,
  N extends string,
  Q extends Request,
  A extends readonly unknown[],
>(
  limiter: HttpLimiter<N, S> | (() => HttpLimiter<N, S> | Promise<HttpLimiter<N, S>>),
  options: NextLimitOptions<S, N>,
  handler: (request: Q, ...rest: A) => Response | Promise<Response>,
): (request: Q, ...rest: A) => Promise<Response> {
  const { waitUntil, proxies } = options
  if (options.key === undefined && proxies === undefined) {
    throw new ConfigurationError('nextLimit needs key or proxies: Next does not tell the address of a client')
  }
  const ask = protect(
    typeof limiter === 'function' ? whenAsked(limiter) : limiter,
    options,
    ({ headers }: Request) => ({
      header: (name) => headers.get(name) ?? undefined,
      remoteAddress: undefined,
    }),
  )
  return async (request, ...rest) => {
    const verdict = await ask(request)
    if (verdict?.allowed === false) {
      const { status, body } = verdict
      return new Response(body, { status, headers: verdict.headers.map(([name, value]) => [name, value]) })
    }
    const ended = verdict?.ended
    let response: Response
    try {
      response = await handler(request, ...rest)
    } catch (error) {
      // Next makes a 500 of it, and of what `redirect` and `notFound` throw their statuses, which they bear in their digest.
      const work = ended?.({ status: statusOf(error) })
      if (work !== undefined) waitUntil?.(work)
      throw error
    }
    if (ended !== undefined) {
      const followed = whenRead(request.method, response, ended)
      response = followed.response
      // Only here: what is not in the course of a request has no `after`.
      waitUntil?.(followed.work)
    }
    return withHeaders(response, verdict?.headers ?? [])
  }
}

/** `NEXT_REDIRECT;replace;/to;307;` and `NEXT_HTTP_ERROR_FALLBACK;404`. */
function statusOf(error: unknown): number {
  const digest = typeof error === 'object' && error !== null && 'digest' in error ? String(error.digest) : ''
  const found = /^NEXT_(?:REDIRECT;.*;(\d{3});?|HTTP_ERROR_FALLBACK;(\d{3}))$/.exec(digest)
  return Number(found?.[1] ?? found?.[2] ?? 500)
}

/** Headers of a response that was made by `fetch` or `Response.redirect` cannot be changed. */
function withHeaders(response: Response, headers: HeaderList): Response {
  if (headers.length === 0 || refuses(response.status)) return response
  try {
    for (const [name, value] of headers) response.headers.append(name, value)
    return response
  } catch {
    const copy = new Response(response.body, response)
    for (const [name, value] of headers) copy.headers.append(name, value)
    return copy
  }
}
