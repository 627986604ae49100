import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
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
/** In tenths, so that the model has whole numbers: what is reserved for all above is 0, 2 and 5 of them. */
const RESERVED = { payments: 0.2, pages: 0.3, reports: 0 }
const ABOVE = { payments: 0n, pages: 2n, reports: 5n } as const
type Priority = keyof typeof ABOVE
const NAMES = Object.keys(ABOVE) as Priority[]

interface Step {
  readonly wait: number
  readonly cost: number
  readonly priority: Priority
}
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({
    wait: fc.oneof({ weight: 8, arbitrary: fc.nat(150) }, { weight: 1, arbitrary: fc.nat(1500) }),
    cost: fc.nat(3),
    priority: fc.constantFrom(...NAMES),
  }),
  { minLength: 55, maxLength: 65 },
)
const one = fc.oneof(
  ...Object.entries(MODELS)
    .filter(([name]) => !/large|calendar/.test(name))
    .map(([, pair]) => pair.map(({ plain }) => plain)),
)
const models = fc.array(one, { minLength: 1, maxLength: 3 })

/** The first moment at which a tier has so much. */
function waitFor(oracle: Oracle, nowUs: bigint, amount: bigint): bigint {
  let [low, high] = [0n, 1n << 40n]
  while (low < high) {
    const middle = (low + high) / 2n
    if (oracle.pass(nowUs, nowUs + middle).has(amount)) high = middle
    else low = middle + 1n
  }
  return low
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
    { startUs: START_US, priorities: RESERVED, ...(instead === undefined ? {} : { instead }) },
  )
  const subject = randomUUID()
  const widest = Math.max(...tiers.map(({ widthUs }) => widthUs))
  let oracles: readonly Oracle[] = tiers.map(({ oracle }) => oracle)
  let written = START_US
  const counts = { calls: 0, decided: 0, refused: 0 }
  for (const { wait, cost, priority } of history) {
    staged.nowUs += BigInt(Math.round((wait * widest) / 1000))
    const now = staged.nowUs
    const present = oracles.map((oracle) => oracle.pass(written, now))
    // Let in while no more than the limit times what is not reserved for others is taken afterwards.
    const wanted = present.map(({ limit }) => BigInt(cost) + (limit * ABOVE[priority] + 9n) / 10n)
    const decision = await staged.limiter.consume(subject, { cost, priority })
    counts.calls++
    if (cost === 0) {
      assert.equal(decision.allowed, true)
      continue
    }
    if (present.some(({ limit }, i) => (wanted[i] ?? 0n) > limit)) {
      assert.equal(!decision.allowed && decision.reason, 'exceeds-capacity')
      continue
    }
    const isThere = present.every((oracle, i) => oracle.has(wanted[i] ?? 0n))
    assert.equal(decision.allowed, isThere, 'whether it is let in')
    counts.decided++
    if (!isThere) counts.refused++
    if (isThere) {
      oracles = present.map((oracle) => oracle.take(BigInt(cost)))
      written = now
    } else {
      const waits = present.map((oracle, i) => waitFor(oracle, now, wanted[i] ?? 0n))
      const longest = waits.reduce((a, b) => (a > b ? a : b))
      const expected = Math.ceil(Number(longest) / 1000)
      assert.equal('retryAfterMs' in decision && decision.retryAfterMs, expected, 'how long to wait')
    }
    const told = decision.allowed && (await staged.limiter.peek(subject))
    const left = oracles.map((oracle) => {
      let amount = 0n
      while (oracle.pass(written, now).has(amount + 1n)) amount++
      return Number(amount)
    })
    if (told !== false)
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

const change = (from: string, to: string) => mistake('ratelimit/decide', from, to)

describe('a request of lower priority', () => {
  it('is let in while it leaves what is reserved for higher ones, takes what it costs, and is told exactly when that will be', {
    timeout: rounds(60_000, 1_200_000),
  }, async () => {
    const numRuns = inject('inMemory') ? rounds(100, 20_000) : rounds(15, 1000)
    const tally = new Tally()
    const { failed, errorInstance, counterexample } = await holds(numRuns, { tally })
    expect(failed ? { errorInstance, counterexample } : undefined).toBeUndefined()
    expect(tally.lacking()).toEqual([])
  })

  it.each([
    ['looks at the limit alone', change('if cost > 0 then cost = cost + left end', '')],
    [
      'takes what it leaves',
      change("if spares and verdict == '1' then spares, reply, again = nil, nil, true end", ''),
    ],
    ['leaves of every tier what it leaves of the first', change('spare = spare + 1', '')],
  ])('is not let in by one that %s', { timeout: 60_000 }, async (_, instead) => {
    const { errorInstance } = await holds(400, { instead })
    expect(String(errorInstance)).toMatch(/whether it is let in|what is left|how long to wait/)
  })

  it('has a priority that there is, and shares that leave something', async () => {
    const tiers = [MODELS['a log']].flatMap((pair) => (pair === undefined ? [] : fc.sample(pair, 1)))
    const given = tiers.map(({ plain }) => plain.tier)
    const of = (priorities: Readonly<Record<string, number>>) =>
      new StagedLimiter(stage, given, { startUs: START_US, priorities })
    await expect(of(RESERVED).limiter.consume('a', { priority: 'nobody' })).rejects.toThrow(
      'priority must be one of payments, pages, reports',
    )
    const both = { priority: 'pages', idempotencyKey: 'x' }
    await expect(of(RESERVED).limiter.consume('a', both)).rejects.toThrow(ConfigurationError)
    expect(() => of({ a: 1 })).toThrow(/priorities.a must be a share/)
    expect(() => of({ a: 0.5, b: 0.5 })).toThrow(/less than all/)
  })
})
