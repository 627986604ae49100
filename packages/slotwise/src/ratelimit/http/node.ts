import type { Subject } from '../policy.js'
import type { HeaderList } from './headers.js'
import type { HttpLimiter } from './limiter.js'
import type { Outcome, ProtectOptions } from './options.js'
import { protect } from './protect.js'
import type { RequestFacts } from './proxies.js'

/** An `IncomingMessage`, as far as it is read. */
export interface NodeRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly socket: { readonly remoteAddress?: string | undefined }
}

/** A `ServerResponse`, as far as it is written. */
export interface NodeResponse {
  statusCode: number
  readonly headersSent: boolean
  /** The connection has ended. */
  readonly destroyed: boolean
  appendHeader(name: string, value: string): unknown
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
  once(event: 'finish' | 'close', listener: () => void): unknown
}

/**
 * Limits a server of `node:http`. Resolves with whether the request may go on; if not it has been answered.
 *
 * @throws ConfigurationError an option is wrong
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
 * import { httpLimit } from 'slotwise/ratelimit/http'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const tiers = { second: tokenBucket({ capacity: 100, refillPerSecond: 100 }) }
 * const limiter = new RateLimiter(redis, { name: 'api', tiers, whenUnavailable: 'allow' })
 * const limit = httpLimit(limiter, { proxies: { trust: 1 } })
 * createServer(async (request, response) => {
 *   if (await limit(request, response)) response.end('hello')
 * }).listen(8080)
 * ```
 */
export function httpLimit<R extends NodeRequest, S extends Subject, N extends string>(
  limiter: HttpLimiter<N, S>,
  options: ProtectOptions<R, S, N>,
): (request: R, response: NodeResponse) => Promise<boolean> {
  const ask = protect(limiter, options, nodeFacts)
  return async (request, response) => {
    const verdict = await ask(request)
    // Whoever limits the time of a request may have answered meanwhile.
    if (response.headersSent) {
      if (verdict?.allowed === true) void verdict.ended?.({ status: response.statusCode })
      return false
    }
    if (verdict === undefined) return true
    if (verdict.allowed) {
      if (verdict.ended !== undefined) whenEnded(response, verdict.ended)
      for (const [name, value] of verdict.headers) response.appendHeader(name, value)
      return true
    }
    refuse(response, verdict)
    return false
  }
}

/** What is asked of an `IncomingMessage`. Node has joined headers that came more than once. */
export function nodeFacts({ headers, socket }: NodeRequest): RequestFacts {
  return {
    header: (name) => {
      const value = headers[name]
      return typeof value === 'string' ? value : value?.join(',')
    },
    remoteAddress: socket.remoteAddress,
  }
}

/** Tells once how a response ended: whole, or with its connection. */
export function whenEnded(
  response: Pick<NodeResponse, 'statusCode' | 'destroyed' | 'once'>,
  ended: (outcome: Outcome) => Promise<void>,
): void {
  let isTold = false
  const tell = (status: number | undefined) => {
    if (isTold) return
    isTold = true
    // It never rejects.
    void ended({ status })
  }
  response.once('finish', () => tell(response.statusCode))
  response.once('close', () => tell(undefined))
  // A client may have hung up while its request was decided: nothing is heard of that again.
  if (response.destroyed) tell(undefined)
}

/** Answers with a refusal. */
export function refuse(
  response: NodeResponse,
  { status, headers, body }: { status: number; headers: HeaderList; body: string },
): void {
  response.statusCode = status
  for (const [name, value] of headers) response.setHeader(name, value)
  response.end(body)
}
