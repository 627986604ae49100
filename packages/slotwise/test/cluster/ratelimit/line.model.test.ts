import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { steadyBucket } from '../../../src/ratelimit/buckets.js'
import type { Place } from '../../../src/ratelimit/index.js'
import type { Tier } from '../../../src/ratelimit/tiers.js'
import type { ScriptSource } from '../../../src/redis/index.js'
import { rounds } from '../../support/budget.js'
import { anyStage, mistake, type Stage } from './stage.js'
import { StagedLimiter } from './stage-port.js'
import { Tally } from './tally.js'

let stage: Stage
beforeAll(async () => {
  stage = await anyStage()
})
afterAll(() => stage.close())

const START_US = 86_400_000_000_000n

interface Granted {
  readonly dueUs: bigint
  readonly cost: bigint
}

/**
 * A line in front of a bucket, as one would keep it with pencil and paper: who was given which moment. How full the bucket is at
 * a moment follows from all who were let in before, one after the other.
 */
class PlainLine {
  readonly #capacity: bigint
  readonly #everyUs: bigint
  readonly granted: Granted[] = []

  constructor(capacity: number, everyUs: number) {
    this.#capacity = BigInt(capacity)
    this.#everyUs = BigInt(everyUs)
  }

  /** In parts of a token that come back each microsecond, and when that is true. */
  #level(): { readonly level: bigint; readonly at: bigint } {
    const full = this.#capacity * this.#everyUs
    let [level, at] = [full, 0n]
    for (const { dueUs, cost } of this.granted) {
      level += dueUs - at
      if (level > full) level = full
      level -= cost * this.#everyUs
      assert(level >= 0n, 'more than the bucket holds')
      at = dueUs
    }
    return { level, at }
  }

  /** The first moment from now on at which all who were let in before have gone, and there is enough. */
  turn(nowUs: bigint, cost: bigint): bigint {
    const { level, at } = this.#level()
    const enough = at + cost * this.#everyUs - level
    return [nowUs, at, enough].reduce((one, other) => (one > other ? one : other))
  }

  leave(one: Granted): void {
    assert.equal(this.granted.at(-1), one)
    this.granted.pop()
  }
}

type Step =
  | { readonly kind: 'wait'; readonly after: number; readonly cost: number; readonly most: number }
  | { readonly kind: 'consume'; readonly after: number; readonly cost: number }
  | { readonly kind: 'leave'; readonly after: number; readonly which: number }
  | { readonly kind: 'penalize'; readonly after: number }

const after = fc.oneof({ weight: 6, arbitrary: fc.nat(6000) }, { weight: 1, arbitrary: fc.nat(90_000) })
const cost = fc.integer({ min: 1, max: 4 })
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('wait' as const), after, cost, most: fc.nat(200) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('consume' as const), after, cost }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('leave' as const), after, which: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('penalize' as const), after: fc.nat(100) }) },
  ),
  { minLength: 75, maxLength: 85 },
)
const bucket = fc.record({
  capacity: fc.integer({ min: 1, max: 5 }),
  everyUs: fc.integer({ min: 500, max: 30_000 }),
})

/** What came of it, to know that there were lines at all. */
const seen = { waited: 0, left: 0, stayed: 0, refused: 0 }

async function play(
  { capacity, everyUs }: { readonly capacity: number; readonly everyUs: number },
  history: readonly Step[],
  tally: Tally,
  instead?: (script: ScriptSource) => ScriptSource,
): Promise<void> {
  const tier: Tier = {
    kind: 'token-bucket',
    limit: capacity,
    windowMs: 1,
    algorithm: steadyBucket(capacity, everyUs, 150),
  }
  const staged = new StagedLimiter(stage, [tier], {
    startUs: START_US,
    ...(instead === undefined ? {} : { instead }),
  })
  const { limiter } = staged
  const line = new PlainLine(capacity, everyUs)
  const subject = randomUUID()
  const places: { readonly place: Place; readonly granted: Granted }[] = []
  const counts = { calls: 0, decided: 0, refused: 0 }
  for (const step of history) {
    staged.nowUs += BigInt(step.after)
    const now = staged.nowUs
    if (step.kind === 'leave') {
      const [one] = places.splice(step.which % Math.max(1, places.length), 1)
      // Whose turn has come does not leave by the time of this process; the script is asked all the same.
      if (one === undefined || one.granted.dueUs <= now) continue
      const isLast = line.granted.at(-1) === one.granted
      counts.calls++
      assert.equal(await limiter.refund(one.place.receipt), isLast, 'whether a place is given back')
      if (isLast) line.leave(one.granted)
      seen[isLast ? 'left' : 'stayed']++
      continue
    }
    if (step.kind === 'penalize') {
      // While somebody waits there is nothing that could be taken.
      if ((line.granted.at(-1)?.dueUs ?? 0n) > now) await limiter.penalize(subject, { cost: 3 })
      continue
    }
    const wanted = BigInt(Math.min(step.cost, capacity))
    const due = line.turn(now, wanted)
    const mostUs = step.kind === 'wait' ? BigInt(Math.min(step.most, 150) * 1000) : 0n
    const isGiven = due - now <= mostUs
    const place =
      step.kind === 'wait'
        ? await limiter.takePlace(subject, { cost: Number(wanted), maxWaitMs: Math.min(step.most, 150) })
        : undefined
    const given = place ?? (await limiter.consume(subject, { cost: Number(wanted) }))
    assert.equal(given.allowed, isGiven, 'whether a place is given')
    counts.calls++
    counts.decided++
    if (!given.allowed) {
      seen.refused++
      counts.refused++
      assert.equal('retryAfterMs' in given && given.retryAfterMs, Math.ceil(Number(due - now) / 1000))
      continue
    }
    const granted = { dueUs: due, cost: wanted }
    line.granted.push(granted)
    if (place?.allowed === true) {
      assert.equal(place.delayMs, Math.ceil(Number(due - now) / 1000), 'how long to wait')
      if (due > now) seen.waited++
      places.push({ place, granted })
    }
  }
  tally.add(counts)
}

const holds = (
  numRuns: number,
  { tally = new Tally(), instead }: { tally?: Tally; instead?: (script: ScriptSource) => ScriptSource } = {},
) =>
  fc.check(
    fc.asyncProperty(bucket, steps, (one, history) => play(one, history, tally, instead)),
    { numRuns, endOnFailure: true },
  )

describe('a place in the line of a bucket', () => {
  it('is the first moment that the bucket has for it after all who came before, and given back by the last alone', {
    timeout: rounds(60_000, 1_200_000),
  }, async () => {
    const numRuns = inject('inMemory') ? rounds(150, 20_000) : rounds(15, 1000)
    const tally = new Tally()
    const { failed, errorInstance, counterexample } = await holds(numRuns, { tally })
    expect(failed ? { errorInstance, counterexample } : undefined).toBeUndefined()
    expect(tally.lacking()).toEqual([])
    // Histories in which nobody waits, or leaves, show little.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(numRuns / 4)
  })

  const decide = 'ratelimit/decide'
  it.each([
    ['has the line forgotten by who only consumes', mistake(decide, 'depth + unit * 1000', 'depth')],
    [
      'tells everybody the same moment',
      mistake(
        decide,
        'if now + debt > full',
        'if debt > depth - ahead then debt = depth - ahead end\n      if now + debt > full',
      ),
    ],
    ['gives a place beyond what was asked for', mistake(decide, 'depth + ahead\n', 'depth + unit * 1000\n')],
    [
      'gives back a place that somebody is behind',
      mistake('ratelimit/refund', 'then back = 0 end', 'then back = back end'),
    ],
    ['has the line forgotten by a penalty', mistake(decide, 'math.max(depth, owed)', 'depth')],
    ['gives no place back', mistake('ratelimit/refund', ' and decided + owed ~= written + debt', '')],
  ])('is not given by one that %s', { timeout: 60_000 }, async (_, instead) => {
    const { errorInstance } = await holds(400, { instead })
    expect(String(errorInstance)).toMatch(
      /whether a place is given|how long to wait|more than the bucket|Expected values/,
    )
  })

  it('moves with a clock that steps back, so that nobody comes too early, and is then not given back', async () => {
    const algorithm = steadyBucket(1, 20_000, 1000)
    const tier: Tier = { kind: 'token-bucket', limit: 1, windowMs: 20, algorithm }
    const staged = new StagedLimiter(stage, [tier], { startUs: START_US })
    const subject = randomUUID()
    const place = async () => {
      const given = await staged.limiter.takePlace(subject)
      expect.assert(given.allowed)
      return given
    }
    await place()
    expect(await place()).toMatchObject({ delayMs: 20 })
    const last = await place()
    expect(last).toMatchObject({ delayMs: 40 })
    staged.nowUs -= 30_000_000n
    expect(await staged.limiter.consume(subject)).toMatchObject({ allowed: false, retryAfterMs: 60 })
    expect(await staged.limiter.refund(last.receipt)).toBe(false)
    staged.nowUs += 10_000n
    expect(await place()).toMatchObject({ delayMs: 50 })
  })
})
