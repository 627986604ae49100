import { ConfigurationError } from '../../errors.js'
import { whenRead } from '../http/body.js'
import { refuses } from '../http/headers.js'
import { type HeaderList, type HttpLimiter, type ProtectOptions, protect } from '../http/index.js'
import { whenEnded } from '../http/node.js'
import type { Subject } from '../policy.js'

/**
 * A context of Hono, as far as it is used here and by most keys. Who needs more of it says so: `key: (c: Context<Env>) => …`.
 */
export interface HonoContextLike {
  readonly req: {
    readonly method: string
    readonly path: string
    readonly url: string
    readonly raw: Request
    header(name: string): string | undefined
    query(name: string): string | undefined
  }
  readonly env: unknown
  get res(): Response
  set res(response: Response | undefined)
  header(name: string, value: string, options?: { append?: boolean }): void
}

/** Settings of {@link honoLimit}. */
export type HonoLimitOptions<C, S extends Subject, N extends string> = ProtectOptions<C, S, N> & {
  /**
   * Who is at the other end of the connection, which each runtime tells by another way.
   * @defaultValue what `@hono/node-server` tells
   */
  readonly remoteAddress?: ((context: C) => string | undefined) | undefined
}

/**
 * A middleware for Hono 4. The subject's `R` is Hono's context.
 *
 * @throws ConfigurationError an option is wrong
 *
 * @example
 * ```ts
 * import { Hono } from 'hono'
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
 * import { honoLimit } from 'slotwise/ratelimit/hono'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const tiers = { second: tokenBucket({ capacity: 100, refillPerSecond: 100 }) }
 * const limiter = new RateLimiter(redis, { name: 'api', tiers, whenUnavailable: 'allow' })
 * new Hono().use(honoLimit(limiter, { proxies: { trust: 1 } }))
 * ```
 */
export function honoLimit<C extends HonoContextLike, S extends Subject, N extends string>(
  limiter: HttpLimiter<N, S>,
  options: HonoLimitOptions<C, S, N>,
): (context: C, next: () => Promise<void>) => Promise<Response | undefined> {
  const { remoteAddress = nodeServerAddress } = options
  const ask = protect(limiter, options, (context: C) => ({
    header: (name) => context.req.header(name),
    remoteAddress: remoteAddress(context),
  }))
  return async (context, next) => {
    const verdict = await ask(context)
    if (verdict?.allowed === false) {
      const { status, body } = verdict
      return new Response(body, { status, headers: verdict.headers.map(([name, value]) => [name, value]) })
    }
    const ended = verdict?.ended
    const outgoing = nodeServerOf(context)?.outgoing
    // A connection tells more than a body does: also that a client has hung up before there is an answer.
    if (ended !== undefined && outgoing !== undefined) whenEnded(outgoing, ended)
    try {
      await next()
    } catch (error) {
      // Hono answers errors itself, with a status; one that comes here goes past it.
      if (outgoing === undefined) void ended?.({ status: undefined })
      throw error
    }
    if (verdict === undefined) return undefined
    const { status } = context.res
    // Only now, when there is a response: headers set before would be lost with one that a handler makes by itself.
    if (!refuses(status)) addHeaders(context, verdict.headers)
    if (ended !== undefined && outgoing === undefined) {
      const { response } = whenRead(context.req.method, context.res, ended)
      // Else Hono puts the headers of the one into the other.
      context.res = undefined
      context.res = response
    }
    return undefined
  }
}

function addHeaders(context: HonoContextLike, headers: HeaderList): void {
  try {
    for (const [name, value] of headers) context.res.headers.append(name, value)
  } catch {
    // Those of a redirect or of an answer to `fetch` cannot be changed; Hono makes a copy, for each header anew.
    for (const [name, value] of headers) context.header(name, value, { append: true })
  }
}

interface NodeServerBindings {
  readonly incoming: { readonly socket: { readonly remoteAddress?: string | undefined } }
  readonly outgoing?: Parameters<typeof whenEnded>[0]
}

/** What `@hono/node-server` tells; of other runtimes nothing. */
function nodeServerOf({ env }: HonoContextLike): NodeServerBindings | undefined {
  return typeof env === 'object' && env !== null && 'incoming' in env
    ? (env as NodeServerBindings)
    : undefined
}

function nodeServerAddress(context: HonoContextLike): string | undefined {
  const server = nodeServerOf(context)
  if (server !== undefined) return server.incoming.socket.remoteAddress
  throw new ConfigurationError(
    'honoLimit knows the address of a client from @hono/node-server only: on other runtimes say remoteAddress, or key',
  )
}
