import { describe, expect, it } from 'vitest'
import {
  concurrency,
  fixedWindow,
  RateLimiter,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import { memoryPort, TestClock } from '../../../src/testing/index.js'

const WINDOW = 10_000
const HOUR = 3_600_000

/** With the longest that each lets wait, in windows. */
const TIERS: Readonly<Record<string, readonly [Tier, number]>> = {
  bucket: [tokenBucket({ capacity: 5, refillPerSecond: 0.5 }), 1],
  steps: [tokenBucket({ capacity: 5, refill: { tokens: 5, everyMs: WINDOW } }), 1],
  first: [fixedWindow({ limit: 5, windowMs: WINDOW }), 1],
  clock: [fixedWindow({ limit: 5, windowMs: WINDOW, align: 'clock' }), 1],
  // A count of the window before still counts in the whole of the next.
  estimate: [slidingWindow({ limit: 5, windowMs: WINDOW }), 2],
  strict: [slidingWindow({ limit: 5, windowMs: WINDOW, mode: 'strict', parts: 10 }), 1.1],
  log: [slidingLog({ limit: 5, windowMs: WINDOW }), 1],
  places: [concurrency({ max: 5, ttlMs: WINDOW }), 1],
}

function world(tier: Tier) {
  const clock = new TestClock(Date.UTC(2026, 0, 1, 12, 0, 3))
  const limiter = new RateLimiter(memoryPort({ clock }), {
    name: 'clock',
    tiers: { tier },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
  })
  const count = async (times: number) => {
    let admitted = 0
    for (let i = 0; i < times; i++) if ((await limiter.consume('a')).allowed) admitted++
    return admitted
  }
  return { clock, limiter, count }
}

describe('a server whose clock steps', () => {
  it.each(Object.entries(TIERS))('back gives nothing a second time: %s', async (_, [tier]) => {
    const { clock, count } = world(tier)
    expect(await count(9)).toBe(5)
    // Of an estimate what was counted last is of the window before now, at its very beginning.
    clock.advance(-HOUR - 3000)
    expect(await count(9)).toBe(0)
  })

  it.each(Object.entries(TIERS))(
    'back lets nobody wait for longer than a window: %s',
    async (_, [tier, windows]) => {
      const { clock, limiter, count } = world(tier)
      await count(9)
      clock.advance(-HOUR)
      const refusal = await limiter.consume('a', { cost: 5 })
      expect.assert(!refusal.allowed && 'retryAfterMs' in refusal)
      expect(refusal.retryAfterMs).toBeLessThanOrEqual(windows * WINDOW)
      clock.advance(refusal.retryAfterMs - 1)
      expect(await limiter.consume('a', { cost: 5 })).toMatchObject({ allowed: false })
      clock.advance(1)
      expect(await limiter.consume('a', { cost: 5 })).toMatchObject({ allowed: true })
    },
  )

  it.each(Object.entries(TIERS))('forth gives one window more at most: %s', async (_, [tier]) => {
    const { clock, count } = world(tier)
    let admitted = await count(9)
    clock.advance(HOUR)
    admitted += await count(9)
    clock.advance(-HOUR)
    expect(admitted + (await count(9))).toBeLessThanOrEqual(10)
  })

  it('back lets no block last longer', async () => {
    const { clock, limiter } = world(slidingLog({ limit: 5, windowMs: WINDOW }))
    await limiter.consume('a')
    await limiter.block('a', { forMs: 5000 })
    clock.advance(-HOUR)
    const refusal = await limiter.consume('a')
    expect(refusal).toMatchObject({ allowed: false, reason: 'blocked', retryAfterMs: 5000 })
    clock.advance(4999)
    expect(await limiter.consume('a')).toMatchObject({ reason: 'blocked', retryAfterMs: 1 })
    clock.advance(1)
    expect(await limiter.consume('a')).toMatchObject({ allowed: true })
  })
})

describe('what was admitted again', () => {
  it.each(Object.entries(TIERS))('is given back once, whichever receipt is given: %s', async (_, [tier]) => {
    const { clock, limiter } = world(tier)
    const first = await limiter.consume('a', { cost: 2, idempotencyKey: 'x' })
    await limiter.consume('a', { cost: 3 })
    clock.advance(1)
    const again = await limiter.consume('a', { cost: 2, idempotencyKey: 'x' })
    expect.assert(first.allowed && again.allowed)
    expect(await limiter.refund(again.receipt)).toBe(true)
    await limiter.refund(first.receipt)
    expect(await limiter.peek('a')).toMatchObject([{ remaining: 2 }])
  })

  it('is also while the subject is blocked', async () => {
    const { limiter } = world(slidingLog({ limit: 5, windowMs: WINDOW }))
    await limiter.consume('a', { idempotencyKey: 'x' })
    await limiter.block('a', { forMs: 5000 })
    const again = await limiter.consume('a', { idempotencyKey: 'x' })
    expect.assert(again.allowed)
    expect(await limiter.refund(again.receipt)).toBe(true)
    expect(await limiter.consume('a', { idempotencyKey: 'y' })).toMatchObject({ reason: 'blocked' })
    expect(await limiter.consume('a', { cost: 0 })).toMatchObject({
      allowed: true,
      tiers: [{ remaining: 5 }],
    })
  })
})
