import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import {
  concurrency,
  RateLimiter,
  type RateLimiterOptions,
  type Subject,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { MemoryRedis } from '../../../src/testing/index.js'
import { rounds } from '../../support/budget.js'

// Leases are by the clock of the process, what they are taken of by that of the server: both are turned together.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'], now: Date.UTC(2026, 0, 1) })
})
afterEach(() => {
  vi.useRealTimers()
})

const FOR_MS = 100
type Options = Partial<RateLimiterOptions<'bucket', Subject>>

/** Limiters of as many processes, and how often they ask. */
function processes(
  count: number,
  bucket: { capacity: number; refillPerSecond: number },
  options: Options = {},
) {
  const redis = new MemoryRedis()
  const asked = { times: 0 }
  const one = (): RateLimiter<'bucket'> => {
    const port = redis.connect()
    const counted: RedisPort = { ...port, call: (...call) => (asked.times++, port.call(...call)) }
    return new RateLimiter<'bucket'>(counted, {
      name: 'hot',
      tiers: { bucket: tokenBucket(bucket) },
      whenUnavailable: 'deny',
      lease: { forMs: FOR_MS },
      ...options,
    })
  }
  return { all: Array.from({ length: count }, one), asked }
}

/** So many requests, evenly over a time, until the subject is known to be hot. */
async function warm(limiter: RateLimiter<'bucket'>, subject: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await limiter.consume(subject)
    vi.advanceTimersByTime(1)
  }
}

describe('a hot subject', () => {
  it('is let in without asking for each, and says so', async () => {
    const { all, asked } = processes(1, { capacity: 10_000, refillPerSecond: 10_000 })
    const [limiter] = all
    expect.assert(limiter)
    const subject = randomUUID()
    await warm(limiter, subject, 2 * FOR_MS)
    const before = asked.times
    const decisions = []
    for (let i = 0; i < 50; i++) decisions.push(await limiter.consume(subject))
    expect(asked.times - before).toBeLessThanOrEqual(1)
    expect(decisions.at(-1)).toMatchObject({
      allowed: true,
      decidedBy: 'lease',
      tiers: [{ name: 'bucket', limit: 10_000 }],
    })
    const lefts = decisions.flatMap((one) => (one.allowed ? [one.tiers[0]?.remaining ?? 0] : []))
    expect(lefts).toEqual(lefts.toSorted((a, b) => b - a))
  })

  it('is asked for once by those who come together', async () => {
    const { all, asked } = processes(1, { capacity: 10_000, refillPerSecond: 10_000 })
    const [limiter] = all
    expect.assert(limiter)
    const subject = randomUUID()
    await warm(limiter, subject, 2 * FOR_MS)
    vi.advanceTimersByTime(FOR_MS)
    const before = asked.times
    const decisions = await Promise.all(Array.from({ length: 40 }, () => limiter.consume(subject)))
    expect(decisions.every(({ allowed }) => allowed)).toBe(true)
    // And once for who comes next.
    expect(asked.times - before).toBeLessThanOrEqual(2)
  })

  it('takes what there is of a lease, and is refused when there is nothing', async () => {
    const { all } = processes(1, { capacity: 300, refillPerSecond: 1 })
    const [limiter] = all
    expect.assert(limiter)
    const subject = randomUUID()
    let admitted = 0
    for (let i = 0; i < 400; i++) {
      const decision = await limiter.consume(subject)
      if (decision.allowed) admitted++
      else expect(decision).toMatchObject({ reason: 'limited', violated: ['bucket'] })
      vi.advanceTimersByTime(1)
    }
    // What is left at the end of a lease is dropped.
    expect(admitted).toBeLessThanOrEqual(300)
    expect(admitted).toBeGreaterThan(250)
  })

  it('gives a place back to the lease it was of, and to nothing once that is over', async () => {
    const { all } = processes(1, { capacity: 10_000, refillPerSecond: 1 })
    const [limiter] = all
    expect.assert(limiter)
    const subject = randomUUID()
    await warm(limiter, subject, 2 * FOR_MS)
    const [one, other] = [await limiter.consume(subject), await limiter.consume(subject)]
    expect.assert(one.allowed && other.allowed)
    expect(await limiter.refund(other.receipt)).toBe(true)
    expect(await limiter.consume(subject)).toMatchObject({ tiers: other.tiers })
    vi.advanceTimersByTime(FOR_MS)
    expect(await limiter.refund(one.receipt)).toBe(false)
  })

  it('is decided exactly where costs differ, a key makes it harmless to repeat, or a place is taken', async () => {
    const { all, asked } = processes(1, { capacity: 10_000, refillPerSecond: 10_000 })
    const [limiter] = all
    expect.assert(limiter)
    const subject = randomUUID()
    await warm(limiter, subject, 3 * FOR_MS)
    const before = asked.times
    expect(await limiter.consume(subject, { idempotencyKey: 'a' })).toMatchObject({ decidedBy: 'redis' })
    expect(asked.times).toBe(before + 1)
    const places = processes(
      1,
      { capacity: 1, refillPerSecond: 1 },
      { tiers: { bucket: concurrency({ max: 900, ttlMs: 1000 }) } },
    )
    const [exact] = places.all
    expect.assert(exact)
    await warm(exact, subject, 3 * FOR_MS)
    expect(await exact.consume(subject)).toMatchObject({ decidedBy: 'redis' })
  })

  it.each([0, -1, 60_001, Number.NaN])('cannot be leased for %s ms', (forMs) => {
    expect(() => processes(1, { capacity: 1, refillPerSecond: 1 }, { lease: { forMs } })).toThrow(
      ConfigurationError,
    )
  })
})

describe('whoever hoards leases and spends them at once', () => {
  const hoard = fc.record({
    count: fc.integer({ min: 1, max: 6 }),
    capacity: fc.integer({ min: 20, max: 200 }),
    refillPerSecond: fc.integer({ min: 100, max: 2000 }),
    steps: fc.array(
      fc.record({
        waitMs: fc.integer({ min: 0, max: 60 }),
        who: fc.nat(5),
        times: fc.integer({ min: 1, max: 120 }),
      }),
      { minLength: 30, maxLength: 60 },
    ),
  })

  const property = (leased: { times: number }) =>
    fc.asyncProperty(hoard, async ({ count, capacity, refillPerSecond, steps }) => {
      const { all } = processes(count, { capacity, refillPerSecond })
      const admitted: number[] = []
      let nowMs = 0
      for (const { waitMs, who, times } of steps) {
        vi.advanceTimersByTime(waitMs)
        nowMs += waitMs
        for (let i = 0; i < times; i++) {
          const decision = await all[who % count]?.consume('everybody')
          if (decision?.allowed !== true) continue
          admitted.push(nowMs)
          if (decision.decidedBy === 'lease') leased.times++
        }
      }
      const rate = refillPerSecond / 1000
      for (const [i, from] of admitted.entries()) {
        for (let j = i; j < admitted.length; j += 7) {
          const passed = (admitted[j] ?? 0) - from
          if (j - i + 1 > capacity + rate * (passed + FOR_MS)) return false
        }
      }
      return true
    })

  it('gets in any time no more than exact decisions allow in that time and that of a lease', {
    timeout: rounds(60_000, 1_200_000),
  }, async () => {
    const leased = { times: 0 }
    await fc.assert(property(leased), { numRuns: rounds(25, 3000) })
    expect(leased.times).toBeGreaterThan(1000)
  })

  /** Six processes take a lease one after the other, as fast as the bucket fills, and then spend all of them in an instant. */
  async function dump(forMs: number): Promise<number> {
    const { all } = processes(6, { capacity: 100, refillPerSecond: 1000 }, { lease: { forMs } })
    for (let ms = 0; ms < 2 * forMs; ms++) {
      await Promise.all(all.map((one) => one.consume('everybody')))
      vi.advanceTimersByTime(1)
    }
    for (const one of all) {
      vi.advanceTimersByTime(50)
      await one.consume('everybody')
    }
    vi.advanceTimersByTime(50)
    let admitted = 0
    for (const one of all) {
      for (let i = 0; i < 300; i++) if ((await one.consume('everybody')).allowed) admitted++
    }
    return admitted
  }

  it('gets in an instant the bucket and what comes back during a lease, and more where leases are not dropped', async () => {
    const bound = 100 + FOR_MS
    expect(await dump(FOR_MS)).toBeLessThanOrEqual(bound)
    expect(await dump(10 * FOR_MS)).toBeGreaterThan(bound)
  })
})
