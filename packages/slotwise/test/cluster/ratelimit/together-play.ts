import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { keyWithin } from '../../../src/keys.js'
import type { Answer } from '../../../src/ratelimit/plan.js'
import type { Policy } from '../../../src/ratelimit/policy.js'
import { type Key, keyOf } from '../../../src/redis/index.js'
import { costs as someCosts, wait } from './histories.js'
import type { Pair } from './models.js'
import type { Oracle } from './oracles.js'
import { compare, expected, KEEP_US, START_US } from './play.js'
import { type Asked, policyOf, type Scripts, type Stage, Subject } from './stage.js'

/** What happens to two users of a tenant. Waits are parts in a thousand of the longest window. */
export type TogetherStep =
  | {
      readonly kind: 'consume'
      readonly wait: number
      readonly who: 0 | 1
      readonly own: readonly number[]
      readonly common: readonly number[]
      readonly again: boolean
    }
  | {
      readonly kind: 'penalize'
      readonly wait: number
      readonly which: 0 | 1 | 2
      readonly costs: readonly number[]
    }
  | { readonly kind: 'refund'; readonly wait: number; readonly which: number }
  | { readonly kind: 'turn'; readonly wait: number }
  | { readonly kind: 'change'; readonly which: 0 | 1 | 2 }

/** How both keys are decided. */
export type Decide = (
  user: Subject,
  tenant: Subject,
  asked: readonly [Asked, Asked],
  nowUs: bigint,
  id: Buffer<ArrayBuffer>,
) => Promise<readonly [Answer, Answer]>

export const atOnce: Decide = (user, tenant, asked, nowUs, id) => user.decideWith(tenant, asked, nowUs, id)

/** As one would without a script of two keys: what the first gives is gone when the second refuses. */
export const oneAfterTheOther: Decide = async (user, tenant, [own, common], nowUs, id) => [
  await user.decide(own.policy, own.costs, nowUs, { id }),
  await tenant.decide(common.policy, common.costs, nowUs, { id }),
]

/** One key: its record as the oracles have it. */
class Kept {
  readonly subject: Subject
  readonly #pairs: readonly Pair[]
  readonly #policies: readonly [Policy<string>, Policy<string>]
  isChanged = false
  oracles: readonly Oracle[] | undefined
  written = 0n
  marksEnd = 0n

  constructor(subject: Subject, pairs: readonly Pair[]) {
    this.subject = subject
    this.#pairs = pairs
    const of = (is: 'plain' | 'changed') => policyOf(pairs.map((pair) => pair[is].tier))
    this.#policies = [of('plain'), of('changed')]
  }

  get policy(): Policy<string> {
    return this.#policies[this.isChanged ? 1 : 0]
  }

  get widest(): number {
    return Math.max(...this.#current.map(({ widthUs }) => widthUs))
  }

  get #current() {
    return this.#pairs.map((pair) => pair[this.isChanged ? 'changed' : 'plain'])
  }

  costs(given: readonly number[]): readonly number[] {
    return this.#current.map(({ tier: { limit } }, i) =>
      limit > 1000 ? Math.floor((limit / 7) * (given[i] ?? 0)) : Math.min(limit, given[i] ?? 0),
    )
  }

  kind(i: number): string | undefined {
    return this.#current[i]?.tier.kind
  }

  /** A record that has ended is as good as one in which all has come back. */
  async forget(now: bigint): Promise<void> {
    if (this.oracles === undefined || (await this.subject.pttl(now)) !== -2) return
    assert(
      this.present(now).oracles.every((oracle) => oracle.isFresh),
      'a record ended before its time',
    )
    this.oracles = undefined
    this.marksEnd = 0n
  }

  /** Each tier at this moment under the limits of this moment, and whether the record has to know of something. */
  present(now: bigint): { readonly oracles: readonly Oracle[]; readonly isMended: boolean } {
    const fresh = this.#current.map(({ oracle }) => oracle)
    if (this.oracles === undefined)
      return { oracles: fresh.map((oracle) => oracle.pass(now, now)), isMended: false }
    const from = this.written < now ? this.written : now
    let isMended = this.written > now
    const oracles = this.oracles.map((oracle, i) => {
      const passed = oracle.pass(from, now)
      const adopted = passed.adopt(fresh[i] as Oracle, 'used')
      if (passed.told !== adopted.told) isMended = true
      return adopted
    })
    return { oracles, isMended }
  }

  keep(oracles: readonly Oracle[], now: bigint): void {
    // Marks are moved as far as the clock has stepped back.
    if (this.oracles !== undefined && this.written > now) this.marksEnd -= this.written - now
    this.oracles = oracles
    this.written = now
  }

  async ends(now: bigint): Promise<void> {
    const resets = (this.oracles ?? []).map((oracle) => expected(oracle, now, 0n).resetUs)
    const last = Math.max(...resets, Number(this.marksEnd - now))
    assert.equal(await this.subject.pttl(now), Math.max(1, Math.ceil(last / 1000)), 'the end of the record')
  }
}

interface Part {
  readonly kept: Kept
  readonly policy: Policy<string>
  readonly costs: readonly number[]
  readonly after: readonly Oracle[]
  readonly record: Buffer
}

interface Admission {
  readonly parts: readonly Part[]
  readonly decided: bigint
  readonly id: Buffer
  readonly mark: Buffer
}

const has = (oracles: readonly Oracle[], costs: readonly number[]): boolean =>
  oracles.every((oracle, i) => costs[i] === 0 || oracle.has(BigInt(costs[i] ?? 0)))
const take = (oracles: readonly Oracle[], costs: readonly number[]): readonly Oracle[] =>
  oracles.map((oracle, i) => oracle.take(BigInt(costs[i] ?? 0)))

/** Plays one history of two users and their tenant by the scripts and by the oracles; throws where they differ. */
export class TogetherPlay {
  readonly #keys: readonly [Kept, Kept, Kept]
  readonly #decide: Decide
  #now = START_US
  readonly #admissions: Admission[] = []
  asked = 0
  refused = 0
  /** By the one key only, while the other had enough. */
  readonly refusedBy = { own: 0, common: 0 }

  constructor(
    stage: Stage,
    scripts: Scripts,
    { user, tenant }: { readonly user: readonly Pair[]; readonly tenant: readonly Pair[] },
    decide: Decide = atOnce,
  ) {
    const slot = keyOf(
      { namespace: 'model', pattern: 'ratelimit', name: 'm' },
      randomBytes(8).toString('hex'),
    )
    const kept = (key: Key, pairs: readonly Pair[]) => new Kept(new Subject(stage, scripts, key), pairs)
    this.#keys = [kept(keyWithin(slot, 'ada'), user), kept(keyWithin(slot, 'bob'), user), kept(slot, tenant)]
    this.#decide = decide
  }

  async all(steps: readonly TogetherStep[]): Promise<void> {
    for (const step of steps) {
      if (step.kind === 'change') {
        const kept = this.#keys[step.which]
        kept.isChanged = !kept.isChanged
        continue
      }
      const widest = Math.max(...this.#keys.map((kept) => kept.widest))
      this.#now += BigInt(Math.round((step.wait * widest) / 1000))
      if (this.#now < 0n) this.#now = 0n
      if (step.kind === 'turn') continue
      for (const kept of this.#keys) await kept.forget(this.#now)
      if (step.kind === 'consume') await this.#consume(step)
      if (step.kind === 'penalize') await this.#penalize(this.#keys[step.which], step.costs)
      if (step.kind === 'refund') await this.#refund(step.which)
    }
  }

  async #consume(step: Extract<TogetherStep, { readonly kind: 'consume' }>): Promise<void> {
    const [user, tenant] = [this.#keys[step.who], this.#keys[2]]
    const [own, common] = [user.costs(step.own), tenant.costs(step.common)]
    const id = randomBytes(8)
    const ask = () =>
      this.#decide(
        user.subject,
        tenant.subject,
        [
          { policy: user.policy, costs: own },
          { policy: tenant.policy, costs: common },
        ],
        this.#now,
        id,
      )
    const [mine, ours] = [user.present(this.#now), tenant.present(this.#now)]
    const [isMine, isOurs] = [has(mine.oracles, own), has(ours.oracles, common)]
    const isAdmitted = isMine && isOurs
    const answers = await ask()
    this.asked++
    const verdict = isAdmitted ? 'admitted' : 'refused'
    assert.deepEqual(
      answers.map((answer) => answer.verdict),
      [verdict, verdict],
    )
    const told = { isAdmitted, now: this.#now }
    const [mineAfter, oursAfter] = isAdmitted
      ? [take(mine.oracles, own), take(ours.oracles, common)]
      : [mine.oracles, ours.oracles]
    compare(answers[0], mineAfter, { ...told, costs: own })
    compare(answers[1], oursAfter, { ...told, costs: common })
    const takes = [...own, ...common].some((cost) => cost > 0)
    if (isAdmitted) {
      if (!takes) return
      user.keep(mineAfter, this.#now)
      tenant.keep(oursAfter, this.#now)
      await user.ends(this.#now)
      await tenant.ends(this.#now)
      const part = (
        kept: Kept,
        costs_: readonly number[],
        after: readonly Oracle[],
        answer: Answer,
      ): Part => ({
        kept,
        policy: kept.policy,
        costs: costs_,
        after,
        record: kept.policy.plan.recordOf(answer),
      })
      const parts = [part(user, own, mineAfter, answers[0]), part(tenant, common, oursAfter, answers[1])]
      this.#admissions.push({ parts, decided: this.#now, id, mark: randomBytes(8) })
      return
    }
    this.refused++
    if (isOurs) this.refusedBy.own++
    if (isMine) this.refusedBy.common++
    if (mine.isMended) user.keep(mine.oracles, this.#now)
    if (ours.isMended) tenant.keep(ours.oracles, this.#now)
    if (!step.again) return
    const waits = [
      mine.oracles.map((oracle, i) => [oracle, own[i]] as const),
      ours.oracles.map((oracle, i) => [oracle, common[i]] as const),
    ]
      .flat()
      .map(([oracle, cost]) => expected(oracle, this.#now, BigInt(cost ?? 0)).waitUs)
    this.#now += BigInt(Math.max(...waits)) - 1n
    const early = await ask()
    assert.deepEqual(
      early.map((answer) => answer.verdict),
      ['refused', 'refused'],
      'a microsecond before its turn',
    )
    this.#now += 1n
    // Until then a record may have ended that holds the mark of a refund, and with it the mark.
    for (const kept of [user, tenant]) await kept.forget(this.#now)
    const turn = [user.present(this.#now).oracles, tenant.present(this.#now).oracles] as const
    const due = await ask()
    assert.deepEqual(
      due.map((answer) => answer.verdict),
      ['admitted', 'admitted'],
      'at its turn',
    )
    user.keep(take(turn[0], own), this.#now)
    tenant.keep(take(turn[1], common), this.#now)
  }

  async #penalize(kept: Kept, given: readonly number[]): Promise<void> {
    const own = kept.costs(given).map((cost, i) => (kept.kind(i) === 'concurrency' ? 0 : cost))
    const after = kept.present(this.#now).oracles.map((oracle, i) => oracle.force(BigInt(own[i] ?? 0)))
    await kept.subject.decide(kept.policy, own, this.#now, { force: true })
    if (own.some((cost) => cost > 0)) kept.keep(after, this.#now)
  }

  async #refund(which: number): Promise<void> {
    const admission = this.#admissions.splice(which % Math.max(1, this.#admissions.length), 1)[0]
    if (admission === undefined) return
    const { decided } = admission
    for (const { kept, policy, costs: own, after, record } of admission.parts) {
      const written = kept.oracles === undefined ? this.#now : kept.written
      const now = written > this.#now ? written : this.#now
      const given = kept.oracles?.map((oracle, i) =>
        oracle.giveBack(BigInt(own[i] ?? 0), { decided, after: after[i] as Oracle, written, now }),
      )
      const wanted = given?.some((one) => one !== undefined) === true ? 1 : 0
      const give = (): Promise<number> =>
        kept.subject.refund(policy, own, { ...admission, record }, this.#now, KEEP_US, now)
      assert.equal(await give(), wanted, 'whether anything of it counts still')
      if (wanted === 0) continue
      kept.oracles = kept.oracles?.map((oracle, i) => given?.[i] ?? oracle)
      kept.marksEnd = now + BigInt(KEEP_US)
      assert.equal(await give(), 1, 'the same once more')
    }
  }
}

const which = fc.constantFrom(0 as const, 1 as const, 2 as const)

/** Histories of 50 requests and more of two users; with all that may happen, or with refunds only. */
export const togetherHistories = (isCalm: boolean): fc.Arbitrary<readonly TogetherStep[]> => {
  const consume = fc.record({
    kind: fc.constant('consume' as const),
    wait,
    who: fc.constantFrom(0 as const, 1 as const),
    own: someCosts,
    common: someCosts,
    again: fc.boolean(),
  })
  const refund = fc.record({ kind: fc.constant('refund' as const), wait, which: fc.nat(9) })
  const others = isCalm
    ? []
    : [
        fc.record({ kind: fc.constant('penalize' as const), wait, which, costs: someCosts }),
        fc.record({ kind: fc.constant('turn' as const), wait: fc.integer({ min: -3000, max: 3000 }) }),
        fc.record({ kind: fc.constant('change' as const), which }),
      ]
  const steps = [refund, ...others].map((arbitrary) => ({
    weight: 1,
    arbitrary: arbitrary as fc.Arbitrary<TogetherStep>,
  }))
  return fc.array(fc.oneof({ weight: 12, arbitrary: consume }, ...steps), {
    minLength: 70,
    maxLength: 80,
  })
}
