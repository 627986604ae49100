import { createHash } from 'node:crypto'
import { ClosedError, ConfigurationError, RedisUnavailableError, UnexpectedReplyError } from '../errors.js'
import { type Id, type Key, type KeySpace, keyMaker, plainName } from '../keys.js'
import { type CallOptions, integer, oneOf, shown } from '../options.js'
import { randomTag } from '../random.js'
import { type EvictionCheck, refuseEviction } from '../redis/eviction.js'
import type { Argument, RedisPort } from '../redis/port.js'
import { Readiness } from '../redis/readiness.js'
import type { ScriptSource } from '../redis/script.js'
import { publish } from '../telemetry.js'
import blockSource from './block.lua.js'
import decideSource from './decide.lua.js'
import type { Decision, TierDescription, TierState } from './decision.js'
import { checkedLease, leaseTerms } from './lease-terms.js'
import { type LeaseStats, Leases } from './leases.js'
import { LocalShare } from './local-share.js'
import type { BlockOptions, ConsumeOptions, PenalizeOptions, RateLimiterOptions } from './options.js'
import type { Answer } from './plan.js'
import { idOf, Policy, type Subject } from './policy.js'
import { Admission, type Receipt, type Taken } from './receipt.js'
import refundSource from './refund.lua.js'
import { Refusals } from './refusals.js'
import renewSource from './renew.lua.js'
import type { Tier } from './tiers.js'

/** What all views of a limiter share. */
interface Life<N extends string> {
  closed: boolean
  readiness: Readiness | undefined
  readonly refusals: Refusals<N> | undefined
  readonly local: LocalShare<N> | undefined
  leases: Leases<N> | undefined
}

/**
 * Limits subjects by any number of tiers, **all decided together or not at all**, in one round trip and
 * one key a subject, by the server's clock. A refusal consumes nothing. `retryAfterMs` is exact if nobody else
 * consumes meanwhile.
 *
 * Not guaranteed: a failover of an asynchronous replica can forget the last consumptions before it. When Redis
 * does not answer, `whenUnavailable` decides, and a decision whose answer was lost may have consumed, unless it had an
 * `idempotencyKey`.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimiter, slidingWindow, tokenBucket } from 'slotwise/ratelimit'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const limiter = new RateLimiter(redis, {
 *   name: 'api',
 *   tiers: {
 *     second: tokenBucket({ capacity: 100, refillPerSecond: 100 }),
 *     minute: slidingWindow({ limit: 1000, windowMs: 60_000 }),
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
  #keyOf: (id: Id) => Key
  readonly #deadlineMs: number
  readonly #keepUs: number
  readonly #evictionCheck: EvictionCheck
  #policyOf: (subject: S) => Policy<N>
  /** Shared by all views, so that closing one closes the limiter. */
  #life: Life<N>

  constructor(port: RedisPort, options: RateLimiterOptions<N, S>) {
    const { name, tiers, whenUnavailable, deadlineMs = 50, onPlanChange = 'keep-used' } = options
    this.#port = port
    this.#options = options
    this.#space = { namespace: port.namespace, pattern: 'ratelimit', name: plainName('name', name) }
    this.#keyOf = keyMaker(this.#space)
    this.#deadlineMs = integer('deadlineMs', deadlineMs)
    this.#keepUs =
      1000 * integer('idempotencyWindowMs', options.idempotencyWindowMs ?? 60_000, { max: 2 ** 31 })
    this.#evictionCheck = oneOf('evictionCheck', options.evictionCheck ?? 'refuse', ['refuse', 'warn', 'off'])
    oneOf('whenUnavailable', whenUnavailable, ['allow', 'deny', 'local'])
    oneOf('onPlanChange', onPlanChange, ['keep-used', 'keep-proportion', 'reset'])
    if (options.lease !== undefined) checkedLease(options.lease)
    this.#life = { closed: false, readiness: undefined, leases: undefined, ...memoryOf<N, S>(options) }
    if (typeof tiers === 'function') {
      const policies = new WeakMap<object, Policy<N>>()
      this.#policyOf = (subject) => {
        const given: Readonly<Record<N, Tier>> = tiers(subject)
        const known = policies.get(given)
        if (known !== undefined) return known
        const policy = new Policy(given, onPlanChange)
        policies.set(given, policy)
        return policy
      }
    } else {
      const policy = new Policy(tiers, onPlanChange)
      if (options.lease !== undefined && leaseTerms(policy, options.lease) === undefined) {
        throw new ConfigurationError(
          'lease needs tiers that are steady token buckets, with epsilon × capacity at least 4',
        )
      }
      this.#policyOf = () => policy
    }
  }

  /** The same limiter for the subjects of one tenant: a free view, whose keys no other tenant's ids can reach. */
  forTenant(tenant: string): RateLimiter<N, S> {
    const view = new RateLimiter<N, S>(this.#port, this.#options)
    view.#space = { ...this.#space, tenant }
    view.#keyOf = keyMaker(view.#space)
    view.#life = this.#life
    // What is remembered of a subject is so of its policy.
    view.#policyOf = this.#policyOf
    return view
  }

  /**
   * Whether Redis keeps what is counted. Awaited by every operation, and looked at again every minute.
   *
   * @throws ConfigurationError a primary may evict counts, or will not say
   */
  ready(call: CallOptions = {}): Promise<void> {
    if (this.#evictionCheck === 'off') return Promise.resolve()
    this.#life.readiness ??= new Readiness(
      async () => {
        const looked = refuseEviction(this.#port, 'limits', {
          deadlineMs: this.#deadlineMs,
          ...call,
          ends: true,
        })
        await (this.#evictionCheck === 'warn'
          ? looked.catch((error: unknown) => {
              if (!(error instanceof ConfigurationError)) throw error
              this.#report(error)
            })
          : looked)
      },
      (error) => this.#report(error),
    )
    return this.#life.readiness.ready()
  }

  /** The tiers of `subject`, in their order. Nobody is asked. */
  describe(subject: S): readonly TierDescription<N>[] {
    const policy = this.#policyOf(subject)
    const forMs = this.#leases?.terms(policy)?.forMs
    if (forMs === undefined) return policy.describe()
    return policy.describe().map((tier, i) => {
      const excess = (forMs * 1000) / (policy.tiers[i]?.algorithm.width ?? 1)
      return { ...tier, lease: { forMs, excess } }
    })
  }

  /** How leases are doing in this process; nothing without them. */
  leaseStats(): LeaseStats | undefined {
    return this.#leases?.stats()
  }

  /**
   * Takes `cost` from every tier of `subject` if all of them have as much, and nothing if one has not.
   *
   * @throws ConfigurationError for a cost that is no whole number from 0, or that names an unknown tier; or a primary may evict counts
   */
  async consume(
    subject: S,
    { cost = 1, idempotencyKey, ...call }: ConsumeOptions<N> = {},
  ): Promise<Decision<N>> {
    this.#refuseClosed()
    const policy = this.#policyOf(subject)
    const costs = policy.costs(cost)
    const id = idFor(policy, idempotencyKey)
    const key = this.#keyOf(idOf(subject))
    const startedAt = performance.now()
    const decision = await this.#decide(policy, costs, key, {
      call,
      id,
      isKept: idempotencyKey !== undefined,
    })
    publish('slotwise:ratelimit', () => ({
      name: this.#space.name,
      key,
      outcome: decision.allowed ? 'allowed' : decision.reason,
      violated: 'violated' in decision ? decision.violated : [],
      durationMs: performance.now() - startedAt,
    }))
    return decision
  }

  /** Where `subject` stands. Consumes nothing. @throws when Redis cannot be asked */
  async peek(subject: S, call: CallOptions = {}): Promise<readonly TierState<N>[]> {
    this.#refuseClosed()
    const policy = this.#policyOf(subject)
    const costs = policy.names.map(() => 0)
    await this.ready(call)
    const { standings } = await this.#ask(policy, costs, this.#keyOf(idOf(subject)), { call })
    return policy.states(standings)
  }

  /**
   * Gives back what a decision took, as far as it still counts: tokens that have come back by themselves, and what has left its
   * window, are not given a second time. Repeated while that is harmless, for `idempotencyWindowMs`. `false` where there is
   * nothing to give back: it was given back before, nothing of it counts any more, or nobody had counted it.
   *
   * @throws RedisUnavailableError and others: whether it was given back is not known; to try again is harmless
   */
  async refund(receipt: Receipt<N>, call: CallOptions = {}): Promise<boolean> {
    const isBack = this.#leases?.refund(receipt)
    if (isBack !== undefined) return isBack
    const taken = this.#taken(receipt)
    if (taken === undefined || taken.isRefunded) return false
    this.#life.refusals?.drop(taken.key)
    const isGiven = await this.#giveBack(taken, taken.costs, taken.mark, call)
    taken.refunded()
    return isGiven
  }

  /** Ends what a decision has under way, of its concurrency tiers, and keeps what it took of others. As {@link RateLimiter.refund}. */
  async release(receipt: Receipt<N>, call: CallOptions = {}): Promise<boolean> {
    const taken = this.#taken(receipt)
    if (taken === undefined) return false
    const costs = taken.policy.tiers.map(({ kind }, i) =>
      kind === 'concurrency' ? (taken.costs[i] ?? 0) : 0,
    )
    return await this.#giveBack(taken, costs, randomTag(8), call)
  }

  /** Lets what a decision has under way last for another `ttlMs` from now. `false` where it has ended. Harmless to repeat. */
  async renew(receipt: Receipt<N>, call: CallOptions = {}): Promise<boolean> {
    const taken = this.#taken(receipt)
    if (taken?.reply === undefined) return false
    const args = [taken.policy.plan.bytes(taken.costs), taken.lease]
    return (await this.#run(renewSource, taken.key, args, call)) === 1
  }

  /** Takes `cost` of every tier, or what there is of it, and refuses nothing: for what turned out to be worse than it looked. */
  async penalize(subject: S, { cost, ...call }: PenalizeOptions<N>): Promise<void> {
    this.#refuseClosed()
    const policy = this.#policyOf(subject)
    const given = policy.costs(cost)
    // Nothing is under way.
    const costs = policy.tiers.map(({ kind }, i) => (kind === 'concurrency' ? 0 : (given[i] ?? 0)))
    await this.ready(call)
    const key = this.#keyOf(idOf(subject))
    this.#leases?.drop(key)
    await this.#ask(policy, costs, key, { call, force: true })
  }

  /** Refuses `subject` from now on for a time, whatever it has consumed. Harmless to repeat: the time counts anew. */
  async block(subject: S, { forMs, ...call }: BlockOptions): Promise<void> {
    this.#refuseClosed()
    const key = this.#keyOf(idOf(subject))
    const args = [this.#policyOf(subject).plan.empty, integer('forMs', forMs, { min: 0, max: 2 ** 48 })]
    await this.ready(call)
    this.#life.refusals?.drop(key)
    await this.#run(blockSource, key, args, call)
    this.#leases?.drop(key)
  }

  /** As if `subject` had never asked: nothing is taken of any tier, and a block ends. Harmless to repeat. */
  async reset(subject: S, call: CallOptions = {}): Promise<void> {
    const key = this.#keyOf(idOf(subject))
    this.#life.refusals?.drop(key)
    this.#leases?.drop(key)
    await this.#port.call({ key, command: ['DEL', key], repeat: 'safe' }, call)
  }

  /** Ends this limiter; the port stays open. Idempotent. */
  close(): Promise<void> {
    this.#life.closed = true
    this.#leases?.close()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #decide(
    policy: Policy<N>,
    costs: readonly number[],
    key: Key,
    asked: { readonly call: CallOptions; readonly id: Buffer | undefined; readonly isKept: boolean },
  ): Promise<Decision<N>> {
    const tooSmall = policy.tooSmallFor(costs)
    if (tooSmall.length > 0) return { allowed: false, reason: 'exceeds-capacity', violated: tooSmall }
    const { refusals, local } = this.#life
    const askedAt = performance.now()
    const remembered = refusals?.find(key, policy, costs, askedAt)
    if (remembered !== undefined && !asked.isKept) return remembered
    try {
      const leased = asked.isKept ? undefined : await this.#leases?.decide(key, policy, costs)
      if (leased !== undefined) return leased
      this.#refuseAway(key)
      await this.ready(asked.call)
      const { verdict, standings, reply, blockedUs } = await this.#ask(policy, costs, key, asked)
      const tiers = policy.states(standings)
      local?.saw(key, tiers)
      if (verdict === 'admitted' || verdict === 'repeated') {
        const receipt = new Admission(this.#life, key, policy, costs, reply, asked.id)
        return { allowed: true, decidedBy: 'redis', tiers, receipt }
      }
      const { violated, retryAfterMs } = policy.refusal(costs, standings)
      const refusal = {
        allowed: false,
        reason: verdict === 'blocked' ? 'blocked' : 'limited',
        decidedBy: 'redis',
        retryAfterMs: Math.max(retryAfterMs, Math.ceil(blockedUs / 1000)),
        violated,
        tiers,
      } as const
      refusals?.keep(key, { policy, costs, refusal, askedAt })
      return refusal
    } catch (cause) {
      // The caller gave up: there is nobody to decide for.
      if (asked.call.signal?.aborted === true || cause instanceof ConfigurationError) throw cause
      this.#report(cause)
      return this.#withoutRedis(policy, costs, key, cause)
    }
  }

  /** A primary that has been away for longer than a decision may take would only cost that long. */
  #refuseAway(key: Key): void {
    const breaker = this.#port.breaker(key)
    if (breaker.state === 'open' && breaker.forMs >= this.#deadlineMs)
      throw new RedisUnavailableError(breaker.reason)
  }

  get #leases(): Leases<N> | undefined {
    const { lease } = this.#options
    if (lease === undefined) return undefined
    // Not before they are used, since each view is built like a limiter.
    return (this.#life.leases ??= new Leases<N>(checkedLease(lease), {
      ask: async (key, policy, tokens) => {
        this.#refuseAway(key)
        await this.ready()
        const costs = policy.names.map(() => tokens)
        const answer = await this.#ask(policy, costs, key, { call: {} })
        this.#life.local?.saw(key, policy.states(answer.standings))
        return answer
      },
      heard: (key, kind, tokens) =>
        publish('slotwise:ratelimit:lease', () => ({ name: this.#space.name, key, kind, tokens })),
      failed: (error) => this.#report(error),
    }))
  }

  #withoutRedis(policy: Policy<N>, costs: readonly number[], key: Key, cause: unknown): Decision<N> {
    const { whenUnavailable } = this.#options
    const issue = (): Receipt<N> => new Admission(this.#life, key, policy, costs, undefined, undefined)
    if (whenUnavailable === 'allow')
      return { allowed: true, decidedBy: 'policy', tiers: [], receipt: issue(), cause }
    const decided = this.#life.local?.decide(key, policy, costs, performance.now())
    if (decided === undefined) return { allowed: false, reason: 'unavailable', cause }
    if (!decided.allowed) return decided
    return { allowed: true, decidedBy: 'local', tiers: decided.tiers, receipt: issue(), cause }
  }

  /** One decision of the script; of windows of the calendar again, where the server is in another than this process is. */
  async #ask(
    policy: Policy<N>,
    costs: readonly number[],
    key: Key,
    {
      call,
      id,
      isKept = false,
      force = false,
    }: {
      readonly call: CallOptions
      readonly id?: Buffer | undefined
      readonly isKept?: boolean
      readonly force?: boolean
    },
  ): Promise<Answer> {
    const repeat = isKept || costs.every((cost) => cost === 0) ? 'safe' : 'unsafe'
    const ask = async (nowUs?: number): Promise<Answer> => {
      const plan = policy.plan.bytes(costs, { force, ...(nowUs === undefined ? {} : { nowUs }) })
      const args = id === undefined ? [plan] : isKept ? [plan, id, this.#keepUs] : [plan, id]
      const reply = await this.#port.call(
        { script: decideSource, keys: [key], args, repeat },
        this.#within(call, true),
      )
      return policy.plan.read(reply, costs)
    }
    const answer = await ask()
    if (answer.verdict !== 'another-day') return answer
    const again = await ask(answer.nowUs)
    if (again.verdict !== 'another-day') return again
    throw new UnexpectedReplyError('the clock of a server runs too fast for a calendar')
  }

  async #giveBack(
    taken: Taken<N>,
    costs: readonly number[],
    mark: Buffer,
    call: CallOptions,
  ): Promise<boolean> {
    const { key, policy, reply, lease } = taken
    if (reply === undefined) return this.#life.local?.giveBack(key, costs, policy) ?? false
    if (costs.every((cost) => cost === 0)) return false
    const args = [policy.plan.bytes(costs), policy.plan.recordOf(reply), lease, mark, this.#keepUs]
    return (await this.#run(refundSource, key, args, call)) === 1
  }

  #run(script: ScriptSource, key: Key, args: readonly Argument[], call: CallOptions): Promise<unknown> {
    return this.#port.call({ script, keys: [key], args, repeat: 'safe' }, this.#within(call, false))
  }

  #within(call: CallOptions, binary: boolean): CallOptions & { readonly binary: boolean } {
    return { signal: call.signal, deadlineMs: call.deadlineMs ?? this.#deadlineMs, binary }
  }

  #taken(receipt: Receipt<N>): Taken<N> | undefined {
    this.#refuseClosed()
    return Admission.of(receipt, this.#life)
  }

  #refuseClosed(): void {
    if (this.#life.closed) throw new ClosedError('this limiter has been closed')
  }

  #report(error: unknown): void {
    try {
      this.#options.onError?.(error)
    } catch {
      // A listener that throws must not end what it listens to.
    }
  }
}

function memoryOf<N extends string, S extends Subject>({
  whenUnavailable,
  localShare,
  refusals,
}: RateLimiterOptions<N, S>): Pick<Life<N>, 'local' | 'refusals'> {
  if (localShare !== undefined && !(localShare > 0 && localShare <= 1)) {
    throw new ConfigurationError(`localShare must be above 0 and at most 1, got ${shown(localShare)}`)
  }
  if (whenUnavailable === 'local' && localShare === undefined) {
    throw new ConfigurationError(
      "whenUnavailable: 'local' needs a localShare, such as one over the number of processes",
    )
  }
  return {
    local: whenUnavailable === 'local' ? new LocalShare<N>(localShare ?? 1) : undefined,
    refusals:
      refusals === undefined
        ? undefined
        : new Refusals<N>({
            maxEntries: integer('refusals.maxEntries', refusals.maxEntries ?? 10_000),
            maxAgeMs: integer('refusals.maxAgeMs', refusals.maxAgeMs ?? 1000),
          }),
  }
}

/** By which the script knows a decision again, and what it has under way. */
function idFor(policy: Policy<string>, idempotencyKey: string | undefined): Buffer | undefined {
  if (idempotencyKey === undefined) return policy.plan.hasLeases ? randomTag(8) : undefined
  if (typeof idempotencyKey !== 'string' || idempotencyKey === '')
    throw new ConfigurationError(
      `idempotencyKey must be text that is not empty, got ${shown(idempotencyKey)}`,
    )
  return createHash('sha256').update(idempotencyKey).digest().subarray(0, 8)
}
