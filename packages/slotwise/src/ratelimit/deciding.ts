import { ConfigurationError, RedisUnavailableError, UnexpectedReplyError } from '../errors.js'
import type { Key } from '../keys.js'
import { type CallOptions, integer, oneOf, shown } from '../options.js'
import { checkEviction, type EvictionCheck } from '../redis/eviction.js'
import type { Argument, RedisPort } from '../redis/port.js'
import { Readiness, restOf } from '../redis/readiness.js'
import type { ScriptSource } from '../redis/script.js'
import { publish } from '../telemetry.js'
import type { Standing } from './algorithm.js'
import decideSource from './decide.lua.js'
import type { Decision, TierDescription, TierState } from './decision.js'
import { inOrder, LayeredReceipt } from './layered.js'
import type { Keyed } from './layers.js'
import { checkedLease, excessOf } from './lease-terms.js'
import { type LeaseStats, Leases } from './leases.js'
import { LocalShare } from './local-share.js'
import type { RateLimiterOptions } from './options.js'
import { type Answer, LINE, SPARE } from './plan.js'
import { ofPlaces, type Policy } from './policy.js'
import { Admission, type Receipt, type Taken } from './receipt.js'
import refundSource from './refund.lua.js'
import { Refusals } from './refusals.js'
import { inShadow } from './shadow.js'
import togetherSource from './together.lua.js'

/** What is asked besides the costs. */
export interface Asked {
  readonly call: CallOptions
  /** By which the script knows the decision again, and what it has under way. */
  readonly id?: Buffer | undefined
  readonly isKept?: boolean
  readonly force?: boolean
  /** How far ahead a place in the line of a bucket may be, in microseconds. */
  readonly aheadUs?: number
  /** How much of each tier has to be left for others. */
  readonly spares?: readonly number[] | undefined
}

/** Who decides: Redis, what this process was given by it or remembers of it, or this process by itself. Shared by all views of a limiter. */
export class Deciding<N extends string> {
  readonly #port: RedisPort
  readonly #whenUnavailable: 'allow' | 'deny' | 'local'
  readonly #deadlineMs: number
  readonly #keepUs: number
  readonly #evictionCheck: EvictionCheck
  readonly #onError: ((error: unknown) => void) | undefined
  readonly #refusals: Refusals<N> | undefined
  readonly #local: LocalShare<N> | undefined
  readonly #options: RateLimiterOptions<N, never>
  #made: Leases<N> | undefined
  #readiness: Readiness | undefined

  constructor(port: RedisPort, options: RateLimiterOptions<N, never>) {
    const {
      whenUnavailable,
      deadlineMs = 50,
      evictionCheck = 'refuse',
      idempotencyWindowMs = 60_000,
    } = options
    this.#port = port
    this.#whenUnavailable = oneOf('whenUnavailable', whenUnavailable, ['allow', 'deny', 'local'])
    this.#deadlineMs = integer('deadlineMs', deadlineMs)
    this.#keepUs = 1000 * integer('idempotencyWindowMs', idempotencyWindowMs, { max: 2 ** 31 })
    this.#evictionCheck = oneOf('evictionCheck', evictionCheck, ['refuse', 'warn', 'off'])
    this.#onError = options.onError
    this.#refusals = refusalsOf(options)
    this.#local = localShareOf(options)
    this.#options = options
    if (options.lease !== undefined) checkedLease(options.lease)
  }

  ready(call: CallOptions): Promise<void> {
    if (this.#evictionCheck === 'off') return Promise.resolve()
    const report = (error: unknown) => this.report(error)
    // For all who ever call, and so by nobody's signal.
    const looking = { deadlineMs: this.#deadlineMs, check: this.#evictionCheck, report, ends: true }
    this.#readiness ??= new Readiness(() => checkEviction(this.#port, 'limits', looking), report)
    return this.#readiness.ready(call)
  }

  /** What is left of a call once it is known that Redis can be asked. */
  async readied(call: CallOptions, askedAt = performance.now()): Promise<CallOptions> {
    const { signal, deadlineMs = this.#deadlineMs } = call
    await this.ready({ signal, deadlineMs })
    const spentMs = performance.now() - askedAt
    return spentMs < 1 ? call : restOf({ signal, deadlineMs }, spentMs)
  }

  /** Lets in whatever is decided, and tells it. */
  inShadow(
    deciding: Decision<N> | Promise<Decision<N>>,
    policy: Policy<N>,
    key: Key,
    { signal, deadlineMs = this.#deadlineMs }: CallOptions,
  ): Promise<Decision<N>> {
    const nothing = policy.names.map(() => 0)
    const untaken = () => new Admission(this, key, policy, nothing, undefined)
    const report = (error: unknown) => this.report(error)
    return inShadow(Promise.resolve(deciding), { boundMs: deadlineMs, signal, untaken, report })
  }

  /** By a lease where the subject is hot, the request is one like the others, and what it takes comes back by itself. */
  decide(
    policy: Policy<N>,
    costs: readonly number[],
    key: Key,
    asked: Asked,
  ): Decision<N> | Promise<Decision<N>> {
    const leases = this.#leases
    if (leases === undefined || asked.isKept === true || !isLikeOthers(asked))
      return this.exactly(policy, costs, key, asked)
    asked.call.signal?.throwIfAborted()
    const decided = leases.decide(key, policy, costs)
    if (decided === undefined) return this.exactly(policy, costs, key, asked)
    if (decided instanceof Promise) return this.#byLease(decided, policy, costs, key, asked)
    return this.#leased(decided, policy, costs, key)
  }

  async #byLease(
    deciding: ReturnType<Leases<N>['decide']>,
    policy: Policy<N>,
    costs: readonly number[],
    key: Key,
    asked: Asked,
  ): Promise<Decision<N>> {
    try {
      const decided = await deciding
      if (decided === undefined) return await this.exactly(policy, costs, key, asked)
      return this.#leased(decided, policy, costs, key)
    } catch (cause) {
      return this.#failed(policy, costs, key, asked, cause)
    }
  }

  #leased(
    decided: Exclude<Awaited<ReturnType<Leases<N>['decide']>>, undefined>,
    policy: Policy<N>,
    costs: readonly number[],
    key: Key,
  ): Decision<N> {
    if (!('leased' in decided)) return decided
    const { tiers, giveBack } = decided
    const receipt = new Admission(this, key, policy, costs, undefined, {}, giveBack)
    return { allowed: true, decidedBy: 'lease', tiers, receipt }
  }

  get #leases(): Leases<N> | undefined {
    const { lease, name } = this.#options
    if (lease === undefined) return undefined
    // Not before they are used, since each view is built like a limiter.
    this.#made ??= new Leases<N>(checkedLease(lease), {
      ask: async (key, policy, costs) => {
        this.#refuseAway(key)
        await this.ready({})
        const answer = await this.ask(policy, costs, key, { call: {} })
        this.#local?.saw(key, policy.states(answer.standings))
        return answer
      },
      heard: (key, kind, tokens) => publish('slotwise:ratelimit:lease', () => ({ name, key, kind, tokens })),
      failed: (error) => this.report(error),
    })
    return this.#made
  }

  /** With what leases change, where there are any. */
  describe(policy: Policy<N>): readonly TierDescription<N>[] {
    const terms = this.#leases?.terms(policy)
    if (terms === undefined) return policy.describe()
    return policy.describe().map((tier, i) => {
      const one = policy.tiers[i]
      const excess = one === undefined ? undefined : excessOf(one, terms)
      return { ...tier, lease: { forMs: terms.forMs, excess } }
    })
  }

  leaseStats(): LeaseStats | undefined {
    return this.#leases?.stats()
  }

  close(): void {
    this.#made?.close()
  }

  /** By Redis, or what whenUnavailable says. */
  async exactly(policy: Policy<N>, costs: readonly number[], key: Key, asked: Asked): Promise<Decision<N>> {
    const wanted = wantedOf(costs, asked.spares)
    const tooSmall = policy.tooSmallFor(wanted)
    if (tooSmall.length > 0) return { allowed: false, reason: 'exceeds-capacity', violated: tooSmall }
    const askedAt = performance.now()
    const remembered = this.#refusals?.find(key, policy, costs, askedAt)
    if (remembered !== undefined && isLikeOthers(asked) && asked.isKept !== true) return remembered
    try {
      this.#refuseAway(key)
      const call = await this.readied(asked.call, askedAt)
      const answer = await this.ask(policy, costs, key, call === asked.call ? asked : { ...asked, call })
      const { verdict, standings } = answer
      const tiers = policy.states(standings)
      this.#local?.saw(key, tiers)
      if (verdict === 'admitted' || verdict === 'repeated') {
        const receipt = new Admission(this, key, policy, costs, answer, asked)
        return { allowed: true, decidedBy: 'redis', tiers, receipt }
      }
      const refusal = refusalOf(policy, wanted, answer)
      if (isLikeOthers(asked)) this.#refusals?.keep(key, { policy, costs, refusal, askedAt })
      return refusal
    } catch (cause) {
      return this.#failed(policy, costs, key, asked, cause)
    }
  }

  /** The same of layers whose keys lie in one slot, by Redis all at once. */
  async together(
    layers: readonly Keyed<N>[],
    policy: Policy<N>,
    costs: readonly number[],
    asked: Asked,
  ): Promise<Decision<N>> {
    const wanted = wantedOf(costs, asked.spares)
    const tooSmall = policy.tooSmallFor(wanted)
    if (tooSmall.length > 0) return { allowed: false, reason: 'exceeds-capacity', violated: tooSmall }
    const [part, whole] = layers as readonly [Keyed<N>, Keyed<N>]
    const { key } = whole
    const askedAt = performance.now()
    const remembered = this.#refusals?.find(key, policy, costs, askedAt)
    if (remembered !== undefined && isLikeOthers(asked) && asked.isKept !== true) return remembered
    try {
      this.#refuseAway(key)
      const call = await this.readied(asked.call, askedAt)
      const [ofPart, ofWhole] = await this.askTogether(layers, costs, { ...asked, call })
      const standings = policy.names.map((_, i) => {
        const [layer, { standings: own }] = part.places.includes(i) ? [part, ofPart] : [whole, ofWhole]
        return own[layer.places.indexOf(i)] as Standing
      })
      this.#local?.saw(part.key, part.policy.states(ofPart.standings))
      this.#local?.saw(key, whole.policy.states(ofWhole.standings))
      if (ofWhole.verdict === 'admitted' || ofWhole.verdict === 'repeated') {
        const receipt = receiptOf(policy, layers, (layer) => {
          const answer = layer === part ? ofPart : ofWhole
          return new Admission(this, layer.key, layer.policy, ofPlaces(costs, layer.places), answer, asked)
        })
        return { allowed: true, decidedBy: 'redis', tiers: policy.states(standings), receipt }
      }
      const isBlocked = ofPart.verdict === 'blocked'
      const refusal = refusalOf(policy, wanted, {
        verdict: isBlocked ? 'blocked' : ofWhole.verdict,
        standings,
        blockedUs: Math.max(ofPart.blockedUs, ofWhole.blockedUs),
      })
      // What others give back to the part lets this subject in, and who gives it back does not know of it.
      const isOwn = !isBlocked && refusal.violated.every((name) => whole.policy.names.includes(name))
      if (isOwn && isLikeOthers(asked)) this.#refusals?.keep(key, { policy, costs, refusal, askedAt })
      return refusal
    } catch (cause) {
      return this.#failedTogether(layers, policy, costs, asked, cause)
    }
  }

  /** A primary that has been away for longer than a decision may take would only cost that long. */
  #refuseAway(key: Key): void {
    const breaker = this.#port.breaker(key)
    if (breaker.state === 'open' && breaker.forMs >= this.#deadlineMs)
      throw new RedisUnavailableError(breaker.reason)
  }

  #failed(policy: Policy<N>, costs: readonly number[], key: Key, asked: Asked, cause: unknown): Decision<N> {
    this.#hear(asked, cause)
    const issue = (): Receipt<N> => new Admission(this, key, policy, costs, undefined)
    if (this.#whenUnavailable === 'allow')
      return { allowed: true, decidedBy: 'policy', tiers: [], receipt: issue(), cause }
    const decided = this.#local?.decide(key, policy, costs, performance.now())
    if (decided === undefined) return { allowed: false, reason: 'unavailable', cause }
    if (!decided.allowed) return decided
    return { allowed: true, decidedBy: 'local', tiers: decided.tiers, receipt: issue(), cause }
  }

  #failedTogether(
    layers: readonly Keyed<N>[],
    whole: Policy<N>,
    costs: readonly number[],
    asked: Asked,
    cause: unknown,
  ): Decision<N> {
    this.#hear(asked, cause)
    const receipt = receiptOf(
      whole,
      layers,
      ({ key, policy, places }) => new Admission(this, key, policy, ofPlaces(costs, places), undefined),
    )
    if (this.#whenUnavailable === 'allow')
      return { allowed: true, decidedBy: 'policy', tiers: [], receipt, cause }
    const states: TierState<N>[] = []
    for (const [i, { key, policy, places }] of layers.entries()) {
      const decided = this.#local?.decide(key, policy, ofPlaces(costs, places), performance.now())
      if (decided?.allowed !== true) {
        for (const one of layers.slice(0, i))
          this.#local?.giveBack(one.key, ofPlaces(costs, one.places), one.policy)
        return decided ?? { allowed: false, reason: 'unavailable', cause }
      }
      states.push(...decided.tiers)
    }
    return { allowed: true, decidedBy: 'local', tiers: inOrder(whole, states), receipt, cause }
  }

  /** @throws what nobody can decide for: the caller gave up, or the limiter is not to be used */
  #hear({ call }: Asked, cause: unknown): void {
    if (call.signal?.aborted === true || cause instanceof ConfigurationError) throw cause
    this.report(cause)
  }

  /** One decision of the script; of windows of the calendar again, where the server is in another than this process is. */
  async ask(
    policy: Policy<N>,
    costs: readonly number[],
    key: Key,
    { call, id, isKept = false, force = false, aheadUs, spares }: Asked,
  ): Promise<Answer> {
    const repeat = isKept || costs.every((cost) => cost === 0) ? 'safe' : 'unsafe'
    const within = this.#within(call, true)
    const wanted = wantedOf(costs, spares)
    const [extra, more] =
      spares !== undefined ? [SPARE, bytesOf(spares)] : aheadUs !== undefined ? [LINE, aheadUs] : [0]
    let nowUs: number | undefined
    for (let tries = 0; tries < 2; tries++) {
      const plan = policy.plan.bytes(costs, force, nowUs, extra)
      const args: Argument[] = id === undefined ? [plan] : isKept ? [plan, id, this.#keepUs] : [plan, id]
      if (more !== undefined) args.splice(1, 2, id ?? '', isKept ? this.#keepUs : '', more)
      const reply = await this.#port.call({ script: decideSource, keys: [key], args, repeat }, within)
      const answer = policy.plan.read(reply, costs, wanted)
      if (answer.verdict !== 'another-day') return answer
      nowUs = answer.nowUs
    }
    throw new UnexpectedReplyError(TOO_FAST)
  }

  /** The same of the layers of one slot: of the part, then of the whole. */
  async askTogether(
    layers: readonly Keyed<N>[],
    costs: readonly number[],
    { call, id, isKept = false, spares }: Asked,
  ): Promise<readonly [part: Answer, whole: Answer]> {
    const [part, whole] = layers as readonly [Keyed<N>, Keyed<N>]
    const wanted = wantedOf(costs, spares)
    const isTaking = costs.some((cost) => cost > 0)
    const repeat = isKept || !isTaking ? 'safe' : 'unsafe'
    const within = this.#within(call, true)
    const left = (layer: Keyed<N>): Argument =>
      spares === undefined ? '' : bytesOf(ofPlaces(spares, layer.places))
    let nowUs: number | undefined
    for (let tries = 0; tries < 2; tries++) {
      const plan = ({ policy, places }: Keyed<N>) =>
        policy.plan.bytes(ofPlaces(costs, places), false, nowUs, spares === undefined ? 0 : SPARE)
      const marks = [id ?? '', isKept ? this.#keepUs : '', isTaking ? 1 : 0]
      const args = [plan(whole), plan(part), ...marks, left(whole), left(part)]
      const keys = [whole.key, part.key] as const
      const reply = await this.#port.call({ script: togetherSource, keys, args, repeat }, within)
      const [own, common] = (Array.isArray(reply) ? reply : []) as readonly unknown[]
      const read = ({ policy, places }: Keyed<N>, one: unknown) =>
        policy.plan.read(one, ofPlaces(costs, places), ofPlaces(wanted, places))
      const answers = { whole: read(whole, own), part: read(part, common) }
      const late = [answers.whole, answers.part].find(({ verdict }) => verdict === 'another-day')
      if (late === undefined) return [asDecided(answers.part, answers.whole), answers.whole]
      nowUs = late.nowUs
    }
    throw new UnexpectedReplyError(TOO_FAST)
  }

  async giveBack(
    taken: Taken<N>,
    costs: readonly number[],
    mark: Buffer,
    call: CallOptions,
  ): Promise<boolean> {
    const { key, policy, answer, lease } = taken
    if (taken.locally !== undefined) {
      // Of a lease all tiers have the same; what only some give back they do not.
      const back = Math.min(...costs)
      return back > 0 && taken.locally(back)
    }
    if (answer === undefined) return this.#local?.giveBack(key, costs, policy) ?? false
    if (costs.every((cost) => cost === 0)) return false
    const args = [policy.plan.bytes(costs), policy.plan.recordOf(answer), lease, mark, this.#keepUs]
    return (await this.run(refundSource, key, args, call)) === 1
  }

  run(script: ScriptSource, key: Key, args: readonly Argument[], call: CallOptions): Promise<unknown> {
    return this.#port.call({ script, keys: [key], args, repeat: 'safe' }, this.#within(call, false))
  }

  #within(call: CallOptions, binary: boolean): CallOptions & { readonly binary: boolean } {
    return { signal: call.signal, deadlineMs: call.deadlineMs ?? this.#deadlineMs, binary }
  }

  /** What this process knows of a subject is true no more. */
  forget(key: Key): void {
    this.#refusals?.drop(key)
    this.#made?.drop(key)
  }

  /** Something is given back: who was refused may be let in. */
  forgetRefusals(key: Key): void {
    this.#refusals?.drop(key)
  }

  report(error: unknown): void {
    try {
      this.#onError?.(error)
    } catch {
      // A listener that throws must not end what it listens to.
    }
  }
}

const TOO_FAST = 'the clock of a server runs too fast for a calendar'

/** What was decided before is known at the key of the whole only. */
const asDecided = (part: Answer, { verdict, decidedUs }: Answer): Answer =>
  verdict === 'repeated' ? { ...part, verdict, decidedUs } : part

const receiptOf = <N extends string>(
  policy: Policy<N>,
  layers: readonly Keyed<N>[],
  of: (layer: Keyed<N>) => Receipt<N>,
): Receipt<N> =>
  new LayeredReceipt(
    policy,
    layers.map((layer) => ({ receipt: of(layer), places: layer.places })),
  )

function refusalOf<N extends string>(
  policy: Policy<N>,
  wanted: readonly number[],
  { verdict, standings, blockedUs }: Pick<Answer, 'verdict' | 'standings' | 'blockedUs'>,
): Extract<Decision<N>, { readonly retryAfterMs: number }> {
  const { violated, retryAfterMs } = policy.refusal(wanted, standings)
  return {
    allowed: false,
    reason: verdict === 'blocked' ? 'blocked' : 'limited',
    decidedBy: 'redis',
    retryAfterMs: Math.max(retryAfterMs, Math.ceil(blockedUs / 1000)),
    violated,
    tiers: policy.states(standings),
  }
}

/** Who waits, or leaves something for others, may be let in or refused where others are not. */
const isLikeOthers = ({ aheadUs, spares }: Asked): boolean => aheadUs === undefined && spares === undefined

/** What has to be there for a request. */
const wantedOf = (costs: readonly number[], spares: readonly number[] | undefined): readonly number[] =>
  spares === undefined ? costs : costs.map((cost, i) => (cost === 0 ? 0 : cost + (spares[i] ?? 0)))

function bytesOf(spares: readonly number[]): Buffer {
  const bytes = Buffer.alloc(5 * spares.length)
  for (const [i, spare] of spares.entries()) bytes.writeUIntBE(spare, 5 * i, 5)
  return bytes
}

function refusalsOf<N extends string>({ refusals }: RateLimiterOptions<N, never>): Refusals<N> | undefined {
  if (refusals === undefined) return undefined
  return new Refusals({
    maxEntries: integer('refusals.maxEntries', refusals.maxEntries ?? 10_000),
    maxAgeMs: integer('refusals.maxAgeMs', refusals.maxAgeMs ?? 1000),
  })
}

function localShareOf<N extends string>({
  whenUnavailable,
  localShare,
}: RateLimiterOptions<N, never>): LocalShare<N> | undefined {
  if (localShare !== undefined && !(localShare > 0 && localShare <= 1)) {
    throw new ConfigurationError(`localShare must be above 0 and at most 1, got ${shown(localShare)}`)
  }
  if (whenUnavailable !== 'local') return undefined
  if (localShare !== undefined) return new LocalShare(localShare)
  throw new ConfigurationError(
    "whenUnavailable: 'local' needs a localShare, such as one over the number of processes",
  )
}
