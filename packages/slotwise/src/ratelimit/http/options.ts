import { ConfigurationError } from '../../errors.js'
import { integer, oneOf, positive, shown } from '../../options.js'
import type { Decision } from '../decision.js'
import type { Cost, Subject } from '../policy.js'
import type { QuotaUnit } from './fields.js'
import type { Denial } from './limiter.js'
import type { Problem } from './problem.js'
import type { Proxies } from './proxies.js'

/** How a response ended. */
export interface Outcome {
  /** `undefined` if the connection or the body ended before all of the response was there. */
  readonly status: number | undefined
}

/** A body of one's own for refusals. */
export interface RefusalBody {
  readonly contentType: string
  readonly text: string
}

/** What a refusal says unless told otherwise, and why it is one. */
export interface Refusal<N extends string = string> {
  readonly decision: Denial<N>
  readonly problem: Problem
  /** What `Retry-After` says; `undefined` where waiting does not help. */
  readonly retryAfterSeconds: number | undefined
}

/** Settings that all middlewares share. `R` is what the framework calls a request. */
export interface ProtectSettings<R, N extends string> {
  /** What a request takes. @defaultValue `1` from every tier */
  readonly cost?: Cost<N> | ((request: R) => Cost<N> | Promise<Cost<N>>) | undefined
  /** Requests that are neither decided nor told of limits. @defaultValue none */
  readonly skip?: ((request: R) => boolean | Promise<boolean>) | undefined
  /**
   * Which requests get back what they took, once they are answered: those with a status of 400 and above (`'failed'`), the
   * others (`'successful'`), or a choice of one's own. A client that hangs up before the answer gets nothing back, unless
   * that choice says so: else it would not be counted if only it hung up in time. @defaultValue none
   */
  readonly refund?: 'failed' | 'successful' | ((outcome: Outcome, request: R) => boolean) | undefined
  /** Whose word is taken about the client's address. @defaultValue nobody's: the other end of the connection is the client */
  readonly proxies?: Proxies | undefined
  /** By how many bits an IPv6 client is known: it has all addresses below them. @defaultValue `64` */
  readonly ipv6Prefix?: number | undefined
  /** `RateLimit` and `RateLimit-Policy`, the older `X-RateLimit-*`, both or neither. @defaultValue `'standard'` */
  readonly headers?: 'standard' | 'legacy' | 'both' | 'none' | undefined
  /** What `X-RateLimit-Reset` is: seconds from now, or since 1970. @defaultValue `'seconds'` */
  readonly legacyReset?: 'seconds' | 'epoch' | undefined
  /** What tiers count that are not counted in requests. @defaultValue requests, and of concurrency concurrent requests */
  readonly units?: Readonly<Partial<Record<N, QuotaUnit>>> | undefined
  /**
   * The most that `RateLimit` promises for each second until `t`, so that nobody takes the rest of a day for an invitation.
   * @defaultValue no bound
   */
  readonly maxPerSecond?: number | undefined
  /** What `Retry-After` says when no decision could be had, in milliseconds. @defaultValue `5000` */
  readonly unavailableRetryAfterMs?: number | undefined
  /** The body of refusals. @defaultValue the problem as `application/problem+json` */
  readonly body?: ((refusal: Refusal<N>, request: R) => RefusalBody) | undefined
  /** Hears of every decision before the request goes on or is refused: for logs, or to keep it with the request. */
  readonly onDecision?: ((decision: Decision<N>, request: R) => void) | undefined
  /** Decides, tells `onDecision` and lets everything pass, without headers: to see what limits would do. @defaultValue `false` */
  readonly shadow?: boolean | undefined
  /** Hears of refunds that failed: the response had been sent by then. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/**
 * Whose limits a request counts against. `client` gives its address, or network, as a text. May be left out where the
 * limiter takes texts: then it is the client.
 */
export type KeyOption<R, S extends Subject> = string extends S
  ? { readonly key?: ((request: R, client: () => string) => S | Promise<S>) | undefined }
  : { readonly key: (request: R, client: () => string) => S | Promise<S> }

/** Settings of a middleware. */
export type ProtectOptions<R, S extends Subject, N extends string> = ProtectSettings<R, N> & KeyOption<R, S>

/** With defaults, and checked on the spot. */
export function checked<R, N extends string>(options: ProtectSettings<R, N>) {
  const {
    refund,
    headers = 'standard',
    legacyReset = 'seconds',
    units = {},
    maxPerSecond = Infinity,
  } = options
  oneOf('headers', headers, ['standard', 'legacy', 'both', 'none'])
  oneOf('legacyReset', legacyReset, ['seconds', 'epoch'])
  if (typeof refund === 'string') oneOf('refund', refund, ['failed', 'successful'])
  else if (refund !== undefined && typeof refund !== 'function') {
    throw new ConfigurationError(`refund must be 'failed', 'successful' or a function, got ${shown(refund)}`)
  }
  if (maxPerSecond !== Infinity) positive('maxPerSecond', maxPerSecond)
  for (const [name, unit] of Object.entries<QuotaUnit | undefined>(units)) {
    oneOf(`units.${name}`, unit, ['requests', 'content-bytes', 'concurrent-requests'])
  }
  return {
    ...options,
    isStandard: headers === 'standard' || headers === 'both',
    isLegacy: headers === 'legacy' || headers === 'both',
    legacyReset,
    units: new Map(Object.entries<QuotaUnit | undefined>(units)),
    maxPerSecond,
    unavailableRetryAfterMs: integer('unavailableRetryAfterMs', options.unavailableRetryAfterMs ?? 5000),
    refunds: refundsBy(refund),
  }
}

function refundsBy<R>(
  refund: ProtectSettings<R, string>['refund'],
): ((outcome: Outcome, request: R) => boolean) | undefined {
  if (typeof refund !== 'string') return refund
  const wantsFailed = refund === 'failed'
  return ({ status }) => status !== undefined && status >= 400 === wantsFailed
}
