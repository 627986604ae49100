import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Answer, OnPlanChange } from '../../../src/ratelimit/plan.js'
import type { Tier } from '../../../src/ratelimit/tiers.js'
import type { Step } from './histories.js'
import type { Oracle } from './oracles.js'
import { policyOf, type Scripts, type Stage, Subject } from './stage.js'

/** A tier as the script has it, and what it is held to. */
export interface Model {
  readonly tier: Tier
  readonly oracle: Oracle
  /** Its longest memory, to choose moments by. */
  readonly widthUs: number
}

export const START_US = 86_400_000_000_000n
const HORIZON = 1n << 52n

/** The first whole number from 0 for which something is so, which it stays. */
function first(isSo: (at: bigint) => boolean, most = HORIZON): bigint {
  let [low, high] = [0n, most]
  while (low < high) {
    const middle = (low + high) / 2n
    if (isSo(middle)) high = middle
    else low = middle + 1n
  }
  return low
}

/** What the oracle says of one tier at a moment: everything by trying. */
export function expected(oracle: Oracle, at: bigint, cost: bigint) {
  const waitFor = (amount: bigint) => first((later) => oracle.pass(at, at + later).has(amount))
  const remaining = oracle.has(0n) ? first((amount) => !oracle.has(amount + 1n), oracle.limit) : 0n
  return {
    remaining: Number(remaining),
    resetUs: Number(first((later) => oracle.pass(at, at + later).isFresh)),
    waitUs: cost === 0n ? 0 : Number(waitFor(cost)),
    nextUs: remaining >= oracle.limit ? 0 : Number(waitFor(remaining + 1n)),
  }
}

/** What a script told of each tier, and what its oracle says. */
export function compare(
  answer: Answer,
  after: readonly Oracle[],
  {
    costs,
    isAdmitted,
    now,
  }: { readonly costs: readonly number[]; readonly isAdmitted: boolean; readonly now: bigint },
): void {
  for (const [i, oracle] of after.entries()) {
    const cost = isAdmitted ? 0 : (costs[i] ?? 0)
    const { remaining, resetUs, waitUs, nextUs } = expected(oracle, now, BigInt(cost))
    const standing = answer.standings[i]
    assert(standing)
    const told = Math.max(0, standing.remaining)
    assert.deepEqual(
      {
        remaining: told,
        resetUs: standing.resetUs,
        waitUs: cost === 0 ? 0 : standing.waitUs(cost),
        nextUs: told >= Number(oracle.limit) ? 0 : standing.waitUs(told + 1),
      },
      { remaining, resetUs, waitUs, nextUs },
    )
  }
}

/** Whether the windows that a process tells of, by its clock, are those of that moment. */
function knows({ algorithm: { calendar } }: Tier, ownUs: bigint, nowUs: bigint): boolean {
  if (calendar === undefined) return true
  const { from, next } = calendar(Number(ownUs))
  return Number(nowUs) >= from && Number(nowUs) < next
}

interface Admission {
  readonly costs: readonly number[]
  readonly decided: bigint
  readonly after: readonly Oracle[]
  readonly record: Buffer
  readonly id: Buffer
  readonly mark: Buffer<ArrayBuffer>
  readonly isChanged: boolean
}

/** How long a mark is kept, in the time of a play. */
export const KEEP_US = 1_000_000_000

/** By what a decision or a refund is known again, and until when. */
interface Mark {
  readonly id: Buffer<ArrayBuffer>
  readonly ends: bigint
}

/** What may be decided once more. */
interface Kept {
  readonly id: Buffer<ArrayBuffer>
  readonly given: readonly number[]
}

/** Plays one history by the scripts and by the oracles; throws where they differ. */
export class Play {
  readonly #subject: Subject
  readonly #models: readonly [plain: readonly Model[], changed: readonly Model[]]
  readonly #onPlanChange: OnPlanChange
  readonly #policies
  #isChanged = false
  #now = START_US
  #written: bigint | undefined
  #oracles: readonly Oracle[] | undefined
  /** How long a mark is kept: so that some end in a play, and others do not. */
  readonly #keepUs: number
  #marks: readonly Mark[] = []
  #blockEnds = 0n
  #admissions: Admission[] = []
  readonly #kept: Kept[] = []
  asked = 0
  refused = 0

  constructor(
    stage: Stage,
    scripts: Scripts,
    models: readonly Model[],
    { changed, onPlanChange }: { readonly changed: readonly Model[]; readonly onPlanChange: OnPlanChange },
  ) {
    this.#subject = new Subject(stage, scripts)
    this.#models = [models, changed]
    this.#onPlanChange = onPlanChange
    this.#keepUs = Math.max(...models.map(({ widthUs }) => widthUs))
    this.#policies = [models, changed].map((some) =>
      policyOf(
        some.map(({ tier }) => tier),
        onPlanChange,
      ),
    )
  }

  async all(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (step.kind === 'change') this.#isChanged = !this.#isChanged
      else {
        this.#now += BigInt(Math.round((step.wait * this.#widest) / 1000))
        if (this.#now < 0n) this.#now = 0n
      }
      if (step.kind !== 'change' && step.kind !== 'turn') await this.#forget()
      if (step.kind === 'consume') await this.#consume(step, randomBytes(8))
      if (step.kind === 'repeat') await this.#repeat(step)
      if (step.kind === 'block') await this.#block(step.long)
      if (step.kind === 'penalize') await this.#penalize(step.costs)
      if (step.kind === 'refund') await this.#refund(step.which)
      if (step.kind === 'renew') await this.#renew(step)
    }
  }

  /** A record that has ended is as good as one in which all has come back; also to a clock that then steps back. */
  async #forget(): Promise<void> {
    if (this.#oracles === undefined || (await this.#subject.pttl(this.#now)) !== -2) return
    const isFresh = this.#present().every((oracle) => oracle.isFresh)
    const isOver = isFresh && this.#blocked <= this.#now
    assert(isOver || this.#isForgotten, 'a record ended before its time')
    // A refund leaves the end of its record, and with it ends its mark.
    const ids = this.#kept.map(({ id }) => id)
    const isKept = this.#liveMarks.some(
      (mark) => mark.ends > this.#now && ids.some((id) => id.equals(mark.id)),
    )
    assert(!isKept, 'a record ended before what it keeps')
    this.#oracles = undefined
    this.#written = undefined
    this.#marks = []
    this.#blockEnds = 0n
  }

  get #widest(): number {
    return Math.max(...this.#current.map(({ widthUs }) => widthUs))
  }

  get #current(): readonly Model[] {
    return this.#models[this.#isChanged ? 1 : 0]
  }

  get #policy() {
    const policy = this.#policies[this.#isChanged ? 1 : 0]
    assert(policy)
    return policy
  }

  /** Whether the record has to know of something although nothing is taken. */
  #isMended = false

  /** Each tier at this moment, under the limits of this moment. */
  #present(): readonly Oracle[] {
    this.#isMended = false
    const fresh = this.#current.map(({ oracle }) => oracle)
    if (
      this.#oracles === undefined ||
      this.#written === undefined ||
      (this.#onPlanChange === 'reset' && this.#lost)
    )
      return fresh.map((oracle) => oracle.pass(this.#now, this.#now))
    // A clock that has stepped back moves nothing.
    const from = this.#written < this.#now ? this.#written : this.#now
    const keep = this.#onPlanChange === 'keep-proportion' ? 'proportion' : 'used'
    this.#isMended = this.#written > this.#now
    return this.#oracles.map((oracle, i) => {
      const passed = oracle.pass(from, this.#now)
      const adopted = passed.adopt(fresh[i] as Oracle, keep)
      const changes = keep === 'proportion' && passed.limit !== adopted.limit
      if (changes || passed.told !== adopted.told) this.#isMended = true
      return adopted
    })
  }

  /** Under which limits the record was written. */
  #recordIsChanged = false
  get #lost(): boolean {
    const [one, other] = [this.#recordIsChanged, this.#isChanged].map((is) => this.#policies[is ? 1 : 0])
    return one?.plan.layout !== other?.plan.layout
  }

  #costs(given: readonly number[]): readonly number[] {
    return this.#current.map(({ tier: { limit } }, i) => {
      const part = given[i] ?? 0
      return limit > 1000 ? Math.floor((limit / 7) * part) : Math.min(limit, part)
    })
  }

  /** By how much the clock has stepped back since the record was written: so far all ends in it are moved. */
  get #steppedBack(): bigint {
    return this.#written !== undefined && this.#written > this.#now ? this.#written - this.#now : 0n
  }

  get #isForgotten(): boolean {
    return this.#lost && this.#onPlanChange === 'reset'
  }

  /**
   * What is known again now. They end in their order, unless the clock has stepped back behind a refund, which does not change the moment of the
   * record, so that nobody is told: then those behind are known for as long as that one.
   */
  get #liveMarks(): readonly Mark[] {
    if (this.#isForgotten) return []
    const moved = this.#marks.map(({ id, ends }) => ({ id, ends: ends - this.#steppedBack }))
    const oldest = moved.findIndex(({ ends }) => ends > this.#now)
    return oldest < 0 ? [] : moved.slice(oldest)
  }

  /** Until when something is known again, if it still is. */
  #markOf(id: Buffer): bigint | undefined {
    return this.#liveMarks.find((one) => one.id.equals(id))?.ends
  }

  /** Until when nobody is let in. */
  get #blocked(): bigint {
    return this.#isForgotten ? 0n : this.#blockEnds - this.#steppedBack
  }

  /** The record is written as of this moment. */
  #rewrite(): void {
    if (this.#blockEnds !== 0n) this.#blockEnds = this.#blocked
    this.#marks = this.#liveMarks
    this.#written = this.#now
  }

  #keep(oracles: readonly Oracle[]): void {
    this.#rewrite()
    // What has ended is not written again.
    if (this.#blockEnds <= this.#now) this.#blockEnds = 0n
    this.#oracles = oracles
    this.#recordIsChanged = this.#isChanged
  }

  async #consume(
    {
      costs: given,
      again,
      skew,
      keeps,
    }: Pick<Extract<Step, { readonly kind: 'consume' }>, 'costs' | 'again' | 'skew' | 'keeps'>,
    id: Buffer<ArrayBuffer>,
  ): Promise<void> {
    const costs = this.#costs(given)
    const skewUs = BigInt(Math.round((skew * this.#widest) / 1000))
    const keepUs = keeps ? this.#keepUs : 0
    const present = this.#present()
    const isMended = this.#isMended
    const takes = costs.some((cost) => cost > 0)
    const known = keeps ? this.#markOf(id) : undefined
    const blocked = this.#blocked
    const isBlocked = blocked > this.#now
    const fits = present.every((oracle, i) => costs[i] === 0 || oracle.has(BigInt(costs[i] ?? 0)))
    const isAdmitted = known === undefined && fits && !(isBlocked && takes)
    const verdict = isAdmitted ? 'admitted' : isBlocked ? 'blocked' : 'refused'
    const answer = await this.#subject.decide(this.#policy, costs, this.#now, { id, skewUs, keepUs })
    this.asked++
    assert.equal(answer.verdict, known === undefined ? verdict : 'repeated')
    assert.equal(answer.nowUs, Number(this.#now))
    const decidedUs = known === undefined ? this.#now : known - BigInt(this.#keepUs)
    assert.equal(answer.decidedUs, Number(decidedUs), 'when it was decided')
    const leftUs = answer.verdict === 'blocked' ? Number(blocked - this.#now) : 0
    assert.equal(answer.blockedUs, leftUs, 'how long the block lasts')
    const after = isAdmitted ? present.map((oracle, i) => oracle.take(BigInt(costs[i] ?? 0))) : present
    compare(answer, after, { costs, isAdmitted, now: this.#now })
    if (isAdmitted && takes) {
      this.#keep(after)
      if (keeps) this.#mark({ id, given })
      const record = this.#policy.plan.recordOf(answer)
      const decided = this.#now
      // Who asks again by an id whose mark has ended gets something new by the same id, and the old one is known no more.
      this.#admissions = this.#admissions.filter((one) => !one.id.equals(id))
      this.#admissions.push({
        costs,
        decided,
        after,
        record,
        id,
        mark: randomBytes(8),
        isChanged: this.#isChanged,
      })
      const ends = Math.max(...after.map((oracle) => expected(oracle, this.#now, 0n).resetUs))
      const others = [this.#marks.at(-1)?.ends ?? 0n, this.#blockEnds]
      const last = Math.max(ends, ...others.map((one) => Number(one - this.#now)))
      assert.equal(await this.#subject.pttl(this.#now), Math.ceil(last / 1000), 'the end of the record')
    }
    if (isAdmitted) return
    if (known === undefined) this.refused++
    // What is refused writes nothing; where the clock has stepped back or limits have changed, no more than that.
    if (isMended && (isBlocked || !fits)) this.#keep(present)
    if (!again || known !== undefined || isBlocked) return
    const wait = BigInt(
      Math.max(...present.map((oracle, i) => expected(oracle, this.#now, BigInt(costs[i] ?? 0)).waitUs)),
    )
    this.#now += wait - 1n
    const early = await this.#subject.decide(this.#policy, costs, this.#now, { id, skewUs, keepUs })
    assert.equal(early.verdict, 'refused', 'a microsecond before its turn')
    this.#now += 1n
    const turn = this.#present()
    const due = await this.#subject.decide(this.#policy, costs, this.#now, { id, skewUs, keepUs })
    assert.equal(due.verdict, 'admitted', 'at its turn')
    this.#keep(turn.map((oracle, i) => oracle.take(BigInt(costs[i] ?? 0))))
    if (keeps) this.#mark({ id, given })
  }

  #mark(kept: Kept): void {
    this.#marks = [...this.#marks, { id: kept.id, ends: this.#now + BigInt(this.#keepUs) }]
    this.#kept.push(kept)
  }

  /** Asks for a decision that was asked for before. */
  async #repeat({ which, isLate }: Extract<Step, { readonly kind: 'repeat' }>): Promise<void> {
    const one = this.#kept.at(-1 - (which % Math.max(1, this.#kept.length)))
    if (one === undefined) return
    const ask = () => this.#consume({ costs: one.given, again: false, skew: 0, keeps: true }, one.id)
    const ends = isLate && this.#steppedBack === 0n ? this.#markOf(one.id) : undefined
    if (ends !== undefined) {
      this.#now = ends - 1n
      await this.#forget()
      await ask()
      this.#now = ends
      await this.#forget()
    }
    await ask()
  }

  /** What was taken stays, and so does the end of the record where it is later. */
  async #block(long: number): Promise<void> {
    const ms = Math.round((long * this.#widest) / 1_000_000)
    const isKnown = this.#oracles !== undefined && !this.#isForgotten
    if (!isKnown && ms > 0) this.#keep(this.#current.map(({ oracle }) => oracle.pass(this.#now, this.#now)))
    const left = isKnown ? await this.#subject.pttl(this.#now) : 0
    await this.#subject.block(this.#policy, ms, this.#now)
    if (ms === 0 && (!isKnown || this.#blockEnds === 0n)) return
    if (this.#written !== undefined && this.#written < this.#now)
      this.#oracles = this.#oracles?.map((oracle) => oracle.pass(this.#written as bigint, this.#now))
    this.#rewrite()
    this.#blockEnds = ms > 0 ? this.#now + BigInt(1000 * ms) : 0n
    assert.equal(await this.#subject.pttl(this.#now), Math.max(1, left, ms), 'the end of a blocked record')
  }

  async #penalize(given: readonly number[]): Promise<void> {
    const costs = this.#costs(given).map((cost, i) =>
      this.#current[i]?.tier.kind === 'concurrency' ? 0 : cost,
    )
    const after = this.#present().map((oracle, i) => oracle.force(BigInt(costs[i] ?? 0)))
    await this.#subject.decide(this.#policy, costs, this.#now, { force: true })
    if (costs.some((cost) => cost > 0)) this.#keep(after)
  }

  /** What is under way goes on for its whole time, and the rest as it did. */
  async #renew({ which, skew }: Extract<Step, { readonly kind: 'renew' }>): Promise<void> {
    const admission = this.#admissions.at(-1 - (which % Math.max(1, this.#admissions.length)))
    if (admission === undefined) return
    const { after, costs, id, isChanged } = admission
    const models = this.#models[isChanged ? 1 : 0]
    const policy = this.#policies[isChanged ? 1 : 0]
    assert(policy)
    const ownUs = this.#now + BigInt(Math.round((skew * this.#widest) / 1000))
    const from = this.#written !== undefined && this.#written < this.#now ? this.#written : this.#now
    // Of a process that knows of another day only, the moment of the record stays where it was.
    const isKnown = models.every(({ tier }) => knows(tier, ownUs < 0n ? 0n : ownUs, this.#now))
    const to = isKnown ? this.#now : from
    const oracles = this.#isOfAnother(isChanged) ? undefined : this.#oracles
    const passed = oracles?.map((oracle) => oracle.pass(from, to))
    const renewed = passed?.map((oracle, i) =>
      costs[i] === 0 ? undefined : oracle.renew?.(after[i] as Oracle, this.#now - to),
    )
    const isRenewed = renewed?.some((one) => one !== undefined) === true
    const left = await this.#subject.pttl(this.#now)
    const told = await this.#subject.renew(policy, id, this.#now, ownUs)
    assert.equal(told, isRenewed ? 1 : 0, 'whether it goes on')
    if (!isRenewed) return
    if (isKnown || this.#steppedBack > 0n) this.#rewrite()
    this.#oracles = passed?.map((oracle, i) => renewed[i] ?? oracle)
    const lasts = models.map(({ widthUs }, i) => (renewed[i] === undefined ? 0 : Math.ceil(widthUs / 1000)))
    assert.equal(await this.#subject.pttl(this.#now), Math.max(left, ...lasts), 'the end of what goes on')
    // By the same id something new could be under way beside it, once its mark has ended.
    const at = this.#kept.findIndex((one) => one.id.equals(id))
    if (at >= 0) this.#kept.splice(at, 1)
  }

  /** Whether the record is of another layout than what was decided then. */
  #isOfAnother(isChanged: boolean): boolean {
    const [now, then] = [this.#recordIsChanged, isChanged].map((is) => this.#policies[is ? 1 : 0])
    return now?.plan.layout !== then?.plan.layout
  }

  async #refund(which: number): Promise<void> {
    const admission = this.#admissions.splice(which % Math.max(1, this.#admissions.length), 1)[0]
    if (admission === undefined) return
    const { costs, decided, after, isChanged } = admission
    const isLost = this.#isOfAnother(isChanged)
    // A clock that has stepped back moves nothing.
    const written = this.#written ?? this.#now
    const now = written > this.#now ? written : this.#now
    const given = this.#oracles?.map((oracle, i) =>
      isLost
        ? undefined
        : oracle.giveBack(BigInt(costs[i] ?? 0), { decided, after: after[i] as Oracle, written, now }),
    )
    const wanted = given?.some((one) => one !== undefined) === true ? 1 : 0
    const policy = this.#policies[isChanged ? 1 : 0]
    assert(policy)
    const told = await this.#subject.refund(policy, costs, admission, this.#now, this.#keepUs, now)
    assert.equal(told, wanted, 'whether anything of it counts still')
    if (wanted === 0) return
    this.#oracles = this.#oracles?.map((oracle, i) => given?.[i] ?? oracle)
    this.#marks = [...this.#marks, { id: admission.mark, ends: now + BigInt(this.#keepUs) }]
    assert.equal(
      await this.#subject.refund(policy, costs, admission, this.#now, this.#keepUs, now),
      1,
      'the same once more',
    )
  }
}
