import { describe, expect, it } from 'vitest'
import {
  concurrency,
  fixedWindow,
  RateLimiter,
  type RateLimiterOptions,
} from '../../../src/ratelimit/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'

const HOUR = 3_600_000
const PLACE = 10_000

type Options = Partial<RateLimiterOptions<'quota', string>>

/** Ten an hour, or at once, of which half is reserved for payments. */
function stage(options: Options = {}) {
  const clock = new TestClock(Date.UTC(2026, 0, 1, 12, 0, 3))
  const redis = new MemoryRedis({ clock })
  const limiter = new RateLimiter<'quota', string>(redis.connect(), {
    name: 'shop',
    tiers: { quota: fixedWindow({ limit: 10, windowMs: HOUR }) },
    priorities: { payments: 0.5, reports: 0 },
    whenUnavailable: 'deny',
    ...options,
  })
  const admitted = async (priority: string, times: number) => {
    let count = 0
    for (let i = 0; i < times; i++) if ((await limiter.consume('all', { priority })).allowed) count++
    return count
  }
  return { clock, redis, limiter, admitted }
}
const places = { quota: concurrency({ max: 10, ttlMs: PLACE }) }

describe('requests of lower priority, when something fails', () => {
  it.each([
    ['allow', { allowed: true, decidedBy: 'policy' }],
    ['deny', { allowed: false, reason: 'unavailable' }],
    ['local', { allowed: true, decidedBy: 'local' }],
  ] as const)('are decided like all others where Redis does not answer: %s', async (whenUnavailable, how) => {
    const { redis, limiter, admitted } = stage({ whenUnavailable, localShare: 0.5 })
    expect(await admitted('reports', 9), 'as long as it does').toBe(5)
    redis.stop()
    expect(await limiter.consume('all', { priority: 'reports' })).toMatchObject(how)
    expect(await limiter.consume('all', { priority: 'payments' })).toMatchObject(how)
  })

  it('have one share of a process with all others, of which nothing is reserved', async () => {
    const { redis, admitted } = stage({ whenUnavailable: 'local', localShare: 0.5 })
    await admitted('payments', 1)
    redis.stop()
    expect([await admitted('reports', 9), await admitted('payments', 9)]).toEqual([4, 0])
  })

  it('may have been counted where the answer is lost, and are not asked for again', async () => {
    const { redis, limiter, admitted } = stage()
    redis.loseReplies(1, { command: 'ratelimit/decide' })
    const lost = await limiter.consume('all', { priority: 'reports' })
    expect(lost).toMatchObject({ allowed: false, reason: 'unavailable' })
    expect(await admitted('reports', 9)).toBe(4)
  })

  it('are let in once more where a failover forgets them, and never beyond the part that they had', async () => {
    const { redis, limiter, admitted } = stage()
    await admitted('reports', 2)
    redis.holdReplication()
    expect(await admitted('reports', 9)).toBe(3)
    redis.failOver()
    expect(await admitted('reports', 9)).toBe(3)
    expect(await limiter.peek('all')).toMatchObject([{ remaining: 5 }])
    expect(await admitted('payments', 9)).toBe(5)
  })

  it('leave their places when these end, where their process has died', async () => {
    const { clock, admitted } = stage({ tiers: places })
    expect(await admitted('reports', 9)).toBe(5)
    clock.advance(PLACE - 1)
    expect(await admitted('reports', 1)).toBe(0)
    clock.advance(1)
    expect(await admitted('reports', 9)).toBe(5)
  })

  it('are given nothing a second time by a clock that steps back, and leave to others what they left', async () => {
    const { clock, limiter, admitted } = stage()
    expect(await admitted('reports', 9)).toBe(5)
    clock.advance(-24 * HOUR)
    const refusal = await limiter.consume('all', { priority: 'reports' })
    expect.assert('retryAfterMs' in refusal)
    expect(refusal.retryAfterMs).toBe(HOUR)
    expect(await admitted('payments', 9)).toBe(5)
    clock.advance(refusal.retryAfterMs)
    expect(await admitted('reports', 9)).toBe(5)
  })

  it('have one window more at most by a clock that steps forth', async () => {
    const { clock, admitted } = stage()
    expect(await admitted('reports', 9)).toBe(5)
    clock.advance(24 * HOUR)
    expect(await admitted('reports', 9)).toBe(5)
    clock.advance(-24 * HOUR)
    expect(await admitted('reports', 9)).toBe(0)
  })
})
