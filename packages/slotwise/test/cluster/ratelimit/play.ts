import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import type { Answer, OnPlanChange } from '../../../src/ratelimit/plan.js'
import type { Tier } from '../../../src/ratelimit/tiers.js'
import type { Oracle } from './oracles.js'
import { policyOf, type Scripts, type Stage, Subject } from './stage.js'

/** A tier as the script has it, and what it is held to. */
export interface Model {
  readonly tier: Tier
  readonly oracle: Oracle
  /** Its longest memory, to choose moments by. */
  readonly widthUs: number
}

/** What happens to a subject, one after the other. Waits are parts in a thousand of the longest window. */
export type Step =
  | {
      readonly kind: 'consume'
      readonly wait: number
      readonly costs: readonly number[]
      readonly again: boolean
      /** By how much the clock of the process is wrong, by which it chooses windows of the calendar. */
      readonly skew: number
    }
  | { readonly kind: 'penalize'; readonly wait: number; readonly costs: readonly number[] }
  | { readonly kind: 'refund'; readonly wait: number; readonly which: number }
  | { readonly kind: 'turn'; readonly wait: number }
  | { readonly kind: 'change' }

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

interface Admission {
  readonly costs: readonly number[]
  readonly decided: bigint
  readonly after: readonly Oracle[]
  readonly record: Buffer
  readonly id: Buffer
  readonly mark: Buffer
  readonly isChanged: boolean
}

/** How long a mark is kept, in the time of a play. */
export const KEEP_US = 1_000_000_000

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
  #marksEnd = 0n
  readonly #admissions: Admission[] = []
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
      if (step.kind === 'consume') await this.#consume(step)
      if (step.kind === 'penalize') await this.#penalize(step.costs)
      if (step.kind === 'refund') await this.#refund(step.which)
    }
  }

  /** A record that has ended is as good as one in which all has come back; also to a clock that then steps back. */
  async #forget(): Promise<void> {
    if (this.#oracles === undefined || (await this.#subject.pttl(this.#now)) !== -2) return
    const isFresh = this.#present().every((oracle) => oracle.isFresh)
    assert(isFresh || (this.#lost && this.#onPlanChange === 'reset'), 'a record ended before its time')
    this.#oracles = undefined
    this.#written = undefined
    this.#marksEnd = 0n
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

  #keep(oracles: readonly Oracle[]): void {
    // Marks are moved as far as the clock has stepped back.
    if (this.#written !== undefined && this.#written > this.#now) this.#marksEnd -= this.#written - this.#now
    if (this.#lost && this.#onPlanChange === 'reset') this.#marksEnd = 0n
    this.#oracles = oracles
    this.#written = this.#now
    this.#recordIsChanged = this.#isChanged
  }

  async #consume({ costs: given, again, skew }: Extract<Step, { readonly kind: 'consume' }>): Promise<void> {
    const costs = this.#costs(given)
    const skewUs = BigInt(Math.round((skew * this.#widest) / 1000))
    const id = randomBytes(8)
    const present = this.#present()
    const isMended = this.#isMended
    const isAdmitted = present.every((oracle, i) => costs[i] === 0 || oracle.has(BigInt(costs[i] ?? 0)))
    const answer = await this.#subject.decide(this.#policy, costs, this.#now, { id, skewUs })
    this.asked++
    assert.equal(answer.verdict, isAdmitted ? 'admitted' : 'refused')
    assert.equal(answer.nowUs, Number(this.#now))
    const after = isAdmitted ? present.map((oracle, i) => oracle.take(BigInt(costs[i] ?? 0))) : present
    compare(answer, after, { costs, isAdmitted, now: this.#now })
    const takes = costs.some((cost) => cost > 0)
    if (isAdmitted && takes) {
      this.#keep(after)
      const record = this.#policy.plan.recordOf(answer)
      const decided = this.#now
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
      const last = Math.max(ends, Number(this.#marksEnd - this.#now))
      assert.equal(await this.#subject.pttl(this.#now), Math.ceil(last / 1000), 'the end of the record')
    }
    if (isAdmitted) return
    this.refused++
    // What is refused writes nothing; where the clock has stepped back or limits have changed, no more than that.
    if (isMended) this.#keep(present)
    if (!again) return
    const wait = BigInt(
      Math.max(...present.map((oracle, i) => expected(oracle, this.#now, BigInt(costs[i] ?? 0)).waitUs)),
    )
    this.#now += wait - 1n
    const early = await this.#subject.decide(this.#policy, costs, this.#now, { id, skewUs })
    assert.equal(early.verdict, 'refused', 'a microsecond before its turn')
    this.#now += 1n
    const turn = this.#present()
    const due = await this.#subject.decide(this.#policy, costs, this.#now, { id, skewUs })
    assert.equal(due.verdict, 'admitted', 'at its turn')
    this.#keep(turn.map((oracle, i) => oracle.take(BigInt(costs[i] ?? 0))))
  }

  async #penalize(given: readonly number[]): Promise<void> {
    const costs = this.#costs(given).map((cost, i) =>
      this.#current[i]?.tier.kind === 'concurrency' ? 0 : cost,
    )
    const after = this.#present().map((oracle, i) => oracle.force(BigInt(costs[i] ?? 0)))
    await this.#subject.decide(this.#policy, costs, this.#now, { force: true })
    if (costs.some((cost) => cost > 0)) this.#keep(after)
  }

  async #refund(which: number): Promise<void> {
    const admission = this.#admissions.splice(which % Math.max(1, this.#admissions.length), 1)[0]
    if (admission === undefined) return
    const { costs, decided, after, isChanged } = admission
    const layouts = [this.#recordIsChanged, isChanged].map((is) => this.#policies[is ? 1 : 0]?.plan.layout)
    const isLost = layouts[0] !== layouts[1]
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
    const told = await this.#subject.refund(policy, costs, admission, this.#now, KEEP_US, now)
    assert.equal(told, wanted, 'whether anything of it counts still')
    if (wanted === 0) return
    this.#oracles = this.#oracles?.map((oracle, i) => given?.[i] ?? oracle)
    this.#marksEnd = now + BigInt(KEEP_US)
    assert.equal(
      await this.#subject.refund(policy, costs, admission, this.#now, KEEP_US, now),
      1,
      'the same once more',
    )
  }
}

export const costs = fc.array(fc.nat(6), { minLength: 4, maxLength: 4 })
/** Waits of which most leave something used. */
export const wait = fc.oneof(
  { weight: 12, arbitrary: fc.nat(150) },
  { weight: 3, arbitrary: fc.nat(1500) },
  { weight: 1, arbitrary: fc.constant(0) },
)

/** Histories of 50 requests and more. `calm` ones have nothing but requests. */
export const histories = (kinds: readonly Step['kind'][]): fc.Arbitrary<readonly Step[]> => {
  const others: Readonly<Record<Exclude<Step['kind'], 'consume'>, fc.Arbitrary<Step>>> = {
    penalize: fc.record({ kind: fc.constant('penalize' as const), wait, costs }),
    refund: fc.record({ kind: fc.constant('refund' as const), wait, which: fc.nat(9) }),
    turn: fc.record({ kind: fc.constant('turn' as const), wait: fc.integer({ min: -3000, max: 3000 }) }),
    change: fc.record({ kind: fc.constant('change' as const) }),
  }
  const consume = fc.record({
    kind: fc.constant('consume' as const),
    wait,
    costs,
    again: fc.boolean(),
    skew: fc.constantFrom(0, 0, 0, -1000, -2500, 1000),
  })
  const more = kinds.flatMap((kind) => (kind === 'consume' ? [] : [{ weight: 1, arbitrary: others[kind] }]))
  return fc.array(fc.oneof({ weight: 12, arbitrary: consume }, ...more), {
    minLength: 50 + 6 * more.length,
    maxLength: 60 + 6 * more.length,
  })
}
