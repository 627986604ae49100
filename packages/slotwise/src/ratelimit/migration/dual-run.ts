import { ConfigurationError } from '../../errors.js'
import { integer, shown } from '../../options.js'
import type { Ruling, Side } from './side.js'

/** A request that the two sides decided differently. */
export interface Difference {
  readonly key: string
  readonly cost: number
  readonly answer: Ruling
  readonly shadow: Ruling
}

/** How often what happened, since the start. */
export interface DualCounts {
  readonly agreed: number
  /** The answering side allowed it, the shadow would not have. */
  readonly shadowRefuses: number
  /** The other way round. */
  readonly shadowAllows: number
  /** One of the sides failed or did not decide, or the shadow took longer than `compareWithinMs`: nothing could be compared. */
  readonly incomparable: number
  /** The shadow was not asked: by `sample`, or because `maxPending` of its calls were under way. */
  readonly skipped: number
}

/** Settings of a {@link DualRun}. */
export interface DualRunOptions<A, B> {
  /** Whose answers callers get, unchanged, its rejections too. */
  readonly answering: Side<A>
  /** Who is asked beside it. It counts in a store of its own, or under another name. */
  readonly shadow: Side<B>
  /** Hears of every request that the two decided differently. A few are to be expected: they do not decide at the same instant. */
  readonly onDifference?: ((difference: Difference) => void) | undefined
  /** Hears of failures of the shadow, and of these listeners. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Which share of the requests the shadow is asked for, from 0 to 1. @defaultValue `1` */
  readonly sample?: number | undefined
  /** How long the shadow's answer is waited for, by nobody but the comparison, in milliseconds. @defaultValue `1000` */
  readonly compareWithinMs?: number | undefined
  /** How many calls of the shadow may be under way; further requests go without. @defaultValue `1000` */
  readonly maxPending?: number | undefined
}

/**
 * Asks two limiters for each request, answers with one of them, and tells what they differ in: for the weeks before a limiter
 * replaces another.
 *
 * Guaranteed: **the shadow never changes an answer and is never waited for.** It may fail, hang or throw; what it costs a request is
 * the call itself, begun after that of the answering side. At most `maxPending` of its calls are under way.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
 * import { DualRun, type FlexibleLimiter, flexibleSide, limiterSide } from 'slotwise/ratelimit/migration'
 *
 * declare const old: FlexibleLimiter<unknown> // a RateLimiterRedis of rate-limiter-flexible
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const tiers = { second: tokenBucket({ capacity: 5, refillPerSecond: 5 }) }
 * const limiter = new RateLimiter<'second', string>(redis, { name: 'api', tiers, whenUnavailable: 'allow' })
 * const both = new DualRun({
 *   answering: flexibleSide(old),
 *   shadow: limiterSide(limiter),
 *   onDifference: (difference) => console.log(difference),
 * })
 * await both.consume('customer-1') // rejects as the old one does where it refuses
 * console.log(both.counts())
 * ```
 */
export class DualRun<A, B> {
  readonly #options: DualRunOptions<A, B>
  readonly #sample: number
  readonly #compareWithinMs: number
  readonly #maxPending: number
  #pending = 0
  #counts: DualCounts = { agreed: 0, shadowRefuses: 0, shadowAllows: 0, incomparable: 0, skipped: 0 }

  constructor(options: DualRunOptions<A, B>) {
    const { sample = 1, compareWithinMs = 1000, maxPending = 1000 } = options
    if (!(sample >= 0 && sample <= 1))
      throw new ConfigurationError(`sample must be from 0 to 1, got ${shown(sample)}`)
    this.#options = options
    this.#sample = sample
    this.#compareWithinMs = integer('compareWithinMs', compareWithinMs)
    this.#maxPending = integer('maxPending', maxPending)
  }

  /** Resolves and rejects as the answering side does, when it does. */
  consume(key: string, cost = 1): Promise<A> {
    const { answering } = this.#options
    // A side that throws where it should reject answers so as well.
    const answer = startOf(answering, key, cost)
    if (this.#pending < this.#maxPending && Math.random() < this.#sample) this.#compare(answer, key, cost)
    else this.#count('skipped')
    return answer
  }

  /** What came of it so far. */
  counts(): DualCounts {
    return { ...this.#counts }
  }

  #compare(answer: Promise<A>, key: string, cost: number): void {
    const { answering, shadow, onDifference, onError } = this.#options
    this.#pending++
    let timer: NodeJS.Timeout | undefined
    const tooLate = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), this.#compareWithinMs).unref()
    })
    const shadowed = rulingOf(shadow, startOf(shadow, key, cost), (error) => quietly(onError, error))
    Promise.all([rulingOf(answering, answer), Promise.race([shadowed, tooLate])])
      .then(([ours, theirs]) => {
        if (ours === undefined || theirs === undefined) return this.#count('incomparable')
        if (ours.allowed === theirs.allowed) return this.#count('agreed')
        this.#count(ours.allowed ? 'shadowRefuses' : 'shadowAllows')
        onDifference?.({ key, cost, answer: ours, shadow: theirs })
      })
      .catch((error: unknown) => quietly(onError, error))
      .finally(() => {
        clearTimeout(timer)
        this.#pending--
      })
  }

  #count(what: keyof DualCounts): void {
    this.#counts = { ...this.#counts, [what]: this.#counts[what] + 1 }
  }
}

function startOf<T>(side: Side<T>, key: string, cost: number): Promise<T> {
  try {
    return Promise.resolve(side.consume(key, cost))
  } catch (error) {
    return Promise.reject(error)
  }
}

async function rulingOf<T>(
  side: Side<T>,
  answer: Promise<T>,
  onError?: (error: unknown) => void,
): Promise<Ruling | undefined> {
  try {
    return side.ruling(await answer)
  } catch (rejection) {
    const refusal = side.refusal?.(rejection)
    if (refusal === undefined) onError?.(rejection)
    return refusal
  }
}

/** Nobody is left to hear what a listener for errors throws. */
function quietly(listener: ((error: unknown) => void) | undefined, error: unknown): void {
  try {
    listener?.(error)
  } catch {}
}
