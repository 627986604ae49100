import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { ConfigurationError, OutcomeUnknownError, RedisUnavailableError } from '../../../src/errors.js'
import {
  concurrency,
  fixedWindow,
  RateLimiter,
  type RateLimiterOptions,
  type Subject,
  slidingLog,
  slidingWindow,
} from '../../../src/ratelimit/index.js'
import type { BreakerState, RedisPort } from '../../../src/redis/index.js'
import { MemoryRedis } from '../../../src/testing/index.js'

const HOUR = 3_600_000
type Options = Partial<RateLimiterOptions<'quota', Subject>>

/** A limiter whose Redis is in memory, and what was heard of it. */
function stage(options: Options = {}, limit = 10) {
  const redis = new MemoryRedis()
  const heard: unknown[] = []
  const limiter = (port: RedisPort = redis.connect()) =>
    new RateLimiter<'quota'>(port, {
      name: 'away',
      tiers: { quota: fixedWindow({ limit, windowMs: HOUR }) },
      whenUnavailable: 'deny',
      onError: (error) => heard.push(error),
      ...options,
    })
  return { redis, heard, limiter }
}
const someone = () => randomUUID()

/** As if it had never been there, but what it is asked it never answers. */
const silent = (port: RedisPort): RedisPort => ({
  ...port,
  call: (_, options) =>
    new Promise((_resolve, reject) => {
      setTimeout(
        () => reject(new OutcomeUnknownError('too late', { node: 'h:1' })),
        options?.deadlineMs ?? 3000,
      )
    }),
})

describe('a limiter whose Redis does not answer', () => {
  it.each(['allow', 'deny', 'local'] as const)(
    'has decided after its own deadline: %s',
    async (whenUnavailable) => {
      const { redis, heard, limiter } = stage({ whenUnavailable, localShare: 0.5 })
      const away = limiter(silent(redis.connect()))
      const startedAt = performance.now()
      const decision = await away.consume(someone())
      expect(performance.now() - startedAt).toBeLessThan(1000)
      const wanted = {
        allow: { allowed: true, decidedBy: 'policy' },
        deny: { allowed: false, reason: 'unavailable' },
        local: { allowed: true, decidedBy: 'local', tiers: [{ name: 'quota', limit: 10, remaining: 4 }] },
      }
      expect(decision).toMatchObject(wanted[whenUnavailable])
      expect(heard).toHaveLength(1)
    },
  )

  it('is not asked while it is known to be away', async () => {
    const { redis, limiter } = stage({ whenUnavailable: 'allow' })
    const port = redis.connect()
    let asked = 0
    const open: BreakerState = { state: 'open', forMs: 5000, reason: 'it has fallen asleep' }
    const away = limiter({ ...port, breaker: () => open, call: (...call) => (asked++, port.call(...call)) })
    expect(await away.consume(someone())).toMatchObject({ cause: expect.any(RedisUnavailableError) })
    expect(asked).toBe(0)
  })

  it('decides for nobody when the caller gave up', async () => {
    const { redis, limiter } = stage({ whenUnavailable: 'allow' })
    const signal = AbortSignal.abort(new Error('gone'))
    await expect(limiter(redis.connect()).consume(someone(), { signal })).rejects.toThrow('gone')
  })
})

describe('an answer that is lost', () => {
  it('is asked for again where that is harmless, and counts once', async () => {
    const { redis, limiter } = stage()
    const subject = someone()
    const one = limiter()
    redis.loseReplies(1, { command: 'ratelimit/decide' })
    const again = await one.consume(subject, { idempotencyKey: 'order' })
    expect(again).toMatchObject({ allowed: true, decidedBy: 'redis', tiers: [{ remaining: 9 }] })
  })

  it('is not where it could count twice, and may have counted', async () => {
    const { redis, limiter } = stage()
    const subject = someone()
    const one = limiter()
    redis.loseReplies(1, { command: 'ratelimit/decide' })
    expect(await one.consume(subject)).toMatchObject({ allowed: false, reason: 'unavailable' })
    expect(await one.peek(subject)).toMatchObject([{ remaining: 9 }])
  })

  it('of a refund gives back once', async () => {
    const { redis, limiter } = stage()
    const subject = someone()
    const one = limiter()
    await one.consume(subject, { cost: 5 })
    const decision = await one.consume(subject, { cost: 2 })
    expect.assert(decision.allowed)
    redis.loseReplies(2, { command: 'ratelimit/refund' })
    expect(await one.refund(decision.receipt)).toBe(true)
    expect(await one.peek(subject)).toMatchObject([{ remaining: 5 }])
  })

  it('of a settlement settles once', async () => {
    const { redis, limiter } = stage()
    const subject = someone()
    const one = limiter()
    const decision = await one.consume(subject, { cost: 2 })
    expect.assert(decision.allowed)
    redis.loseReplies(4, { command: 'ratelimit/decide' })
    await expect(one.settle(decision.receipt, { cost: 5 })).rejects.toThrow(OutcomeUnknownError)
    await expect(one.settle(decision.receipt, { cost: 6 })).rejects.toThrow(ConfigurationError)
    await one.settle(decision.receipt, { cost: 5 })
    expect(await one.peek(subject)).toMatchObject([{ remaining: 5 }])
  })

  it('of a refund that fails for good may be asked for again', async () => {
    const { redis, limiter } = stage()
    const subject = someone()
    const one = limiter()
    const decision = await one.consume(subject, { cost: 2 })
    expect.assert(decision.allowed)
    redis.loseReplies(4, { command: 'ratelimit/refund' })
    await expect(one.refund(decision.receipt)).rejects.toThrow(OutcomeUnknownError)
    expect(await one.refund(decision.receipt)).toBe(true)
    expect(await one.peek(subject)).toMatchObject([{ remaining: 10 }])
  })
})

describe("this process's share", () => {
  it('is of what was left when Redis last answered, and the whole of it is never more than the limit', async () => {
    const { redis, limiter } = stage({ whenUnavailable: 'local', localShare: 0.25 })
    const subject = someone()
    const processes = Array.from({ length: 4 }, () => limiter(redis.connect()))
    for (const one of processes) await one.consume(subject, { cost: 0 })
    await processes[0]?.consume(subject, { cost: 2 })
    redis.stop()
    const all = await Promise.all(
      processes.flatMap((one) => Array.from({ length: 10 }, () => one.consume(subject))),
    )
    const admitted = all.filter(({ allowed }) => allowed)
    expect(admitted.every((decision) => decision.allowed && decision.decidedBy === 'local')).toBe(true)
    expect(admitted.length).toBeLessThanOrEqual(10)
    expect(admitted.length).toBeGreaterThan(4)
    const refusal = all.find((decision) => !decision.allowed)
    expect(refusal).toMatchObject({ reason: 'limited', decidedBy: 'local', violated: ['quota'] })
    redis.start()
    expect(await processes[1]?.consume(subject)).toMatchObject({ allowed: true, decidedBy: 'redis' })
  })

  it('says that waiting does not help where what is asked for is larger', async () => {
    const { redis, limiter } = stage({ whenUnavailable: 'local', localShare: 0.25 })
    const one = limiter()
    redis.stop()
    expect(await one.consume(someone(), { cost: 3 })).toMatchObject({ allowed: false, reason: 'unavailable' })
  })

  it('grows with time and is given back by a refund', async () => {
    const tiers = { quota: slidingWindow({ limit: 10, windowMs: 500 }) }
    const { redis, limiter } = stage({ whenUnavailable: 'local', localShare: 0.2, tiers })
    const [subject, one] = [someone(), limiter()]
    redis.stop()
    const decision = await one.consume(subject, { cost: 2 })
    expect.assert(decision.allowed)
    const refusal = await one.consume(subject)
    expect.assert(!refusal.allowed && 'retryAfterMs' in refusal)
    await sleep(refusal.retryAfterMs + 2)
    expect(await one.consume(subject)).toMatchObject({ allowed: true })
    expect(await one.refund(decision.receipt)).toBe(true)
    expect(await one.consume(subject, { cost: 2 })).toMatchObject({ allowed: true })
  })

  it.each([0, -1, 1.5, Number.NaN])('is refused where it is %s', (localShare) => {
    expect(() => stage({ whenUnavailable: 'local', localShare }).limiter()).toThrow(ConfigurationError)
    expect(() => stage({ whenUnavailable: 'local' }).limiter()).toThrow(ConfigurationError)
  })
})

describe('refusals that are remembered', () => {
  const counted = (options: Options = {}, tiers?: Options['tiers']) => {
    const { redis, limiter } = stage({ refusals: {}, ...options, ...(tiers && { tiers }) }, 1)
    const port = redis.connect()
    const count = { asked: 0 }
    const one = limiter({ ...port, call: (...call) => (count.asked++, port.call(...call)) })
    return { one, count, redis, limiter }
  }

  it('cost Redis nothing until their time, and tell what is left of it', async () => {
    const tiers = { quota: slidingLog({ limit: 1, windowMs: 120 }) }
    const { one, count } = counted({}, tiers)
    const subject = someone()
    await one.consume(subject)
    await one.consume(subject)
    const { asked } = count
    await sleep(20)
    const refusal = await one.consume(subject)
    expect(refusal).toMatchObject({ allowed: false, decidedBy: 'cache', violated: ['quota'] })
    expect.assert('retryAfterMs' in refusal)
    expect(refusal.retryAfterMs).toBeLessThanOrEqual(101)
    expect(count.asked).toBe(asked)
    await sleep(refusal.retryAfterMs + 1)
    expect(await one.consume(subject)).toMatchObject({ allowed: true, decidedBy: 'redis' })
  })

  it('are forgotten when something is given back, reset or blocked here', async () => {
    const { one } = counted()
    const subject = someone()
    const decision = await one.consume(subject)
    expect.assert(decision.allowed)
    await one.consume(subject)
    await one.refund(decision.receipt)
    expect(await one.consume(subject)).toMatchObject({ allowed: true })
    await one.consume(subject)
    await one.reset(subject)
    expect(await one.consume(subject)).toMatchObject({ allowed: true })
  })

  it('are not believed for longer than told, for another cost, or where a place may be given up', async () => {
    const { one, redis, limiter } = counted({ refusals: { maxAgeMs: 30 } })
    const subject = someone()
    await one.consume(subject)
    await one.consume(subject)
    await limiter(redis.connect()).reset(subject)
    expect(await one.consume(subject)).toMatchObject({ allowed: false, decidedBy: 'cache' })
    expect(await one.consume(subject, { cost: 0 })).toMatchObject({ allowed: true })
    await sleep(35)
    expect(await one.consume(subject)).toMatchObject({ allowed: true })

    const places = counted({}, { quota: concurrency({ max: 1, ttlMs: HOUR }) })
    const held = await places.one.consume(subject)
    expect.assert(held.allowed)
    await places.one.consume(subject)
    await places.one.release(held.receipt)
    expect(await places.one.consume(subject)).toMatchObject({ allowed: true })
  })

  it('are no more than told', async () => {
    const { one, count } = counted({ refusals: { maxEntries: 2 } })
    const subjects = [someone(), someone(), someone()]
    for (const subject of subjects) for (let i = 0; i < 2; i++) await one.consume(subject)
    const { asked } = count
    await one.consume(subjects[0] ?? '')
    expect(count.asked).toBe(asked + 1)
  })
})

describe('a primary that may evict', () => {
  const evicting = (redis: MemoryRedis, policy: string): RedisPort => {
    const port = redis.connect()
    return {
      ...port,
      onEachPrimary: async () =>
        port.topology().nodes.map((node) => ({
          node,
          result: { status: 'fulfilled' as const, value: ['maxmemory-policy', policy] },
        })),
    }
  }

  it.each(['allkeys-lru', 'volatile-ttl'])(
    'is refused, also where only what ends is evicted: %s',
    async (policy) => {
      const { redis, limiter } = stage()
      const one = limiter(evicting(redis, policy))
      await expect(one.ready()).rejects.toThrow(ConfigurationError)
      await expect(one.consume(someone())).rejects.toThrow(/may evict limits/)
      await expect(one.peek(someone())).rejects.toThrow(/may evict limits/)
    },
  )

  it('is told of, or not asked, where that is wanted', async () => {
    const warned = stage({ evictionCheck: 'warn' })
    expect(await warned.limiter(evicting(warned.redis, 'allkeys-lru')).consume(someone())).toMatchObject({
      allowed: true,
    })
    expect(warned.heard).toMatchObject([expect.any(ConfigurationError)])
    const off = stage({ evictionCheck: 'off' })
    expect(await off.limiter(evicting(off.redis, 'allkeys-lru')).consume(someone())).toMatchObject({
      allowed: true,
    })
    expect(off.heard).toEqual([])
  })
})
