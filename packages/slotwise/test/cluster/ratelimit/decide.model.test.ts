import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import decideSource from '../../../src/ratelimit/decide.lua.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { rounds } from '../../support/budget.js'
import { ExactBucket } from './buckets.js'
import { type Bucket, decider, mutant } from './decide.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort()
})
afterAll(() => port.close())

const START_US = 1_790_000_000_000_000n
const newKey = () => keyOf({ namespace: 'model', pattern: 'ratelimit', name: 'decide' }, randomUUID())

const policies = fc.array(
  fc.record({ capacity: fc.integer({ min: 1, max: 20 }), intervalUs: fc.integer({ min: 1, max: 5000 }) }),
  { minLength: 1, maxLength: 4 },
)
// Waits around one token's time, so that about every other request meets an empty bucket.
const requests = fc.array(
  fc.record({
    waitUs: fc.integer({ min: 0, max: 6000 }),
    costs: fc.array(fc.nat(6), { minLength: 4, maxLength: 4 }),
  }),
  { minLength: 50, maxLength: 60 },
)

/** Plays one history against the oracle; throws where they differ, and tells how many were refused. */
async function play(
  decide: ReturnType<typeof decider>,
  buckets: readonly Bucket[],
  steps: readonly { readonly waitUs: number; readonly costs: readonly number[] }[],
): Promise<number> {
  const key = newKey()
  let now = START_US
  let refused = 0
  const exact = buckets.map(({ capacity, intervalUs }) => new ExactBucket(capacity, intervalUs, now))
  for (const { waitUs, costs } of steps) {
    now += BigInt(waitUs)
    const fitting = buckets.map(({ capacity }, index) => Math.min(costs[index] ?? 0, capacity))
    const wanted = exact.every((bucket, index) => bucket.has(fitting[index] ?? 0, now))
    const waitForUs = Math.max(...exact.map((bucket, index) => bucket.missingUs(fitting[index] ?? 0, now)))
    const { admitted, debts } = await decide(key, buckets, fitting, now)
    assert.equal(admitted, wanted)
    if (wanted) {
      for (const [index, bucket] of exact.entries()) bucket.take(fitting[index] ?? 0, now)
    } else {
      refused++
      const tooLong = buckets.map(
        ({ capacity, intervalUs }, index) =>
          (debts[index] ?? 0) + (fitting[index] ?? 0) * intervalUs - capacity * intervalUs,
      )
      assert.equal(Math.max(...tooLong), waitForUs)
      // Now and then to the last microsecond before its turn, where off-by-one mistakes live.
      if ((costs[0] ?? 0) % 3 === 0) {
        now += BigInt(waitForUs) - 1n
        assert.equal((await decide(key, buckets, fitting, now)).admitted, false)
        continue
      }
    }
    const remaining = buckets.map(({ capacity, intervalUs }, index) =>
      Math.floor((capacity * intervalUs - (debts[index] ?? 0)) / intervalUs),
    )
    assert.deepEqual(
      remaining,
      exact.map((bucket) => bucket.remaining(now)),
    )
  }
  return refused
}

describe('decisions against exact arithmetic', () => {
  it('agree on every request, every remainder and every wait', {
    timeout: rounds(120_000, 1_200_000),
  }, async () => {
    const decide = decider(port, decideSource)
    let refused = 0
    let asked = 0
    await fc.assert(
      fc.asyncProperty(policies, requests, async (buckets, steps) => {
        refused += await play(decide, buckets, steps)
        asked += steps.length
      }),
      { numRuns: rounds(60, 20_000) },
    )
    expect(refused / asked).toBeGreaterThan(0.2)
  })

  it('refuse a microsecond before the time told and admit at it', async () => {
    const decide = decider(port, decideSource)
    const bucket = { capacity: 3, intervalUs: 777 }
    const [early, late] = [newKey(), newKey()]
    for (const key of [early, late]) await decide(key, [bucket], [3], START_US)
    const { debts } = await decide(early, [bucket], [2], START_US)
    const wait = BigInt((debts[0] ?? 0) + 2 * 777 - 3 * 777)
    expect(await decide(early, [bucket], [2], START_US + wait - 1n)).toMatchObject({ admitted: false })
    expect(await decide(late, [bucket], [2], START_US + wait)).toMatchObject({ admitted: true })
  })

  it('lock nobody out for longer than a bucket takes to fill when the clock steps back', async () => {
    const decide = decider(port, decideSource)
    const bucket = { capacity: 5, intervalUs: 1000 }
    const key = newKey()
    await decide(key, [bucket], [5], START_US)
    const back = START_US - 3_600_000_000n
    expect(await decide(key, [bucket], [5], back)).toMatchObject({ admitted: false, debts: [5000] })
    expect(await decide(key, [bucket], [0], back)).toMatchObject({ debts: [5000] })
    // A refusal leaves the record alone, so at the old time the old debt is still there.
    expect(await decide(key, [bucket], [1], START_US)).toMatchObject({ admitted: false, debts: [5000] })
  })

  it('keep the debt in time when rate and capacity change, and never ask for more than a full bucket', async () => {
    const decide = decider(port, decideSource)
    const key = newKey()
    await decide(key, [{ capacity: 100, intervalUs: 1000 }], [100], START_US)
    expect(await decide(key, [{ capacity: 10, intervalUs: 2000 }], [0], START_US)).toEqual({
      admitted: true,
      debts: [20_000],
    })
    expect(await decide(key, [{ capacity: 1000, intervalUs: 1000 }], [900], START_US)).toMatchObject({
      admitted: true,
    })
  })
})

describe('the script with one mistake', () => {
  const mutants: Readonly<Record<string, readonly [from: string, to: string]>> = {
    'admits one microsecond early': ['after - now > depth', 'after - now > depth + 1'],
    'refuses an exact fit': ['after - now > depth', 'after - now >= depth'],
    'charges for a refusal': ['if admitted == 0 then', 'if false then'],
    'lets tokens pile up beyond the capacity': ['if arrival < now then arrival = now end', ''],
    'looks at the first bucket only': ['admitted = 0 end', 'if at == 1 then admitted = 0 end end'],
    'takes from the first bucket although another refuses': [
      'local admitted, taken, full = 1, 0, 0',
      "local admitted, taken, full = 1, 0, 0 redis.call('DEL', KEYS[1])",
    ],
    'forgets what it wrote': ['#saved == 8 + #plan / 2', '#saved == 7 + #plan / 2'],
    'keeps whole milliseconds only': ["struct.pack('>d', after)", "struct.pack('>d', after - after % 1000)"],
  }

  it.each(Object.entries(mutants))(
    'that %s is caught',
    { timeout: rounds(60_000, 1_200_000) },
    async (_, [from, to]) => {
      const decide = decider(port, mutant(decideSource, from, to))
      await expect(
        fc.assert(
          fc.asyncProperty(
            policies,
            requests,
            async (buckets, steps) => void (await play(decide, buckets, steps)),
          ),
          {
            numRuns: 100,
            endOnFailure: true,
          },
        ),
      ).rejects.toThrow('Property failed')
    },
  )

  it('that does not stop a clock which steps back is caught', async () => {
    const decide = decider(
      port,
      mutant(decideSource, 'if arrival > now + depth then arrival = now + depth end', ''),
    )
    const bucket = { capacity: 5, intervalUs: 1000 }
    const key = newKey()
    await decide(key, [bucket], [5], START_US)
    const { debts } = await decide(key, [bucket], [0], START_US - 3_600_000_000n)
    expect(debts[0]).toBeGreaterThan(3_600_000_000)
  })
})
