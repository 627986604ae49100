import { createHash } from 'node:crypto'
import { ClosedError, ConfigurationError } from '../errors.js'
import { type Id, type Key, type KeySpace, keyMaker, plainName } from '../keys.js'
import { type CallOptions, integer, oneOf, shown } from '../options.js'
import { randomTag } from '../random.js'
import type { RedisPort } from '../redis/port.js'
import { areDecisionsHeard, publish } from '../telemetry.js'
import blockSource from './block.lua.js'
import { Deciding } from './deciding.js'
import type { Decision, Refused, TierDescription, TierState } from './decision.js'
import { decideLayered, inOrder, LayeredReceipt } from './layered.js'
import { type Keyed, keyedBy, type Layer, layersOf } from './layers.js'
import { leaseTerms } from './lease-terms.js'
import type { LeaseStats } from './leases.js'
import { aheadUs, type Place, placeOf, turnOf, type WaitOptions } from './line.js'
import { type LimitedSubject, MostRefused } from './most-refused.js'
import type {
  BlockOptions,
  ConsumeOptions,
  PartOptions,
  PenalizeOptions,
  RateLimiterOptions,
  SettleOptions,
} from './options.js'
import { idOf, ofPlaces, Policy, type Subject } from './policy.js'
import { Priorities } from './priorities.js'
import { Admission, type Receipt, type Taken } from './receipt.js'
import renewSource from './renew.lua.js'
import type { Tier } from './tiers.js'

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
  readonly #priorities: Priorities
  #policyOf: (subject: S) => Policy<N>
  /** Shared by all views, as is whether it is closed. */
  #deciding: Deciding<N>
  #life = { closed: false, refused: new MostRefused() }
  readonly #layers = new WeakMap<Policy<N>, readonly Layer<N>[]>()

  constructor(port: RedisPort, options: RateLimiterOptions<N, S>) {
    const { name, tiers, onPlanChange = 'keep-used' } = options
    this.#port = port
    this.#options = options
    this.#space = { namespace: port.namespace, pattern: 'ratelimit', name: plainName('name', name) }
    this.#keyOf = keyMaker(this.#space)
    this.#deciding = new Deciding(port, options)
    this.#priorities = new Priorities(options.priorities ?? {})
    if (options.together === true && options.lease !== undefined)
      throw new ConfigurationError('together decides exactly: it takes no lease')
    oneOf('onPlanChange', onPlanChange, ['keep-used', 'keep-proportion', 'reset'])
    if (typeof tiers === 'function') {
      const policies = new WeakMap<object, Policy<N>>()
      this.#policyOf = (subject) => {
        const given: Readonly<Record<N, Tier<string>>> = tiers(subject)
        const known = policies.get(given)
        if (known !== undefined) return known
        const policy = new Policy(given, onPlanChange)
        policies.set(given, policy)
        return policy
      }
    } else {
      const policy = new Policy(tiers, onPlanChange)
      this.#layersOf(policy)
      const { lease } = options
      const isSplit = policy.tiers.some(({ by }) => by !== undefined)
      if (lease !== undefined && !isSplit && 'epsilon' in lease && leaseTerms(policy, lease) === undefined)
        throw new ConfigurationError(`lease.epsilon needs ${LEASABLE}`)
      this.#policyOf = () => policy
    }
  }

  /** The same limiter for the subjects of one tenant: a free view, whose keys no other tenant's ids can reach. */
  forTenant(tenant: string): RateLimiter<N, S> {
    const view = new RateLimiter<N, S>(this.#port, this.#options)
    view.#space = { ...this.#space, tenant }
    view.#keyOf = keyMaker(view.#space)
    view.#life = this.#life
    view.#deciding = this.#deciding
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
    return this.#deciding.ready(call)
  }

  /** The tiers of `subject`, in their order. Nobody is asked. */
  describe(subject: S): readonly TierDescription<N>[] {
    const policy = this.#policyOf(subject)
    const layers = this.#layersOf(policy)
    if (layers.length === 1) return this.#deciding.describe(policy)
    const described = layers.flatMap(({ by, policy: one }) =>
      by === undefined ? one.describe() : this.#deciding.describe(one),
    )
    return policy.names.flatMap((name) => described.find((tier) => tier.name === name) ?? [])
  }

  /** How leases are doing in this process; nothing without them. */
  leaseStats(): LeaseStats | undefined {
    return this.#deciding.leaseStats()
  }

  /**
   * Takes `cost` from every tier of `subject` if all of them have as much, and nothing if one has not.
   *
   * @throws ConfigurationError for a cost that is no whole number from 0, or that names an unknown tier; or a primary may evict counts
   */
  async consume(
    subject: S,
    { cost = 1, idempotencyKey, priority, ...call }: ConsumeOptions<N> = {},
  ): Promise<Decision<N>> {
    this.#refuseClosed()
    const policy = this.#policyOf(subject)
    const costs = policy.costs(cost)
    const layers = this.#layersOf(policy)
    const keyed = layers.length === 1 ? undefined : this.#keyed(layers, subject)
    const key = keyed?.at(-1)?.key ?? this.#keyFor(subject)
    // At the key of a part the ids of all its subjects meet.
    const id = idFor(policy, idempotencyKey, this.#isTogether ? `${key}\n` : '')
    const spares = priority === undefined ? undefined : this.#priorities.sparesOf(policy, priority)
    if (spares !== undefined && idempotencyKey !== undefined)
      throw new ConfigurationError('a request with an idempotencyKey must be of the highest priority')
    const startedAt = areDecisionsHeard() ? performance.now() : undefined
    const asked = { call, id, isKept: idempotencyKey !== undefined, spares }
    if (spares !== undefined && keyed !== undefined && !this.#isTogether)
      throw new ConfigurationError(
        'priorities are not for limits of which some are leased to a part of the subject',
      )
    const deciding =
      keyed === undefined
        ? this.#deciding.decide(policy, costs, key, asked)
        : this.#isTogether
          ? this.#deciding.together(keyed, policy, costs, asked)
          : decideLayered(this.#deciding, keyed, policy, costs, asked)
    const decision =
      this.#options.shadow === true
        ? await this.#deciding.inShadow(deciding, policy, key, call)
        : // A promise for what is there already would cost a turn of every request.
          deciding instanceof Promise
          ? await deciding
          : deciding
    this.#tell(decision, subject, key, startedAt)
    return decision
  }

  /** Of the subject that was asked for last: of a hot one a key is made, and looked for by its characters, only once. */
  #lastSubject: S | undefined
  #lastKey: Key | undefined

  #keyFor(subject: S): Key {
    // Others may have changed since.
    if (typeof subject !== 'string') return this.#keyOf(idOf(subject))
    if (subject !== this.#lastSubject || this.#lastKey === undefined) {
      this.#lastKey = this.#keyOf(subject)
      this.#lastSubject = subject
    }
    return this.#lastKey
  }

  #tell(decision: Decision<N>, subject: S, key: Key, startedAt: number | undefined): void {
    const refused = decision.allowed ? decision.wouldRefuse : decision
    if (refused !== undefined && 'retryAfterMs' in refused) this.#life.refused.add(key)
    if (startedAt === undefined) return
    publish('slotwise:ratelimit', () => ({
      name: this.#space.name,
      key,
      plan: this.#planOf(subject),
      outcome: decision.allowed ? 'allowed' : decision.reason,
      wouldRefuse: decision.allowed ? decision.wouldRefuse?.reason : undefined,
      violated: refused !== undefined && 'violated' in refused ? refused.violated : [],
      durationMs: performance.now() - startedAt,
    }))
  }

  /** A name that cannot be had must not fail what has been decided. */
  #planOf(subject: S): string | undefined {
    try {
      return this.#options.planOf?.(subject)
    } catch (error) {
      this.#deciding.report(error)
      return undefined
    }
  }

  /** Where `subject` stands. Consumes nothing. @throws when Redis cannot be asked */
  async peek(subject: S, options: CallOptions = {}): Promise<readonly TierState<N>[]> {
    this.#refuseClosed()
    const policy = this.#policyOf(subject)
    const call = await this.#deciding.readied(options)
    const layers = this.#layersOf(policy)
    const keyed = this.#keyed(layers, subject)
    const nothing = policy.names.map(() => 0)
    const answers =
      layers.length > 1 && this.#isTogether
        ? await this.#deciding.askTogether(keyed, nothing, { call })
        : await eachOf(keyed, ({ policy: one, key, places }) =>
            this.#deciding.ask(one, ofPlaces(nothing, places), key, { call }),
          )
    const states = keyed.flatMap(({ policy: one }, i) => one.states(answers[i]?.standings ?? []))
    return inOrder(policy, states)
  }

  /**
   * Gives back what a decision took, as far as it still counts: tokens that have come back by themselves, and what has left its
   * window, are not given a second time. Repeated while that is harmless, for `idempotencyWindowMs`. `false` where there is
   * nothing to give back: it was given back before, nothing of it counts any more, or nobody had counted it.
   *
   * @throws RedisUnavailableError and others: whether it was given back is not known; to try again is harmless
   */
  async refund(receipt: Receipt<N>, call: CallOptions = {}): Promise<boolean> {
    const layered = layeredOf(receipt)
    if (layered !== undefined) {
      const given = await eachOf(layered.parts, ({ receipt: one }) => this.refund(one, call))
      return given.includes(true)
    }
    const taken = this.#taken(receipt)
    if (taken === undefined || taken.isRefunded) return false
    this.#deciding.forgetRefusals(taken.key)
    const isGiven = await this.#deciding.giveBack(taken, taken.own, taken.mark, call)
    taken.refunded()
    return isGiven
  }

  /**
   * {@link RateLimiter.consume} with an estimate, for what tells its cost only afterwards, such as tokens of a model or bytes: the
   * estimate is taken at once, and {@link RateLimiter.settle} makes it the true cost. Who crashes between has taken the estimate.
   */
  reserve(subject: S, options: ConsumeOptions<N> = {}): Promise<Decision<N>> {
    return this.consume(subject, options)
  }

  /**
   * Makes what a decision took what it cost in the end: the rest is given back as far as it still counts, and what is missing is taken
   * as far as there is any. What is under way is left alone, and a refund gives back nothing of what was taken here. Repeated while that is harmless, for `idempotencyWindowMs`.
   *
   * @throws ConfigurationError for a cost that `consume` would refuse; or an earlier settlement at another cost failed, and may be done
   */
  async settle(receipt: Receipt<N>, { cost, ...call }: SettleOptions<N>): Promise<void> {
    const layered = layeredOf(receipt)
    if (layered !== undefined) {
      const whole = layered.policy
      const all = whole.costs(cost)
      await eachOf(layered.parts, ({ receipt: one, places }) => {
        const own = Object.fromEntries(places.map((i) => [whole.names[i], all[i]])) as Record<N, number>
        return this.settle(one, { cost: own, ...call })
      })
      return
    }
    const taken = this.#taken(receipt)
    if (taken === undefined) return
    const { key, policy } = taken
    const given = policy.costs(cost)
    if (taken.isRefunded) return
    const costs = policy.tiers.map(({ kind }, i) => (kind === 'concurrency' ? taken.costs[i] : given[i]) ?? 0)
    const marks = taken.settling(costs)
    const less = costs.map((actual, i) =>
      Math.min(taken.own[i] ?? 0, Math.max(0, (taken.costs[i] ?? 0) - actual)),
    )
    const more = costs.map((actual, i) => Math.max(0, actual - (taken.costs[i] ?? 0)))
    this.#deciding.forgetRefusals(key)
    await this.#deciding.giveBack(taken, less, marks.give, call)
    const isCounted = taken.answer !== undefined || taken.locally !== undefined
    if (isCounted && more.some((one) => one > 0))
      await this.#deciding.ask(policy, more, key, { call, id: marks.take, isKept: true, force: true })
    taken.settled(costs, less)
  }

  /**
   * Takes a place in the line of a bucket, for as far ahead as its `maxWaitMs`: the moment at which it is this request's turn is fixed
   * when it resolves, and none that comes later is given an earlier one. Who only consumes is refused while there is a line. A refusal takes
   * no place. An answer that is lost may have taken one, which nobody uses then. Where Redis does not answer, `whenUnavailable` decides,
   * and nobody waits.
   *
   * @throws ConfigurationError the tier has no line, or none that long
   */
  async takePlace(
    subject: S,
    { cost = 1, maxWaitMs, deadlineMs }: WaitOptions<N> = {},
  ): Promise<Place<N> | Refused<N>> {
    this.#refuseClosed()
    const policy = this.#policyOf(subject)
    const costs = policy.costs(cost)
    const key = this.#keyFor(subject)
    const startedAt = areDecisionsHeard() ? performance.now() : undefined
    // Not by the signal: whether a place was taken must be known to give it back.
    const asked = { call: { deadlineMs }, aheadUs: aheadUs(policy, costs, maxWaitMs) }
    const deciding = this.#deciding.decide(policy, costs, key, asked)
    const isTried = this.#options.shadow === true
    const decision = await (isTried
      ? this.#deciding.inShadow(deciding, policy, key, { deadlineMs })
      : deciding)
    this.#tell(decision, subject, key, startedAt)
    if (!decision.allowed) return decision
    const [standing] = this.#taken(decision.receipt)?.answer?.standings ?? []
    const delayMs = isTried ? 0 : Math.ceil((standing?.waitUs(0) ?? 0) / 1000)
    return placeOf(decision, delayMs, (call) => this.refund(decision.receipt, call))
  }

  /**
   * {@link RateLimiter.takePlace}, resolved at its turn. Who gives up by the signal leaves the line: the place is given back if nobody is
   * behind it, else it stays taken.
   *
   * @throws the reason of the signal
   */
  async wait(subject: S, options: WaitOptions<N> = {}): Promise<Decision<N>> {
    options.signal?.throwIfAborted()
    const place = await this.takePlace(subject, options)
    return await turnOf(place, options.signal, (error) => this.#deciding.report(error))
  }

  /** Ends what a decision has under way, of its concurrency tiers, and keeps what it took of others. As {@link RateLimiter.refund}. */
  async release(receipt: Receipt<N>, call: CallOptions = {}): Promise<boolean> {
    const released = await eachOf(this.#underWay(receipt), async (taken) => {
      const costs = taken.policy.tiers.map(({ kind }, i) =>
        kind === 'concurrency' ? (taken.costs[i] ?? 0) : 0,
      )
      return await this.#deciding.giveBack(taken, costs, randomTag(8), call)
    })
    return released.includes(true)
  }

  /** Lets what a decision has under way last for another `ttlMs` from now. `false` where any of it has ended. Harmless to repeat. */
  async renew(receipt: Receipt<N>, call: CallOptions = {}): Promise<boolean> {
    const renewed = await eachOf(this.#underWay(receipt), async ({ policy, costs, lease, key, answer }) => {
      if (answer === undefined) return false
      return (await this.#deciding.run(renewSource, key, [policy.plan.bytes(costs), lease], call)) === 1
    })
    return renewed.length > 0 && !renewed.includes(false)
  }

  /** Takes `cost` of every tier, or what there is of it, and refuses nothing: for what turned out to be worse than it looked. */
  async penalize(subject: S, { cost, ...options }: PenalizeOptions<N>): Promise<void> {
    this.#refuseClosed()
    const policy = this.#policyOf(subject)
    const given = policy.costs(cost)
    // Nothing is under way.
    const costs = policy.tiers.map(({ kind }, i) => (kind === 'concurrency' ? 0 : (given[i] ?? 0)))
    const call = await this.#deciding.readied(options)
    for (const { policy: one, places, key } of this.#keyed(this.#layersOf(policy), subject)) {
      this.#deciding.forget(key)
      await this.#deciding.ask(one, ofPlaces(costs, places), key, { call, force: true })
    }
  }

  /** Refuses `subject` from now on for a time, whatever it has consumed. Harmless to repeat: the time counts anew. */
  async block(subject: S, { forMs, by, ...options }: BlockOptions): Promise<void> {
    this.#refuseClosed()
    const { key, policy } = this.#layerOf(subject, by)
    const { plan } = policy
    const args = [plan.empty, integer('forMs', forMs, { min: 0, max: 2 ** 48 }), plan.bytes([])]
    const call = await this.#deciding.readied(options)
    this.#deciding.forget(key)
    await this.#deciding.run(blockSource, key, args, call)
  }

  /** As if `subject` had never asked: nothing is taken of any tier, and a block ends. Harmless to repeat. */
  async reset(subject: S, { by, ...call }: PartOptions = {}): Promise<void> {
    const { key } = this.#layerOf(subject, by)
    this.#deciding.forget(key)
    await this.#port.call({ key, command: ['DEL', key], repeat: 'safe' }, call)
  }

  /**
   * Who was refused most often, by this process, since the limiter was made; those that were refused most first, and subjects of
   * every tenant. In memory that is bounded: who was refused more often than a thousandth of all refusals is there.
   */
  topLimited(n = 10): readonly LimitedSubject[] {
    return this.#life.refused.top(integer('n', n, { min: 0 }))
  }

  /** Ends this limiter; the port stays open. Idempotent. */
  close(): Promise<void> {
    this.#life.closed = true
    this.#deciding.close()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #taken(receipt: Receipt<N>): Taken<N> | undefined {
    this.#refuseClosed()
    return Admission.of(receipt, this.#deciding)
  }

  /** What has something under way. */
  #underWay(receipt: Receipt<N>): readonly Taken<N>[] {
    const receipts = layeredOf(receipt)?.parts.map((part) => part.receipt) ?? [receipt]
    return receipts.flatMap((one) => {
      const taken = this.#taken(one)
      const isUnderWay = taken?.policy.tiers.some(
        ({ kind }, i) => kind === 'concurrency' && (taken.costs[i] ?? 0) > 0,
      )
      return taken !== undefined && isUnderWay === true ? [taken] : []
    })
  }

  get #isTogether(): boolean {
    return this.#options.together === true
  }

  /** The layer that counts a part of the subject, or what is only its own. */
  #layerOf(subject: S, by: string | undefined): Keyed<N> {
    const keyed = this.#keyed(this.#layersOf(this.#policyOf(subject)), subject)
    const layer = keyed.find((one) => one.by === by)
    if (layer === undefined) throw new ConfigurationError(`no tier counts by ${shown(by)}`)
    return layer
  }

  #layersOf(policy: Policy<N>): readonly Layer<N>[] {
    const known = this.#layers.get(policy)
    if (known !== undefined) return known
    const { lease, onPlanChange = 'keep-used' } = this.#options
    const layers = layersOf(policy, onPlanChange)
    if (this.#isTogether && layers.length > 2)
      throw new ConfigurationError(
        'together puts one part of a subject and the whole of it into one slot, not several parts',
      )
    for (const { by, policy: one } of layers) {
      if (
        by === undefined ||
        this.#isTogether ||
        (lease !== undefined && leaseTerms(one, lease) !== undefined)
      )
        continue
      throw new ConfigurationError(
        `tiers by ${shown(by)} are counted by leases: set lease, or together; a lease needs ${LEASABLE}`,
      )
    }
    this.#layers.set(policy, layers)
    return layers
  }

  #keyed(layers: readonly Layer<N>[], subject: S): readonly Keyed<N>[] {
    return keyedBy(layers, subject, { keyOf: this.#keyOf, together: this.#isTogether })
  }

  #refuseClosed(): void {
    if (this.#life.closed) throw new ClosedError('this limiter has been closed')
  }
}

const LEASABLE = 'tiers that are steady token buckets, and epsilon × capacity of at least 4'

/** By which the script knows a decision again, and what it has under way. */
function idFor(
  policy: Policy<string>,
  idempotencyKey: string | undefined,
  whose: string,
): Buffer | undefined {
  if (idempotencyKey === undefined) return policy.plan.hasLeases ? randomTag(8) : undefined
  if (typeof idempotencyKey !== 'string' || idempotencyKey === '')
    throw new ConfigurationError(
      `idempotencyKey must be text that is not empty, got ${shown(idempotencyKey)}`,
    )
  return createHash('sha256').update(whose).update(idempotencyKey).digest().subarray(0, 8)
}

/** What several layers gave. Of which names, the type of a receipt tells and its class does not. */
const layeredOf = <N extends string>(receipt: Receipt<N>): LayeredReceipt<N> | undefined =>
  receipt instanceof LayeredReceipt ? (receipt as LayeredReceipt<N>) : undefined

/** One after the other. */
async function eachOf<T, R>(all: readonly T[], of: (one: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = []
  for (const one of all) results.push(await of(one))
  return results
}
