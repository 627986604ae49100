import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Receipt } from '../../../src/ratelimit/index.js'
import type { ScriptSource } from '../../../src/redis/index.js'
import { rounds } from '../../support/budget.js'
import { MODELS } from './models.js'
import type { Oracle } from './oracles.js'
import type { Model } from './play.js'
import { anyStage, mistake, type Stage } from './stage.js'
import { StagedLimiter } from './stage-port.js'
import { Tally } from './tally.js'

let stage: Stage
beforeAll(async () => {
  stage = await anyStage()
})
afterAll(() => stage.close())

const START_US = 86_400_000_000_000n

/** Who reserves may crash before it settles, or hear of nothing and settle again. Waits are thousandths of the longest window. */
type Step =
  | { readonly kind: 'reserve'; readonly wait: number; readonly estimate: number }
  | {
      readonly kind: 'settle'
      readonly wait: number
      readonly which: number
      readonly actual: number
      readonly lost: number
    }

const wait = fc.oneof({ weight: 8, arbitrary: fc.nat(150) }, { weight: 1, arbitrary: fc.nat(1500) })
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('reserve' as const), wait, estimate: fc.integer({ min: 1, max: 6 }) }),
    fc.record({
      kind: fc.constant('settle' as const),
      wait,
      which: fc.nat(4),
      actual: fc.nat(9),
      lost: fc.nat(2),
    }),
  ),
  { minLength: 80, maxLength: 90 },
)
/** Small limits; what is under way is not settled, and the calendar is that of the process. */
const one = fc.oneof(
  ...Object.entries(MODELS)
    .filter(([name]) => !/large|calendar|concurrency/.test(name))
    .map(([, pair]) => pair.map(({ plain }) => plain)),
)
const models = fc.array(one, { minLength: 1, maxLength: 3 })

interface Reserved {
  readonly receipt: Receipt
  readonly estimate: bigint
  readonly decided: bigint
  readonly after: readonly Oracle[]
}

async function play(
  tiers: readonly Model[],
  history: readonly Step[],
  tally: Tally,
  instead?: (script: ScriptSource) => ScriptSource,
): Promise<void> {
  const staged = new StagedLimiter(
    stage,
    tiers.map(({ tier }) => tier),
    {
      startUs: START_US,
      ...(instead === undefined ? {} : { instead }),
    },
  )
  const { limiter } = staged
  const subject = randomUUID()
  const widest = Math.max(...tiers.map(({ widthUs }) => widthUs))
  let oracles: readonly Oracle[] = tiers.map(({ oracle }) => oracle)
  let written = START_US
  const present = () => oracles.map((oracle) => oracle.pass(written, staged.nowUs))
  const reserved: Reserved[] = []
  const counts = { calls: 0, decided: 0, refused: 0 }
  for (const step of history) {
    staged.nowUs += BigInt(Math.round((step.wait * widest) / 1000))
    const now = staged.nowUs
    if (step.kind === 'reserve') {
      const estimate = BigInt(Math.min(step.estimate, ...tiers.map(({ tier }) => tier.limit)))
      const isThere = present().every((oracle) => oracle.has(estimate))
      const decision = await limiter.reserve(subject, { cost: Number(estimate) })
      assert.equal(decision.allowed, isThere)
      counts.calls++
      counts.decided++
      if (!decision.allowed) {
        counts.refused++
        continue
      }
      oracles = present().map((oracle) => oracle.take(estimate))
      written = now
      reserved.push({ receipt: decision.receipt, estimate, decided: now, after: oracles })
    } else {
      const [settled] = reserved.splice(step.which % Math.max(1, reserved.length), 1)
      if (settled === undefined) continue
      counts.calls++
      const { receipt, estimate, decided, after } = settled
      const actual = BigInt(step.actual)
      staged.lose = step.lost
      // Whoever does not hear of it settles again.
      for (let times = 0; times <= step.lost; times++)
        await limiter.settle(receipt, { cost: step.actual }).catch(() => undefined)
      staged.lose = 0
      await limiter.settle(receipt, { cost: step.actual })
      if (actual > estimate) {
        oracles = present().map((oracle) => oracle.force(actual - estimate))
        written = now
      } else if (actual < estimate) {
        const less = estimate - actual
        oracles = oracles.map(
          (oracle, i) =>
            oracle.giveBack(less, { decided, after: after[i] as Oracle, written, now }) ?? oracle,
        )
      }
    }
    const left = present().map((oracle) => {
      let amount = 0n
      while (oracle.has(amount + 1n)) amount++
      return Number(amount)
    })
    const told = await limiter.peek(subject)
    assert.deepEqual(
      told.map(({ remaining }) => remaining),
      left,
      'what is left',
    )
  }
  tally.add(counts)
}

const holds = (
  numRuns: number,
  { tally = new Tally(), instead }: { tally?: Tally; instead?: (script: ScriptSource) => ScriptSource } = {},
) =>
  fc.check(
    fc.asyncProperty(models, steps, (tiers, history) => play(tiers, history, tally, instead)),
    { numRuns, endOnFailure: true },
  )

describe('what was reserved', () => {
  it('is settled once, however often it is asked for and however many answers are lost; and taken where nobody settles it', {
    timeout: rounds(60_000, 1_200_000),
  }, async () => {
    const numRuns = inject('inMemory') ? rounds(50, 20_000) : rounds(8, 1000)
    const tally = new Tally()
    const { failed, errorInstance, counterexample } = await holds(numRuns, { tally })
    expect(failed ? { errorInstance, counterexample } : undefined).toBeUndefined()
    expect(tally.lacking()).toEqual([])
  })

  it.each([
    ['gives back again what it gave back', mistake('ratelimit/refund', 'if found then return 1 end', '')],
    [
      'takes again what it took',
      mistake('ratelimit/decide', 'local found = keep and string.find(marks, id, 1, true)', 'local found'),
    ],
    [
      'gives back tokens that have come back',
      mistake('ratelimit/refund', 'math.min(cost * each, decided + owed - now)', 'cost * each'),
    ],
  ])('is not settled by one that %s', { timeout: 60_000 }, async (_, instead) => {
    const { errorInstance } = await holds(400, { instead })
    expect(String(errorInstance)).toMatch(/what is left|Expected values to be strictly equal/)
  })
})
