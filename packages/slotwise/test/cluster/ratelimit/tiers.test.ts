import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import {
  concurrency,
  type Decision,
  fixedWindow,
  PLANS,
  RateLimiter,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
})
afterAll(() => port.close())

const someone = () => randomUUID()
const limiterOf = <N extends string>(tiers: Readonly<Record<N, Tier>>, more = {}) =>
  new RateLimiter<N>(port, { name: 'tiers', tiers, whenUnavailable: 'deny', deadlineMs: 2000, ...more })
function admitted<N extends string>(decision: Decision<N>) {
  expect.assert(decision.allowed)
  return decision
}
function refused<N extends string>(decision: Decision<N>) {
  expect.assert(!decision.allowed && 'retryAfterMs' in decision)
  return decision
}

const DAY = 86_400_000
const EVERY: Readonly<Record<string, Tier>> = {
  bucket: tokenBucket({ capacity: 5, refillPerSecond: 0.001 }),
  steps: tokenBucket({ capacity: 5, refill: { tokens: 1, everyMs: 365 * DAY } }),
  first: fixedWindow({ limit: 5, windowMs: DAY }),
  clock: fixedWindow({ limit: 5, windowMs: 365 * DAY, align: 'clock' }),
  month: fixedWindow({ limit: 5, align: { period: 'month', timeZone: 'Europe/Zurich' } }),
  estimate: slidingWindow({ limit: 5, windowMs: 365 * DAY }),
  strict: slidingWindow({ limit: 5, windowMs: DAY, mode: 'strict' }),
  log: slidingLog({ limit: 5, windowMs: DAY }),
  places: concurrency({ max: 5, ttlMs: DAY }),
}

describe('each kind of tier', () => {
  it.each(Object.entries(EVERY))('admits exactly the limit out of a burst: %s', async (name, tier) => {
    const subject = someone()
    const limiter = limiterOf({ [name]: tier })
    const decisions = await Promise.all(Array.from({ length: 40 }, () => limiter.consume(subject)))
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(5)
    const last = refused(await limiter.consume(subject))
    expect(last.violated).toEqual([name])
    expect(last.retryAfterMs).toBeGreaterThan(0)
    expect(last.tiers).toMatchObject([{ name, limit: 5, remaining: 0 }])
  })

  it.each(Object.entries(EVERY))('gives back what a decision took, and once: %s', async (name, tier) => {
    const subject = someone()
    const limiter = limiterOf({ [name]: tier })
    const { receipt } = admitted(await limiter.consume(subject, { cost: 3 }))
    expect(receipt.costs).toEqual({ [name]: 3 })
    await limiter.consume(subject, { cost: 2 })
    expect(await limiter.refund(receipt)).toBe(true)
    expect(await limiter.refund(receipt)).toBe(false)
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 3 }])
    expect(await limiter.consume(subject, { cost: 4 })).toMatchObject({ allowed: false })
    expect(await limiter.consume(subject, { cost: 3 })).toMatchObject({ allowed: true })
  })

  it.each([
    ['bucket', tokenBucket({ capacity: 2, refillPerSecond: 10 })],
    ['steps', tokenBucket({ capacity: 2, refill: { tokens: 2, everyMs: 150 } })],
    ['first', fixedWindow({ limit: 2, windowMs: 150 })],
    ['clock', fixedWindow({ limit: 2, windowMs: 150, align: 'clock' })],
    ['estimate', slidingWindow({ limit: 2, windowMs: 150 })],
    ['strict', slidingWindow({ limit: 2, windowMs: 150, mode: 'strict', parts: 5 })],
    ['log', slidingLog({ limit: 2, windowMs: 150 })],
    ['places', concurrency({ max: 2, ttlMs: 150 })],
  ])('admits who waited as long as it was told: %s', async (name, tier) => {
    const subject = someone()
    const limiter = limiterOf({ [name]: tier })
    await limiter.consume(subject, { cost: 2 })
    for (;;) {
      const decision = await limiter.consume(subject, { cost: 2 })
      if (decision.allowed) break
      // A timer may fire a part of a millisecond early by the server's clock.
      await sleep(refused(decision).retryAfterMs + 1)
      expect(await limiter.consume(subject, { cost: 2 })).toMatchObject({ allowed: true })
      break
    }
  })

  it('is decided together with all the others', async () => {
    const subject = someone()
    const limiter = limiterOf({ ...EVERY, small: slidingLog({ limit: 1, windowMs: DAY }) })
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true })
    const refusal = refused(await limiter.consume(subject))
    expect(refusal.violated).toEqual(['small'])
    expect(refusal.tiers.map(({ remaining }) => remaining)).toEqual([...Object.keys(EVERY).map(() => 4), 0])
    const cost = { small: 0, log: 4, bucket: 4 }
    expect(await limiter.consume(subject, { cost })).toMatchObject({ allowed: true })
  })

  it('describes itself', () => {
    const limiter = limiterOf({ ...EVERY })
    expect(limiter.describe('x').map(({ kind, windowMs }) => [kind, windowMs])).toEqual([
      ['token-bucket', 5_000_000],
      ['token-bucket', 5 * 365 * DAY],
      ['fixed-window', DAY],
      ['fixed-window', 365 * DAY],
      ['fixed-window', 31 * DAY],
      ['sliding-window', 365 * DAY],
      ['sliding-window', DAY],
      ['sliding-log', DAY],
      ['concurrency', DAY],
    ])
  })
})

describe('a concurrency', () => {
  const limiter = () =>
    limiterOf({ places: concurrency({ max: 1, ttlMs: 800 }), log: slidingLog({ limit: 9, windowMs: DAY }) })

  it('gives a place back when it is released, and keeps what other tiers gave', async () => {
    const subject = someone()
    const both = limiter()
    const { receipt } = admitted(await both.consume(subject))
    expect(refused(await both.consume(subject)).violated).toEqual(['places'])
    expect(await both.release(receipt)).toBe(true)
    expect(await both.release(receipt)).toBe(false)
    expect(await both.peek(subject)).toMatchObject([{ remaining: 1 }, { remaining: 8 }])
  })

  it('keeps a place that is renewed, and no other', async () => {
    const subject = someone()
    const both = limiter()
    const { receipt } = admitted(await both.consume(subject))
    for (let i = 0; i < 4; i++) {
      await sleep(250)
      expect(await both.renew(receipt)).toBe(true)
    }
    expect(await both.consume(subject)).toMatchObject({ allowed: false })
    await sleep(810)
    expect(await both.renew(receipt)).toBe(false)
    expect(await both.consume(subject)).toMatchObject({ allowed: true })
  })
})

describe('a decision with an idempotency key', () => {
  it('is admitted again and takes nothing', async () => {
    const subject = someone()
    const limiter = limiterOf({ log: slidingLog({ limit: 2, windowMs: DAY }) })
    for (let i = 0; i < 3; i++) {
      const again = await limiter.consume(subject, { idempotencyKey: 'order 1' })
      expect(again).toMatchObject({ allowed: true, tiers: [{ remaining: 1 }] })
    }
    expect(await limiter.consume(subject, { idempotencyKey: 'order 2' })).toMatchObject({ allowed: true })
    expect(await limiter.consume(subject, { idempotencyKey: 'order 3' })).toMatchObject({ allowed: false })
    expect(await limiter.consume(subject, { idempotencyKey: 'order 1' })).toMatchObject({ allowed: true })
  })

  it('is decided anew when it was refused, and when it is kept no longer', async () => {
    const subject = someone()
    const limiter = limiterOf({ log: slidingLog({ limit: 1, windowMs: DAY }) }, { idempotencyWindowMs: 50 })
    await limiter.consume(subject, { idempotencyKey: 'a' })
    expect(await limiter.consume(subject, { idempotencyKey: 'b' })).toMatchObject({ allowed: false })
    expect(await limiter.consume(subject, { idempotencyKey: 'b' })).toMatchObject({ allowed: false })
    await sleep(60)
    expect(await limiter.consume(subject, { idempotencyKey: 'a' })).toMatchObject({ allowed: false })
  })

  it('of two that come at once takes once', async () => {
    const subject = someone()
    const limiter = limiterOf({ places: concurrency({ max: 5, ttlMs: DAY }) })
    await Promise.all(Array.from({ length: 8 }, () => limiter.consume(subject, { idempotencyKey: 'same' })))
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 4 }])
  })
})

describe('what was reserved', () => {
  it.each([0, 1, 3, 5])('is settled at what it cost in the end: %i', async (cost) => {
    const subject = someone()
    const limiter = limiterOf({ ...EVERY, places: concurrency({ max: 5, ttlMs: DAY }) })
    const { receipt } = admitted(await limiter.reserve(subject, { cost: 3 }))
    await limiter.settle(receipt, { cost })
    await limiter.settle(receipt, { cost })
    const left = (await limiter.peek(subject)).map(({ remaining }) => remaining)
    expect(left).toEqual([...Array.from({ length: 8 }, () => 5 - cost), 2])
    // What was taken to settle it stays, as if it had been a penalty.
    await limiter.refund(receipt)
    const after = (await limiter.peek(subject)).map(({ remaining }) => remaining)
    expect(after).toEqual([...Array.from({ length: 8 }, () => 5 - Math.max(0, cost - 3)), 5])
    await limiter.settle(receipt, { cost: 5 })
    expect((await limiter.peek(subject)).map(({ remaining }) => remaining)).toEqual(after)
  })

  it('takes no more than there is', async () => {
    const subject = someone()
    const limiter = limiterOf({ tokens: slidingWindow({ limit: 1000, windowMs: DAY }) })
    const { receipt } = admitted(await limiter.reserve(subject, { cost: 100 }))
    await limiter.settle(receipt, { cost: 5000 })
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 0 }])
  })
})

describe('a subject', () => {
  it('that is blocked is refused for so long, whatever it has consumed', async () => {
    const subject = someone()
    const limiter = limiterOf({ log: slidingLog({ limit: 3, windowMs: DAY }) })
    await limiter.consume(subject)
    await limiter.block(subject, { forMs: 60_000 })
    const refusal = refused(await limiter.consume(subject))
    expect(refusal).toMatchObject({ reason: 'blocked', violated: [], tiers: [{ remaining: 2 }] })
    expect(refusal.retryAfterMs).toBeGreaterThan(59_000)
    expect(refusal.retryAfterMs).toBeLessThanOrEqual(60_000)
    await limiter.block(subject, { forMs: 0 })
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true, tiers: [{ remaining: 1 }] })
  })

  it('that never asked can be blocked, and is let in again when that is over', async () => {
    const subject = someone()
    const limiter = limiterOf(EVERY)
    await limiter.block(subject, { forMs: 40 })
    expect(await limiter.consume(subject)).toMatchObject({ allowed: false, reason: 'blocked' })
    await sleep(45)
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true })
  })

  it('that is penalized loses what it has, and no more than that', async () => {
    const subject = someone()
    const limiter = limiterOf(EVERY)
    await limiter.penalize(subject, { cost: 3 })
    expect((await limiter.peek(subject)).map(({ remaining }) => remaining)).toEqual([
      2, 2, 2, 2, 2, 2, 2, 2, 5,
    ])
    await limiter.penalize(subject, {
      cost: { ...Object.fromEntries(Object.keys(EVERY).map((name) => [name, 0])), log: 9 },
    })
    expect((await limiter.peek(subject)).at(7)).toMatchObject({ name: 'log', remaining: 0 })
  })

  it('that is reset has never asked', async () => {
    const subject = someone()
    const limiter = limiterOf(EVERY)
    await limiter.consume(subject, { cost: 5 })
    await limiter.block(subject, { forMs: DAY })
    await limiter.reset(subject)
    expect(await limiter.consume(subject, { cost: 5 })).toMatchObject({ allowed: true })
  })
})

describe('a plan that changes', () => {
  const used = async (onPlanChange: 'keep-used' | 'keep-proportion' | 'reset', to: number) => {
    const subject = { tenant: someone(), limit: 10 }
    const plans = new Map([10, to].map((limit) => [limit, { quota: fixedWindow({ limit, windowMs: DAY }) }]))
    const limiter = new RateLimiter(port, {
      name: 'plans',
      tiers: ({ limit }: { readonly tenant: string; readonly limit: number }) =>
        plans.get(limit) ?? { quota: fixedWindow({ limit, windowMs: DAY }) },
      onPlanChange,
      whenUnavailable: 'deny',
      deadlineMs: 2000,
    })
    await limiter.consume(subject, { cost: 6 })
    const [tier] = await limiter.peek({ ...subject, limit: to })
    return to - (tier?.remaining ?? 0)
  }

  it.each([
    ['keep-used', 100, 6],
    ['keep-used', 3, 3],
    ['keep-proportion', 100, 60],
    ['keep-proportion', 5, 3],
    ['reset', 100, 0],
    ['reset', 3, 0],
  ] as const)('by %s to a limit of %i has %i used of it', async (onPlanChange, to, wanted) => {
    expect(await used(onPlanChange, to)).toBe(wanted)
  })

  it('keeps the windows of the seed, exactly counted, up to five millions a day', async () => {
    const limiter = new RateLimiter(port, {
      name: 'seed',
      tiers: ({ plan }: { readonly tenant: string; readonly plan: keyof typeof PLANS }) => PLANS[plan],
      whenUnavailable: 'deny',
      deadlineMs: 2000,
    })
    const tenant = someone()
    expect(limiter.describe({ tenant, plan: 'FREE' }).map(({ name, limit }) => [name, limit])).toEqual([
      ['second', 100],
      ['minute', 10],
      ['hour', 100],
      ['day', 1000],
    ])
    const cost = { second: 1, minute: 1, hour: 1, day: 1_000_000 }
    for (let i = 0; i < 5; i++)
      expect(await limiter.consume({ tenant, plan: 'ENTERPRISE' }, { cost })).toMatchObject({ allowed: true })
    expect(refused(await limiter.consume({ tenant, plan: 'ENTERPRISE' })).violated).toEqual(['day'])
    expect(await limiter.consume({ tenant, plan: 'FREE' }, { cost: { minute: 11 } })).toEqual({
      allowed: false,
      reason: 'exceeds-capacity',
      violated: ['minute'],
    })
  })
})

describe('limits that cannot be kept', () => {
  it.each([0, -1, 1.5, Number.NaN, 2 ** 53, 2 ** 40, '5' as unknown as number])(
    'are refused: %s',
    (limit) => {
      for (const make of [
        () => fixedWindow({ limit, windowMs: 1000 }),
        () => slidingWindow({ limit, windowMs: 1000 }),
        () => slidingWindow({ limit, windowMs: 1000, mode: 'strict' }),
        () => slidingLog({ limit, windowMs: 1000 }),
        () => concurrency({ max: limit, ttlMs: 1000 }),
        () => tokenBucket({ capacity: limit, refill: { tokens: 1, everyMs: 1000 } }),
      ])
        expect(make).toThrow(ConfigurationError)
    },
  )

  it.each([0, -1, 0.5, Number.NaN, 2 ** 53, 10 * 365 * DAY])('nor are windows of %s ms', (windowMs) => {
    expect(() => fixedWindow({ limit: 1, windowMs })).toThrow(ConfigurationError)
    expect(() => slidingWindow({ limit: 1, windowMs })).toThrow(ConfigurationError)
    expect(() => concurrency({ max: 1, ttlMs: windowMs })).toThrow(ConfigurationError)
  })

  it('coarsen the unit of time where limit × window is beyond 2^53, down to a thousandth of the window', async () => {
    const bytes = slidingWindow({ limit: 10_000_000_000, windowMs: DAY })
    const limiter = limiterOf({ bytes })
    const subject = someone()
    expect(await limiter.consume(subject, { cost: 9_999_999_999 })).toMatchObject({ allowed: true })
    expect(await limiter.consume(subject, { cost: 1 })).toMatchObject({
      allowed: true,
      tiers: [{ remaining: 0 }],
    })
    expect(await limiter.consume(subject, { cost: 1 })).toMatchObject({ allowed: false })
    expect(() => slidingWindow({ limit: 2 ** 40 - 1, windowMs: 365 * DAY + 1 })).toThrow(/thousandth/)
  })

  it.each([1, 365 * DAY])('are kept in windows of %i ms', async (windowMs) => {
    const limiter = limiterOf({
      fixed: fixedWindow({ limit: 3, windowMs }),
      sliding: slidingWindow({ limit: 3, windowMs }),
      strict: slidingWindow({ limit: 3, windowMs, mode: 'strict' }),
      log: slidingLog({ limit: 3, windowMs }),
    })
    expect(await limiter.consume(someone(), { cost: 3 })).toMatchObject({ allowed: true })
  })

  it('of a zone that nobody knows, and of no period of the calendar', () => {
    const timeZone = 'Europe/Atlantis'
    expect(() => fixedWindow({ limit: 1, align: { period: 'day', timeZone } })).toThrow(ConfigurationError)
    const period = 'week' as 'day'
    expect(() => fixedWindow({ limit: 1, align: { period } })).toThrow(ConfigurationError)
  })

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])('nor is a cost of %s taken', async (cost) => {
    const limiter = limiterOf(EVERY)
    await expect(limiter.consume(someone(), { cost })).rejects.toThrow(ConfigurationError)
    await expect(limiter.consume(someone(), { cost: { log: cost } })).rejects.toThrow(ConfigurationError)
    await expect(limiter.penalize(someone(), { cost })).rejects.toThrow(ConfigurationError)
  })

  it('are not those of others at the key', async () => {
    const subject = someone()
    const key = keyOf({ namespace: 'test', pattern: 'ratelimit', name: 'tiers' }, subject)
    await port.call({ key, command: ['SET', key, 'what somebody else has written here, long enough'] })
    expect(await limiterOf({ log: slidingLog({ limit: 1, windowMs: DAY }) }).consume(subject)).toMatchObject({
      allowed: true,
    })
  })
})
