import type { Subject } from '../policy.js'
import { endingOf } from './ending.js'
import { type HeaderList, headerMaker, retryAfterSeconds } from './headers.js'
import type { Admission, Denial, HttpLimiter } from './limiter.js'
import { checked, type Outcome, type ProtectOptions } from './options.js'
import { problemOf } from './problem.js'
import { clientReader, type RequestFacts } from './proxies.js'

/** What is to be done with a request. */
export type Verdict<N extends string = string> =
  | {
      readonly allowed: true
      readonly decision: Admission<N>
      /** To be added to those that the response has: several limits may speak in one response. */
      readonly headers: HeaderList
      /**
       * To be told how the response ended; absent where nobody asks. Gives back what was taken if the settings say so, and the
       * place in a limit of concurrency, which is held until then. Never rejects.
       */
      readonly ended?: (outcome: Outcome) => Promise<void>
    }
  | {
      readonly allowed: false
      readonly decision: Denial<N>
      readonly status: 429 | 503
      /** In the place of those of the same names. */
      readonly headers: HeaderList
      readonly body: string
    }

/** A limit as it is asked for each request; `undefined` for those that are skipped. Rejects as `key`, `cost` and `skip` do. */
export type Protection<R, N extends string = string> = (request: R) => Promise<Verdict<N> | undefined>

/**
 * From a request to a decision, its headers and the body of a refusal, for any server: what the middlewares of this package
 * are made of.
 *
 * @throws ConfigurationError an option is wrong
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
 * import { protect } from 'slotwise/ratelimit/http'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const tiers = { second: tokenBucket({ capacity: 100, refillPerSecond: 100 }) }
 * const limiter = new RateLimiter(redis, { name: 'api', tiers, whenUnavailable: 'allow' })
 * const ask = protect(limiter, {}, (request: Request) => ({
 *   header: (name) => request.headers.get(name) ?? undefined,
 *   remoteAddress: '192.0.2.1',
 * }))
 * const verdict = await ask(new Request('https://api.example/'))
 * if (verdict?.allowed === false) console.log(verdict.status, verdict.body)
 * ```
 */
export function protect<R, S extends Subject, N extends string>(
  limiter: HttpLimiter<N, S>,
  options: ProtectOptions<R, S, N>,
  factsOf: (request: R) => RequestFacts,
): Protection<R, N> {
  const settings = checked<R, N>(options)
  const { cost, skip, body, refunds, onDecision, onError, shadow = false } = settings
  const read = clientReader(settings.proxies, settings.ipv6Prefix ?? 64)
  const headersOf = headerMaker(settings)
  const clientOf = (request: R) => read(factsOf(request))
  // Where no key is given the limiter takes texts: `KeyOption` holds that.
  const key = options.key ?? ((_: R, client: () => string) => client() as S)

  return async (request) => {
    if (skip !== undefined && (await skip(request))) return undefined
    const given = key(request, () => clientOf(request))
    // A promise for what is there already would cost a turn of every request.
    const subject = given instanceof Promise ? await given : given
    const taken = typeof cost === 'function' ? await cost(request) : cost
    const decision = await limiter.consume(subject, taken === undefined ? {} : { cost: taken })
    onDecision?.(decision, request)
    if (shadow && !decision.allowed) return undefined
    const tiers = limiter.describe(subject)
    if (decision.allowed) {
      const ended = endingOf(limiter, {
        receipt: decision.receipt,
        tiers,
        refunds: refunds && ((outcome) => refunds(outcome, request)),
        onError,
      })
      const headers = shadow ? [] : headersOf(decision, tiers, undefined)
      return ended === undefined
        ? { allowed: true, decision, headers }
        : { allowed: true, decision, headers, ended }
    }
    const retryAfter = retryAfterSeconds(decision, tiers, settings.unavailableRetryAfterMs)
    const problem = problemOf(decision)
    const { contentType, text } = body?.({ decision, problem, retryAfterSeconds: retryAfter }, request) ?? {
      contentType: 'application/problem+json',
      text: JSON.stringify(problem),
    }
    const headers: HeaderList = [...headersOf(decision, tiers, retryAfter), ['Content-Type', contentType]]
    return { allowed: false, decision, status: problem.status, headers, body: text }
  }
}
