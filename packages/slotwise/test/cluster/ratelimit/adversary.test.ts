import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  fixedWindow,
  RateLimiter,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import { memoryPort, TestClock } from '../../../src/testing/index.js'
import { rounds } from '../../support/budget.js'

const WINDOW = 1000

/** What an adversary sends: bursts, after waits that meet the edges of windows and of their parts. */
const bursts = fc.array(
  fc.record({
    waitUs: fc.oneof(
      fc.nat(400_000),
      fc.constantFrom(0, 1, 999_999, 1_000_000, 1_000_001, 99_999, 100_000, 500_000),
    ),
    cost: fc.integer({ min: 1, max: 6 }),
    times: fc.integer({ min: 1, max: 15 }),
  }),
  { minLength: 10, maxLength: 60 },
)

/** The most that was let through in any time as long as a window, in parts of the limit. */
async function most(
  tier: Tier,
  sent: readonly { waitUs: number; cost: number; times: number }[],
): Promise<number> {
  const clock = new TestClock(Date.UTC(2026, 0, 1))
  const limiter = new RateLimiter(memoryPort({ clock }), {
    name: 'adversary',
    tiers: { tier },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
  })
  const subject = randomUUID()
  const admitted: { readonly atUs: number; readonly cost: number }[] = []
  let atUs = 0
  for (const { waitUs, cost, times } of sent) {
    clock.advance(waitUs / 1000)
    atUs += waitUs
    for (let i = 0; i < times; i++) {
      const decision = await limiter.consume(subject, { cost: Math.min(cost, tier.limit) })
      if (decision.allowed) admitted.push({ atUs, cost: Math.min(cost, tier.limit) })
    }
  }
  const sums = admitted.map(({ atUs: end }) =>
    admitted
      .filter(({ atUs: one }) => one > end - WINDOW * 1000 && one <= end)
      .reduce((sum, { cost }) => sum + cost, 0),
  )
  return Math.max(0, ...sums) / tier.limit
}

const limit = fc.integer({ min: 1, max: 12 })
const numRuns = rounds(40, 5000)

describe('an adversary gets, in any time as long as the window,', () => {
  it.each([
    [
      'a strict window',
      1,
      (n: number, parts: number) => slidingWindow({ limit: n, windowMs: WINDOW, mode: 'strict', parts }),
    ],
    ['a log', 1, (n: number) => slidingLog({ limit: n, windowMs: WINDOW })],
    ['an estimate', 2, (n: number) => slidingWindow({ limit: n, windowMs: WINDOW })],
    ['a window from the first request', 2, (n: number) => fixedWindow({ limit: n, windowMs: WINDOW })],
    ['a window by the clock', 2, (n: number) => fixedWindow({ limit: n, windowMs: WINDOW, align: 'clock' })],
    ['a bucket that fills in a window', 2, (n: number) => tokenBucket({ capacity: n, refillPerSecond: n })],
  ] as const)(
    'of %s at most %i times the limit',
    { timeout: rounds(30_000, 1_200_000) },
    async (_, times, make) => {
      let worst = 0
      await fc.assert(
        fc.asyncProperty(limit, fc.constantFrom(1, 3, 10, 60), bursts, async (n, parts, sent) => {
          const share = await most(make(n, parts), sent)
          worst = Math.max(worst, share)
          return share <= times
        }),
        { numRuns },
      )
      // An adversary that never comes near the bound shows nothing.
      expect(worst).toBeGreaterThan(times === 1 ? 0.9 : 1)
    },
  )

  it('of an estimate nearly twice the limit, which is why it is called one', async () => {
    const sent = [
      { waitUs: 999_999, cost: 1, times: 100 },
      { waitUs: 999_998, cost: 1, times: 100 },
    ]
    expect(await most(slidingWindow({ limit: 100, windowMs: WINDOW }), sent)).toBe(1.99)
    expect(await most(slidingWindow({ limit: 100, windowMs: WINDOW, mode: 'strict' }), sent)).toBe(1)
  })
})
