import { ClosedError, UnexpectedReplyError } from '../errors.js'
import { type Key, type KeySpace, keyOf, plainName } from '../keys.js'
import { type CallOptions, integer, oneOf } from '../options.js'
import type { RedisPort, Reply } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import { publish } from '../telemetry.js'
import decideSource from './decide.lua.js'
import type { Decision, TierDescription, TierState } from './decision.js'
import { type Cost, idOf, Policy, type Subject } from './policy.js'
import type { Receipt } from './receipt.js'
import type { Tier } from './tiers.js'

/** Settings of a {@link RateLimiter}. */
export interface RateLimiterOptions<N extends string, S extends Subject> {
  /** Part of every key: limiters of one name share their counts. */
  readonly name: string
  /** The limits by name, all of which must admit; or a function that gives those of a subject, e.g. by its plan. */
  readonly tiers: Readonly<Record<N, Tier>> | ((subject: S) => Readonly<Record<N, Tier>>)
  /** What to decide when Redis does not answer in time. There is no default: either choice can be an outage. */
  readonly whenUnavailable: 'allow' | 'deny'
  /** Bound on one decision, in milliseconds. @defaultValue `50` */
  readonly deadlineMs?: number | undefined
  /** Hears of every decision that Redis did not make. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Options of {@link RateLimiter.consume}. */
export interface ConsumeOptions<N extends string> extends CallOptions {
  /** Whole numbers from 0, which only looks. @defaultValue `1` from every tier */
  readonly cost?: Cost<N> | undefined
}

/** Not repeated when its outcome is unknown: the tokens may be gone already. */
const decide = defineScript(decideSource, { repeat: 'unsafe', decode: wholeNumbers })

/**
 * Limits subjects by any number of token buckets, **all decided together or not at all**, in one round trip and
 * one key a subject, by the server's clock. A refusal consumes nothing. `retryAfterMs` is exact if nobody else
 * consumes meanwhile.
 *
 * Not guaranteed: a failover of an asynchronous replica can forget the last consumptions before it. When Redis
 * does not answer, `whenUnavailable` decides, and a decision whose answer was lost may have consumed.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const limiter = new RateLimiter(redis, {
 *   name: 'api',
 *   tiers: {
 *     second: tokenBucket({ capacity: 100, refillPerSecond: 100 }),
 *     minute: tokenBucket({ capacity: 1000, refillPerSecond: 1000 / 60 }),
 *   },
 *   whenUnavailable: 'allow',
 * })
 * const decision = await limiter.consume('customer-1')
 * if (!decision.allowed && decision.reason === 'limited') {
 *   console.log(`again in ${decision.retryAfterMs} ms`, decision.violated)
 * }
 * ```
 */
export class RateLimiter<N extends string, S extends Subject = Subject> {
  readonly #port: RedisPort
  readonly #options: RateLimiterOptions<N, S>
  #space: KeySpace
  readonly #deadlineMs: number
  readonly #policyOf: (subject: S) => Policy<N>
  readonly #taken = new WeakMap<
    Receipt<N>,
    { readonly key: Key; readonly policy: Policy<N>; readonly costs: readonly number[] }
  >()
  /** Shared by all views, so that closing one closes the limiter. */
  #life: { closed: boolean } = { closed: false }

  constructor(port: RedisPort, options: RateLimiterOptions<N, S>) {
    const { name, tiers, whenUnavailable, deadlineMs = 50 } = options
    this.#port = port
    this.#options = options
    this.#space = { namespace: port.namespace, pattern: 'ratelimit', name: plainName('name', name) }
    this.#deadlineMs = integer('deadlineMs', deadlineMs)
    oneOf('whenUnavailable', whenUnavailable, ['allow', 'deny'])
    if (typeof tiers === 'function') {
      this.#policyOf = (subject) => new Policy(tiers(subject))
    } else {
      const policy = new Policy(tiers)
      this.#policyOf = () => policy
    }
  }

  /** The same limiter for the subjects of one tenant: a free view, whose keys no other tenant's ids can reach. */
  forTenant(tenant: string): RateLimiter<N, S> {
    const view = new RateLimiter<N, S>(this.#port, this.#options)
    view.#space = { ...this.#space, tenant }
    view.#life = this.#life
    return view
  }

  /**
   * Takes `cost` tokens from every tier of `subject` if all of them have as many, and none if one has not.
   *
   * @throws ConfigurationError for a cost that is no whole number from 0, or that names an unknown tier
   */
  async consume(subject: S, { cost = 1, ...call }: ConsumeOptions<N> = {}): Promise<Decision<N>> {
    if (this.#life.closed) throw new ClosedError('this limiter has been closed')
    const policy = this.#policyOf(subject)
    const costs = policy.costs(cost)
    const key = keyOf(this.#space, idOf(subject))
    const startedAt = performance.now()
    const decision = await this.#decide(policy, costs, key, call)
    publish('slotwise:ratelimit', () => ({
      name: this.#space.name,
      key,
      outcome: decision.allowed ? 'allowed' : decision.reason,
      violated: 'violated' in decision ? decision.violated : [],
      durationMs: performance.now() - startedAt,
    }))
    return decision
  }

  /** The tiers of `subject`, in their order. Nobody is asked. */
  describe(subject: S): readonly TierDescription<N>[] {
    return this.#policyOf(subject).describe()
  }

  /**
   * Gives back what a decision took, and no more than that. `false` where there is nothing to give back: it was given back
   * before, or Redis did not decide.
   */
  async refund(receipt: Receipt<N>, call: CallOptions = {}): Promise<boolean> {
    const taken = this.#taken.get(receipt)
    if (taken === undefined) return false
    this.#taken.delete(receipt)
    const { key, policy, costs } = taken
    const plan = policy.plan(costs.map((cost) => -cost))
    await decide.run(this.#port, { state: key }, { layout: policy.layout, plan }, call)
    return true
  }

  /** Where `subject` stands. Consumes nothing. @throws when Redis cannot be asked */
  async peek(subject: S, options: CallOptions = {}): Promise<readonly TierState<N>[]> {
    const decision = await this.consume(subject, { ...options, cost: 0 })
    if (decision.allowed && decision.cause === undefined) return decision.tiers
    throw 'cause' in decision ? decision.cause : new UnexpectedReplyError('looking at a bucket was refused')
  }

  /** Fills every bucket of `subject`. Harmless to repeat. */
  async reset(subject: S, options: CallOptions = {}): Promise<void> {
    const key = keyOf(this.#space, idOf(subject))
    await this.#port.call({ key, command: ['DEL', key], repeat: 'safe' }, options)
  }

  /** Ends this limiter; the port stays open. Idempotent. */
  close(): Promise<void> {
    this.#life.closed = true
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #receipt(policy: Policy<N>, costs: readonly number[], key: Key): Receipt<N> {
    const receipt = { costs: policy.named(costs) }
    this.#taken.set(receipt, { key, policy, costs })
    return receipt
  }

  async #decide(
    policy: Policy<N>,
    costs: readonly number[],
    key: Key,
    call: CallOptions,
  ): Promise<Decision<N>> {
    const tooSmall = policy.tooSmallFor(costs)
    if (tooSmall.length > 0) return { allowed: false, reason: 'exceeds-capacity', violated: tooSmall }
    try {
      const [admitted, ...debts] = await decide.run(
        this.#port,
        { state: key },
        { layout: policy.layout, plan: policy.plan(costs) },
        { deadlineMs: this.#deadlineMs, ...call },
      )
      const tiers = policy.states(debts)
      if (admitted === 1)
        return { allowed: true, decidedBy: 'redis', tiers, receipt: this.#receipt(policy, costs, key) }
      return { allowed: false, reason: 'limited', ...policy.refusal(costs, debts), tiers }
    } catch (cause) {
      // The caller gave up: there is nobody to decide for.
      if (call.signal?.aborted === true) throw cause
      this.#options.onError?.(cause)
      return this.#options.whenUnavailable === 'allow'
        ? { allowed: true, decidedBy: 'policy', tiers: [], receipt: { costs: policy.named(costs) }, cause }
        : { allowed: false, reason: 'unavailable', cause }
    }
  }
}

function wholeNumbers(reply: Reply): readonly number[] {
  if (Array.isArray(reply) && reply.length > 0 && reply.every((item) => Number.isSafeInteger(item))) {
    return reply as readonly number[]
  }
  throw new UnexpectedReplyError('a decision was answered with something else than whole numbers')
}
