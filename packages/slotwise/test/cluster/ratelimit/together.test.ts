import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigurationError, RedisUnavailableError } from '../../../src/errors.js'
import {
  concurrency,
  fixedWindow,
  RateLimiter,
  type RateLimiterOptions,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import type { CommandCall, PortCallOptions, RedisPort, ScriptCall } from '../../../src/redis/index.js'
import { readKey, slotOf } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'

interface Caller {
  readonly tenant: string
  readonly user: string
}
type Names = 'user' | 'tenant'
type Limiter = RateLimiter<Names, Caller>

let port: RedisPort
beforeEach(async () => {
  port = await anyPort({ namespace: 'together' })
})
afterEach(() => port.close())

const SLOW = 0.001
const user = (capacity: number): Tier => tokenBucket({ capacity, refillPerSecond: SLOW })
const tenant = (capacity: number): Tier<'tenant'> =>
  tokenBucket({ capacity, refillPerSecond: SLOW, by: 'tenant' })

/** A user may have 20, all of a tenant 100. */
function limiterOf(options: Partial<RateLimiterOptions<Names, Caller>> = {}, through = port): Limiter {
  return new RateLimiter<Names, Caller>(through, {
    name: 'together',
    tiers: { user: user(20), tenant: tenant(100) },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
    evictionCheck: 'off',
    together: true,
    ...options,
  })
}

const someTenant = () => `t-${randomUUID()}`
const remaining = async (limiter: Limiter, subject: Caller) =>
  (await limiter.peek(subject)).map((tier) => tier.remaining)

async function admitted(limiter: Limiter, subject: Caller, times: number): Promise<number> {
  let count = 0
  for (let i = 0; i < times; i++) if ((await limiter.consume(subject)).allowed) count++
  return count
}

/** A user's key and its tenant's at another limiter each, the second asked when the first admits. */
async function twoCalls(
  own: RateLimiter<'user', string>,
  common: RateLimiter<'tenant', string>,
  who: Caller,
) {
  const first = await own.consume(`${who.tenant}:${who.user}`)
  return first.allowed && (await common.consume(who.tenant)).allowed
}

/** Every call that goes out, and its keys. */
function watched() {
  const calls: (readonly string[])[] = []
  const through = portWith(port, {
    call: (one: CommandCall | ScriptCall, options?: PortCallOptions) => {
      calls.push('keys' in one ? one.keys : [])
      return port.call(one, options)
    },
  })
  return { calls, through }
}

describe('a user and its tenant together', () => {
  it('have exactly what both allow, however many users there are', async () => {
    const limiter = limiterOf()
    const name = someTenant()
    const counts = []
    for (let i = 0; i < 8; i++) counts.push(await admitted(limiter, { tenant: name, user: `${i}` }, 30))
    expect(counts).toEqual([20, 20, 20, 20, 20, 0, 0, 0])
    expect(await admitted(limiter, { tenant: someTenant(), user: '0' }, 30)).toBe(20)
  })

  it('have exactly that of callers at once', async () => {
    const limiter = limiterOf()
    const name = someTenant()
    const users = Array.from({ length: 10 }, (_, i) => ({ tenant: name, user: `${i}` }))
    const counts = await Promise.all(users.map((one) => admitted(limiter, one, 30)))
    expect(Math.max(...counts)).toBeLessThanOrEqual(20)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(100)
  })

  it('are one call of one slot for each decision, refusal, and look', async () => {
    const { calls, through } = watched()
    const limiter = limiterOf({ tiers: { user: user(2), tenant: tenant(3) } }, through)
    const name = someTenant()
    for (const one of ['a', 'a', 'a', 'b', 'b']) await limiter.consume({ tenant: name, user: one })
    await limiter.peek({ tenant: name, user: 'a' })
    expect(calls).toHaveLength(6)
    for (const keys of calls) expect(keys).toHaveLength(2)
    expect(new Set(calls.flat()).size).toBe(3)
    expect(new Set(calls.flat().map((key) => slotOf(key))).size).toBe(1)
    const within = { hashed: false, words: ['by', 'tenant', name] }
    expect(readKey(calls[0]?.[0] ?? '')).toMatchObject({
      id: { words: ['tenant', name, 'user', 'a'] },
      within,
    })
    expect(readKey(calls[0]?.[1] ?? '')?.id).toEqual(within)
  })

  it('lose nothing by a refusal of either; two calls one after the other lose what the first gave', async () => {
    const limiter = limiterOf({ tiers: { user: user(20), tenant: tenant(5) } })
    const subject = { tenant: someTenant(), user: 'ada' }
    expect(await admitted(limiter, subject, 50)).toBe(5)
    expect(await remaining(limiter, subject)).toEqual([15, 0])
    const greedy = { tenant: someTenant(), user: 'greedy' }
    const narrow = limiterOf({ name: 'narrow', tiers: { user: user(5), tenant: tenant(20) } })
    expect(await admitted(narrow, greedy, 50)).toBe(5)
    expect(await remaining(narrow, greedy)).toEqual([0, 15])

    const naive = { whenUnavailable: 'deny', evictionCheck: 'off', deadlineMs: 2000 } as const
    const own = new RateLimiter<'user', string>(port, { ...naive, name: 'own', tiers: { user: user(20) } })
    const common = new RateLimiter<'tenant', string>(port, {
      ...naive,
      name: 'common',
      tiers: { tenant: user(5) },
    })
    for (let i = 0; i < 50; i++) await twoCalls(own, common, subject)
    expect((await own.peek(`${subject.tenant}:${subject.user}`))[0]?.remaining).toBe(0)
  })

  it('are told of in the order of the tiers, with all that refused and the longest wait', async () => {
    const limiter = limiterOf({
      tiers: {
        tenant: tokenBucket({ capacity: 4, refillPerSecond: 0.01, by: 'tenant' }),
        user: tokenBucket({ capacity: 3, refillPerSecond: 0.1 }),
      },
    })
    const subject = { tenant: someTenant(), user: 'ada' }
    expect(await limiter.consume(subject, { cost: 3 })).toMatchObject({
      allowed: true,
      decidedBy: 'redis',
      tiers: [
        { name: 'tenant', remaining: 1, limit: 4 },
        { name: 'user', remaining: 0, limit: 3 },
      ],
    })
    const refused = await limiter.consume(subject, { cost: 2 })
    expect.assert(!refused.allowed && refused.reason === 'limited')
    expect(refused.violated).toEqual(['tenant', 'user'])
    // A token of the tenant takes 100 seconds, two of the user 20.
    expect(refused.retryAfterMs).toBeGreaterThan(95_000)
    expect(refused.retryAfterMs).toBeLessThanOrEqual(100_000)
    expect(refused.tiers.map(({ name }) => name)).toEqual(['tenant', 'user'])
    expect(await limiter.consume(subject, { cost: 5 })).toMatchObject({
      reason: 'exceeds-capacity',
      violated: ['tenant', 'user'],
    })
    expect(limiter.describe(subject).map(({ name }) => name)).toEqual(['tenant', 'user'])
    expect(limiter.describe(subject)[0]).not.toHaveProperty('lease')
  })

  it.each<[string, Tier<'tenant'>]>([
    ['a bucket', tokenBucket({ capacity: 3, refillPerSecond: SLOW, by: 'tenant' })],
    ['steps', tokenBucket({ capacity: 3, refill: { tokens: 1, everyMs: 86_400_000 }, by: 'tenant' })],
    ['a window', fixedWindow({ limit: 3, windowMs: 600_000, by: 'tenant' })],
    [
      'a window of the clock',
      fixedWindow({ limit: 3, windowMs: 31_536_000_000, align: 'clock', by: 'tenant' }),
    ],
    ['a month', fixedWindow({ limit: 3, align: { period: 'month' }, by: 'tenant' })],
    ['an estimate', slidingWindow({ limit: 3, windowMs: 600_000, by: 'tenant' })],
    ['a strict window', slidingWindow({ limit: 3, windowMs: 600_000, mode: 'strict', by: 'tenant' })],
    ['a log', slidingLog({ limit: 3, windowMs: 600_000, by: 'tenant' })],
    ['places', concurrency({ max: 3, ttlMs: 600_000, by: 'tenant' })],
  ])('may have %s in common', async (_, common) => {
    const limiter = limiterOf({ tiers: { user: user(2), tenant: common } })
    const name = someTenant()
    expect(await admitted(limiter, { tenant: name, user: 'a' }, 3)).toBe(2)
    expect(await admitted(limiter, { tenant: name, user: 'b' }, 3)).toBe(1)
    expect(await limiter.consume({ tenant: name, user: 'b' })).toMatchObject({ violated: ['tenant'] })
    expect(await remaining(limiter, { tenant: name, user: 'b' })).toEqual([1, 0])
  })

  it('take a cost of its own from each, and of one alone', async () => {
    const limiter = limiterOf()
    const subject = { tenant: someTenant(), user: 'ada' }
    await limiter.consume(subject, { cost: { user: 3, tenant: 7 } })
    expect(await remaining(limiter, subject)).toEqual([17, 93])
    await limiter.consume(subject, { cost: { user: 0, tenant: 7 } })
    await limiter.consume(subject, { cost: { user: 3, tenant: 0 } })
    await limiter.consume(subject, { cost: 0 })
    expect(await remaining(limiter, subject)).toEqual([14, 86])
  })
})

describe('what a user and its tenant gave together', () => {
  it('is given back by both, once', async () => {
    const limiter = limiterOf()
    const subject = { tenant: someTenant(), user: 'ada' }
    const decision = await limiter.consume(subject, { cost: { user: 3, tenant: 5 } })
    expect.assert(decision.allowed)
    expect(decision.receipt.costs).toEqual({ user: 3, tenant: 5 })
    expect(await limiter.refund(decision.receipt)).toBe(true)
    expect(await limiter.refund(decision.receipt)).toBe(false)
    expect(await remaining(limiter, subject)).toEqual([20, 100])
  })

  it('is taken once for an idempotency key, which two users of the tenant may both use, and given back for each', async () => {
    const limiter = limiterOf()
    const name = someTenant()
    const [ada, bob] = [
      { tenant: name, user: 'ada' },
      { tenant: name, user: 'bob' },
    ]
    const receipts = []
    for (const subject of [ada, ada, bob, bob, ada]) {
      const decision = await limiter.consume(subject, { idempotencyKey: 'order-7', cost: 2 })
      expect.assert(decision.allowed)
      receipts.push(decision.receipt)
    }
    expect(await remaining(limiter, ada)).toEqual([18, 96])
    const given = []
    for (const receipt of receipts) given.push(await limiter.refund(receipt))
    expect(given[0]).toBe(true)
    expect(await remaining(limiter, ada)).toEqual([20, 100])
    expect(await remaining(limiter, bob)).toEqual([20, 100])
  })

  it('is known again also where only the tenant gives anything, and where it has nothing left', async () => {
    const limiter = limiterOf({ tiers: { user: user(20), tenant: tenant(5) } })
    const subject = { tenant: someTenant(), user: 'ada' }
    const asked = { idempotencyKey: 'order-8', cost: { user: 0, tenant: 5 } }
    for (let i = 0; i < 3; i++) expect(await limiter.consume(subject, asked)).toMatchObject({ allowed: true })
    expect(await remaining(limiter, subject)).toEqual([20, 0])
  })

  it('is settled with both: the rest given back, what is missing taken', async () => {
    const limiter = limiterOf()
    const subject = { tenant: someTenant(), user: 'ada' }
    const decision = await limiter.reserve(subject, { cost: 10 })
    expect.assert(decision.allowed)
    for (let i = 0; i < 2; i++) await limiter.settle(decision.receipt, { cost: { user: 4, tenant: 12 } })
    expect(await remaining(limiter, subject)).toEqual([16, 88])
    expect(decision.receipt.costs).toEqual({ user: 4, tenant: 12 })
  })

  it('is under way at both, renewed and released there', async () => {
    const limiter = limiterOf({
      tiers: {
        user: concurrency({ max: 1, ttlMs: 60_000 }),
        tenant: concurrency({ max: 2, ttlMs: 60_000, by: 'tenant' }),
      },
    })
    const name = someTenant()
    const decisions = []
    for (const one of ['a', 'b', 'c']) decisions.push(await limiter.consume({ tenant: name, user: one }))
    const [first, second, third] = decisions
    expect.assert(first?.allowed === true && second?.allowed === true && third?.allowed === false)
    expect(third).toMatchObject({ violated: ['tenant'] })
    expect(await limiter.renew(first.receipt)).toBe(true)
    expect(await limiter.release(first.receipt)).toBe(true)
    expect(await limiter.renew(first.receipt)).toBe(false)
    const alone = await limiter.consume({ tenant: name, user: 'd' }, { cost: { user: 1, tenant: 0 } })
    expect.assert(alone.allowed)
    expect(await limiter.renew(alone.receipt)).toBe(true)
    expect(await limiter.release(alone.receipt)).toBe(true)
    expect(await limiter.consume({ tenant: name, user: 'c' })).toMatchObject({ allowed: true })
    expect(await limiter.consume({ tenant: name, user: 'a' })).toMatchObject({ violated: ['tenant'] })
  })
})

describe('a part of a subject', () => {
  it('is blocked for all who have it in common, and takes nothing of them', async () => {
    const limiter = limiterOf()
    const name = someTenant()
    const [ada, bob] = [
      { tenant: name, user: 'ada' },
      { tenant: name, user: 'bob' },
    ]
    await limiter.block(ada, { forMs: 60_000, by: 'tenant' })
    for (const subject of [ada, bob]) {
      expect(await limiter.consume(subject)).toMatchObject({
        allowed: false,
        reason: 'blocked',
        violated: [],
      })
      expect(await limiter.consume(subject, { cost: { user: 1, tenant: 0 } })).toMatchObject({
        reason: 'blocked',
      })
      expect(await remaining(limiter, subject)).toEqual([20, 100])
    }
    await limiter.block(bob, { forMs: 0, by: 'tenant' })
    expect(await limiter.consume(ada)).toMatchObject({ allowed: true })
  })

  it('is not blocked with the whole of another', async () => {
    const limiter = limiterOf()
    const name = someTenant()
    const [ada, bob] = [
      { tenant: name, user: 'ada' },
      { tenant: name, user: 'bob' },
    ]
    await limiter.block(ada, { forMs: 60_000 })
    const refused = await limiter.consume(ada, { cost: { user: 0, tenant: 1 } })
    expect(refused).toMatchObject({ allowed: false, reason: 'blocked' })
    expect.assert('retryAfterMs' in refused)
    expect(refused.retryAfterMs).toBeGreaterThan(59_000)
    expect(await limiter.consume(bob)).toMatchObject({ allowed: true })
    expect(await remaining(limiter, bob)).toEqual([19, 99])
  })

  it('is penalized by its own cost, and reset alone', async () => {
    const limiter = limiterOf()
    const subject = { tenant: someTenant(), user: 'ada' }
    await limiter.penalize(subject, { cost: { user: 5, tenant: 1000 } })
    expect(await remaining(limiter, subject)).toEqual([15, 0])
    await limiter.reset(subject, { by: 'tenant' })
    expect(await remaining(limiter, subject)).toEqual([15, 100])
    await limiter.penalize(subject, { cost: { user: 0, tenant: 10 } })
    await limiter.reset(subject)
    expect(await remaining(limiter, subject)).toEqual([20, 90])
    await expect(limiter.reset(subject, { by: 'user' })).rejects.toThrow(ConfigurationError)
  })

  it('changes its plan in mid-window with what was used, and each by itself', async () => {
    const small = { user: user(20), tenant: tenant(50) }
    const large = { user: user(20), tenant: tenant(500) }
    let isLarge = false
    const limiter = limiterOf({ tiers: () => (isLarge ? large : small) })
    const subject = { tenant: someTenant(), user: 'ada' }
    await limiter.consume(subject, { cost: 10 })
    isLarge = true
    expect(await remaining(limiter, subject)).toEqual([10, 490])
  })
})

describe('a limiter that decides together', () => {
  it('leaves of both limits what is reserved for higher priorities', async () => {
    const limiter = limiterOf({ priorities: { urgent: 0.5, rest: 0 } })
    const name = someTenant()
    let rest = 0
    for (let i = 0; i < 90; i++) {
      const decision = await limiter.consume({ tenant: name, user: `${i % 9}` }, { priority: 'rest' })
      if (decision.allowed) rest++
    }
    // Of 100 of the tenant a half; each of nine users had less than half of its own.
    expect(rest).toBe(50)
    const subject = { tenant: name, user: 'new' }
    expect(await limiter.consume(subject, { priority: 'rest' })).toMatchObject({ violated: ['tenant'] })
    let urgent = 0
    for (let i = 0; i < 30; i++)
      if ((await limiter.consume(subject, { priority: 'urgent' })).allowed) urgent++
    expect(urgent).toBe(20)
    const alone = { tenant: someTenant(), user: 'alone' }
    let own = 0
    for (let i = 0; i < 30; i++) if ((await limiter.consume(alone, { priority: 'rest' })).allowed) own++
    expect(own).toBe(10)
    expect(await remaining(limiter, alone)).toEqual([10, 90])
  })

  it('remembers refusals of a user, and asks again for those of its tenant', async () => {
    const { calls, through } = watched()
    const limiter = limiterOf({ refusals: {}, tiers: { user: user(2), tenant: tenant(3) } }, through)
    const name = someTenant()
    await admitted(limiter, { tenant: name, user: 'a' }, 3)
    const before = calls.length
    expect(await limiter.consume({ tenant: name, user: 'a' })).toMatchObject({ decidedBy: 'cache' })
    expect(calls).toHaveLength(before)
    await admitted(limiter, { tenant: name, user: 'b' }, 2)
    expect(await limiter.consume({ tenant: name, user: 'b' })).toMatchObject({
      decidedBy: 'redis',
      violated: ['tenant'],
    })
  })

  it('only tells, in shadow, what it would refuse', async () => {
    const limiter = limiterOf({ shadow: true, tiers: { user: user(20), tenant: tenant(1) } })
    const subject = { tenant: someTenant(), user: 'ada' }
    await limiter.consume(subject)
    expect(await limiter.consume(subject)).toMatchObject({
      allowed: true,
      wouldRefuse: { violated: ['tenant'] },
    })
    expect(await remaining(limiter, subject)).toEqual([19, 0])
  })

  it('keeps the subjects of its tenants apart', async () => {
    const limiter = limiterOf({ tiers: { user: user(1), tenant: tenant(1) } })
    const subject = { tenant: someTenant(), user: 'ada' }
    expect(await admitted(limiter.forTenant('one'), subject, 2)).toBe(1)
    expect(await admitted(limiter.forTenant('two'), subject, 2)).toBe(1)
    expect(await admitted(limiter, subject, 2)).toBe(1)
  })

  it('takes no lease, and puts no two parts into one slot', () => {
    expect(() => limiterOf({ lease: { epsilon: 0.5 } })).toThrow(ConfigurationError)
    const made = () =>
      new RateLimiter<'user' | 'tenant' | 'each', Caller>(port, {
        name: 'parts',
        whenUnavailable: 'deny',
        together: true,
        tiers: {
          user: user(1),
          tenant: tenant(1),
          each: tokenBucket({ capacity: 1, refillPerSecond: 1, by: 'user' }),
        },
      })
    expect(made).toThrow(ConfigurationError)
  })

  it.each([
    ['allow', { allowed: true, decidedBy: 'policy' }],
    ['deny', { allowed: false, reason: 'unavailable' }],
  ] as const)('without Redis does what it was told: %s', async (whenUnavailable, expected) => {
    const away = portWith(port, {
      call: () => Promise.reject(new RedisUnavailableError('away')),
    })
    const limiter = limiterOf({ whenUnavailable }, away)
    expect(await limiter.consume({ tenant: someTenant(), user: 'ada' })).toMatchObject(expected)
  })

  it('without Redis spends a share of both limits, and gives back to the tenant what the user is refused', async () => {
    const away = portWith(port, {
      call: () => Promise.reject(new RedisUnavailableError('away')),
    })
    const limiter = limiterOf({ whenUnavailable: 'local', localShare: 0.5 }, away)
    const name = someTenant()
    const counts = []
    for (let i = 0; i < 7; i++) counts.push(await admitted(limiter, { tenant: name, user: `${i}` }, 30))
    expect(counts).toEqual([10, 10, 10, 10, 10, 0, 0])
    const other = { tenant: someTenant(), user: 'ada' }
    const decision = await limiter.consume(other, { cost: 10 })
    expect.assert(decision.allowed)
    expect(decision).toMatchObject({ decidedBy: 'local', tiers: [{ name: 'user' }, { name: 'tenant' }] })
    expect(await limiter.refund(decision.receipt)).toBe(true)
    expect(await admitted(limiter, other, 30)).toBe(10)
  })
})
