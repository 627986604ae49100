import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import { RateLimiter, slidingWindow, type Tier, tokenBucket } from '../../../src/ratelimit/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
})
afterAll(() => port.close())

const someone = () => randomUUID()
const limiterOf = (capacity: number, refillPerSecond: number, maxWaitMs = 60_000) =>
  new RateLimiter(port, {
    name: 'line',
    tiers: { calls: tokenBucket({ capacity, refillPerSecond, maxWaitMs }) },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
  })
const placed = async (limiter: ReturnType<typeof limiterOf>, subject: string) => {
  const place = await limiter.takePlace(subject)
  expect.assert(place.allowed)
  return place
}

describe('who waits', () => {
  it('goes at a moment of its own, in the order of asking, and never before it', async () => {
    const limiter = limiterOf(1, 25)
    const subject = someone()
    const startedAt = performance.now()
    const went = await Promise.all(
      Array.from({ length: 6 }, async () => {
        expect(await limiter.wait(subject)).toMatchObject({ allowed: true, decidedBy: 'redis' })
        return performance.now() - startedAt
      }),
    )
    // The server's clock and this one may differ by a part of a millisecond in so short a time.
    for (const [i, ms] of went.toSorted((one, other) => one - other).entries())
      expect(ms).toBeGreaterThan(40 * i - 1)
  })

  it('does not come again with all others, as who only tries again', async () => {
    const limiter = limiterOf(1, 20)
    const subject = someone()
    const tries = async () => {
      const decision = await limiter.consume(subject)
      if (decision.allowed || decision.reason !== 'limited') return 1
      await sleep(decision.retryAfterMs + 1)
      return (await limiter.consume(subject)).allowed ? 2 : Number.POSITIVE_INFINITY
    }
    const tried = await Promise.all(Array.from({ length: 6 }, tries))
    expect(tried.filter((times) => times === Number.POSITIVE_INFINITY).length).toBeGreaterThan(2)
  })

  it('is told how long, and is refused where that is too long, which takes no place', async () => {
    const limiter = limiterOf(1, 1)
    const subject = someone()
    expect(await placed(limiter, subject)).toMatchObject({ delayMs: 0 })
    const second = await placed(limiter, subject)
    expect(second.delayMs).toBeGreaterThan(500)
    expect(second.delayMs).toBeLessThanOrEqual(1000)
    for (let i = 0; i < 3; i++)
      expect(await limiter.wait(subject, { maxWaitMs: 1500 })).toMatchObject({
        allowed: false,
        reason: 'limited',
      })
    const third = await placed(limiter, subject)
    expect(third.delayMs).toBeGreaterThan(1500)
    expect(third.delayMs).toBeLessThanOrEqual(2000)
    // Nobody overtakes who waits.
    expect(await limiter.consume(subject)).toMatchObject({ allowed: false, reason: 'limited' })
  })

  it('leaves when it gives up, and the next has its place, unless somebody is behind it', async () => {
    const limiter = limiterOf(1, 1)
    const subject = someone()
    await limiter.wait(subject)
    const giving = new AbortController()
    const waiting = limiter.wait(subject, { signal: giving.signal })
    await sleep(50)
    giving.abort(new Error('gave up'))
    await expect(waiting).rejects.toThrow('gave up')
    const [again, behind] = [await placed(limiter, subject), await placed(limiter, subject)]
    expect(again.delayMs).toBeLessThanOrEqual(1000)
    expect(behind.delayMs).toBeGreaterThan(1500)
    expect(await again.leave()).toBe(false)
    expect(await behind.leave()).toBe(true)
    expect((await placed(limiter, subject)).delayMs).toBeGreaterThan(1500)
  })

  it('does not wait that has given up before, and keeps its place where only a turn is given up', async () => {
    const limiter = limiterOf(1, 1)
    const subject = someone()
    const signal = AbortSignal.abort(new Error('gave up'))
    await expect(limiter.wait(subject, { signal })).rejects.toThrow('gave up')
    expect(await placed(limiter, subject)).toMatchObject({ delayMs: 0 })
    const place = await placed(limiter, subject)
    await expect(place.turn(AbortSignal.timeout(10))).rejects.toThrow('timeout')
    expect((await placed(limiter, subject)).delayMs).toBeGreaterThan(1500)
  })

  it('is refused at once what no bucket ever holds', async () => {
    expect(await limiterOf(2, 1).wait(someone(), { cost: 3 })).toMatchObject({ reason: 'exceeds-capacity' })
  })

  it('needs one bucket with a line as long as that', async () => {
    const others: readonly Readonly<Record<string, Tier>>[] = [
      { calls: tokenBucket({ capacity: 1, refillPerSecond: 1 }) },
      { calls: slidingWindow({ limit: 1, windowMs: 1000 }) },
      {
        calls: tokenBucket({ capacity: 1, refillPerSecond: 1, maxWaitMs: 1 }),
        more: tokenBucket({ capacity: 1, refillPerSecond: 1, maxWaitMs: 1 }),
      },
    ]
    for (const tiers of others) {
      const limiter = new RateLimiter(port, { name: 'line', tiers, whenUnavailable: 'deny' })
      await expect(limiter.wait(someone())).rejects.toThrow(ConfigurationError)
    }
    await expect(limiterOf(1, 1, 100).wait(someone(), { maxWaitMs: 101 })).rejects.toThrow(
      /maxWaitMs must be/,
    )
    expect(() => tokenBucket({ capacity: 1, refillPerSecond: 1, maxWaitMs: -1 })).toThrow(/maxWaitMs must be/)
  })

  it('waits for nothing where limits are only tried', async () => {
    const limiter = new RateLimiter(port, {
      name: 'line',
      tiers: { calls: tokenBucket({ capacity: 1, refillPerSecond: 0.01, maxWaitMs: 200_000 }) },
      whenUnavailable: 'deny',
      shadow: true,
    })
    const subject = someone()
    await limiter.wait(subject)
    const startedAt = performance.now()
    await limiter.wait(subject)
    expect(performance.now() - startedAt).toBeLessThan(5000)
  })
})
