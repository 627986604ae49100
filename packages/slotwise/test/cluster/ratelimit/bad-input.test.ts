import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import {
  concurrency,
  type Decision,
  fixedWindow,
  PLANS,
  RateLimiter,
  type Receipt,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: 'bad' })
})
afterAll(() => port.close())

const limiterOf = <N extends string>(tiers: Readonly<Record<N, Tier>>) =>
  new RateLimiter<N>(port, { name: 'input', tiers, whenUnavailable: 'deny', deadlineMs: 2000 })
function refused<N extends string>(decision: Decision<N>) {
  expect.assert(!decision.allowed && 'retryAfterMs' in decision)
  return decision
}
const DAY = 86_400_000
const YEAR = 365 * DAY

describe('subjects that look alike', () => {
  const composed = '\u00e9'.normalize('NFC')
  const huge = 'x'.repeat(1 << 20)
  const mine = randomUUID()
  const alike = [
    composed,
    composed.normalize('NFD'),
    'e',
    'K',
    '\u212a', // Kelvin's sign
    'k',
    '\u0430', // a Cyrillic letter
    'a',
    'A',
    'user',
    'user ',
    ' user',
    'user\t',
    'user\n',
    'user\0',
    'user\u200b',
    'user\u00a0',
    '{user}',
    '{user',
    'user}',
    '{}user',
    '{}{user}',
    'us{er}',
    '%7buser%7d',
    huge,
    `${huge}x`,
    `${huge} `,
    huge.slice(1),
  ]

  it('are counted apart: forms of one letter, blanks at the end, braces, and a megabyte', async () => {
    const limiter = limiterOf({ one: fixedWindow({ limit: 1, windowMs: DAY }) }).forTenant(mine)
    const ids = alike.flatMap((subject) => [subject, ['part', subject]])
    expect(new Set(alike).size).toBe(alike.length)
    const admitted: unknown[] = []
    for (const id of ids) if ((await limiter.consume(id)).allowed) admitted.push(id)
    expect(admitted).toEqual(ids)
    for (const id of ids) expect(await limiter.consume(id)).toMatchObject({ violated: ['one'] })
  })

  it('are counted apart as parts: a brace or a colon does not end one', async () => {
    const limiter = new RateLimiter<'one', { tenant: string; user: string }>(port, {
      name: 'parts',
      tiers: { one: fixedWindow({ limit: 1, windowMs: DAY }) },
      whenUnavailable: 'deny',
      deadlineMs: 2000,
    })
    for (const [tenant, user] of [
      ['a', 'b:user:c'],
      ['a:user:b', 'c'],
      ['a', ''],
      ['', 'a'],
      ['a}', '{b'],
      ['a}{', 'b'],
    ] as const) {
      expect(await limiter.consume({ tenant: `${mine}${tenant}`, user })).toMatchObject({ allowed: true })
      expect(await limiter.consume({ tenant: `${mine}${tenant}`, user })).toMatchObject({ allowed: false })
    }
  })

  it('of no characters is one of its own, and what is no subject is refused', async () => {
    const limiter = limiterOf({ one: fixedWindow({ limit: 1, windowMs: DAY }) }).forTenant(randomUUID())
    expect(await limiter.consume('')).toMatchObject({ allowed: true })
    expect(await limiter.consume('')).toMatchObject({ allowed: false })
    expect(await limiter.consume('%')).toMatchObject({ allowed: true })
    expect(await limiter.consume([''])).toMatchObject({ allowed: false })
    for (const none of [[], [1.5], [Number.NaN], [2 ** 53], 7, [undefined]])
      await expect(limiter.consume(none as unknown as string)).rejects.toThrow(ConfigurationError)
  })
})

const each = (windowMs: number): Readonly<Record<string, Tier>> => ({
  bucket: tokenBucket({ capacity: 3, refillPerSecond: 3000 / windowMs }),
  steps: tokenBucket({ capacity: 3, refill: { tokens: 3, everyMs: windowMs } }),
  first: fixedWindow({ limit: 3, windowMs }),
  clock: fixedWindow({ limit: 3, windowMs, align: 'clock' }),
  estimate: slidingWindow({ limit: 3, windowMs }),
  strict: slidingWindow({ limit: 3, windowMs, mode: 'strict' }),
  log: slidingLog({ limit: 3, windowMs }),
  places: concurrency({ max: 3, ttlMs: windowMs }),
})

describe('windows of a millisecond and of a year', () => {
  it.each(Object.keys(each(1)))('give what they gave again after a millisecond: %s', async (name) => {
    const limiter = limiterOf({ [name]: each(1)[name] as Tier })
    const subject = randomUUID()
    for (let i = 0; i < 3; i++) {
      expect(await limiter.consume(subject, { cost: 3 })).toMatchObject({ allowed: true })
      // Of an estimate what came in the window before counts in full at its beginning: two.
      await sleep(4)
    }
  })

  it.each(Object.keys(each(YEAR)))('are kept for a year: %s', async (name) => {
    const limiter = limiterOf({ [name]: each(YEAR)[name] as Tier })
    const subject = randomUUID()
    expect(await limiter.consume(subject, { cost: 3 })).toMatchObject({ allowed: true })
    const { retryAfterMs, tiers } = refused(await limiter.consume(subject, { cost: 3 }))
    expect(retryAfterMs).toBeGreaterThan(1000)
    // An estimate needs both windows to pass, and a strict one the part that an admission came in.
    expect(retryAfterMs).toBeLessThanOrEqual(2 * YEAR)
    expect(tiers).toMatchObject([{ remaining: 0 }])
  })
})

describe('buckets that cannot be kept', () => {
  it.each([
    [{ capacity: 2 ** 30, refillPerSecond: 1 }, /a bucket of 1073741824 at 1 a second .* eight years/],
    [
      { capacity: 9, refill: { tokens: 1, everyMs: YEAR } },
      /a bucket of 9 that gets 1 every 31536000000 ms .* eight years/,
    ],
    [{ capacity: 2 ** 40 - 1, refill: { tokens: 1, everyMs: DAY } }, /eight years/],
    [{ capacity: 1, refill: { tokens: 0, everyMs: 1000 } }, /^refill\.tokens must be .* from 1 .* got 0$/],
    [{ capacity: 1, refill: { tokens: 1.5, everyMs: 1000 } }, /^refill\.tokens must be .* got 1\.5$/],
    [
      { capacity: 1, refill: { tokens: 2 ** 24, everyMs: 1000 } },
      /^refill\.tokens .* to 16777215, got 16777216$/,
    ],
    [{ capacity: 1, refill: { tokens: 1, everyMs: 0.5 } }, /^refill\.everyMs must be .* got 0\.5$/],
    [
      { capacity: 1, refillPerSecond: 700_000 },
      /^refillPerSecond 700000 .* 1 % .* next slower rate is 500000$/,
    ],
  ])('are refused by what is wrong with them: %j', (options, message) => {
    const make = () => tokenBucket(options)
    expect(make).toThrow(ConfigurationError)
    expect(make).toThrow(message)
  })

  it.each([700_000, 990_000, 3_000_000, 260_000, 70_000])(
    'have a next slower rate that is accepted: %i a second',
    (refillPerSecond) => {
      let told = Number.NaN
      try {
        tokenBucket({ capacity: 1, refillPerSecond })
      } catch (error) {
        told = Number(/next slower rate is (\S+)$/.exec(String(error))?.[1])
      }
      expect(told).toBeLessThan(refillPerSecond)
      expect(tokenBucket({ capacity: 1000, refillPerSecond: told }).windowMs).toBe(
        Math.ceil(1_000_000 / told),
      )
    },
  )

  it.each([
    tokenBucket({ capacity: 8, refill: { tokens: 1, everyMs: YEAR } }),
    tokenBucket({ capacity: 2 ** 40 - 1, refill: { tokens: 2 ** 24 - 1, everyMs: DAY / 24 } }),
    tokenBucket({ capacity: 2 ** 28, refillPerSecond: 1 }),
    tokenBucket({ capacity: 2 ** 40 - 1, refillPerSecond: 1_000_000 }),
    fixedWindow({ limit: 2 ** 40 - 1, windowMs: 8 * YEAR }),
    slidingWindow({ limit: 2 ** 40 - 1, windowMs: 8000 }),
    slidingWindow({ limit: 2 ** 31 - 1, windowMs: 8 * YEAR, mode: 'strict', parts: 1000 }),
  ])(
    'are not those at the ends of what is accepted, which give all that they hold: $kind of $limit',
    async (tier) => {
      const limiter = limiterOf({ tier })
      const subject = randomUUID()
      expect(await limiter.consume(subject, { cost: tier.limit })).toMatchObject({
        allowed: true,
        tiers: [{ limit: tier.limit }],
      })
      expect(refused(await limiter.consume(subject, { cost: tier.limit })).retryAfterMs).toBeGreaterThan(0)
    },
  )
})

describe('a cost that is none', () => {
  const tiers = {
    bucket: tokenBucket({ capacity: 5, refillPerSecond: 0.001, maxWaitMs: 1000 }),
  }
  const NONE: readonly unknown[] = [
    -1,
    -0.5,
    0.5,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    2 ** 53,
    '1',
    '',
    true,
    1n,
    0n,
    null,
    [],
    [1],
    Symbol.iterator,
    { bucket: -1 },
    { bucket: Number.NaN },
    { bucket: '1' },
    { bucket: 1n },
    { other: 1 },
  ]
  it.each(NONE.map((cost) => [inspect(cost), cost] as const))(
    'takes nothing, whoever asks: %s',
    async (_, given) => {
      const cost = given as number
      const limiter = limiterOf(tiers)
      const subject = randomUUID()
      const reserved = await limiter.reserve(subject, { cost: 3 })
      expect.assert(reserved.allowed)
      for (const ask of [
        () => limiter.consume(subject, { cost }),
        () => limiter.consume(subject, { cost, idempotencyKey: 'a' }),
        () => limiter.reserve(subject, { cost }),
        () => limiter.settle(reserved.receipt, { cost }),
        () => limiter.wait(subject, { cost }),
        () => limiter.takePlace(subject, { cost }),
        () => limiter.penalize(subject, { cost }),
      ]) {
        const error = await ask().catch((thrown: unknown) => thrown)
        expect(error).toBeInstanceOf(ConfigurationError)
      }
      expect(await limiter.peek(subject)).toMatchObject([{ remaining: 2 }])
      // And what was asked for wrongly can still be asked for.
      await limiter.settle(reserved.receipt, { cost: 1 })
      expect(await limiter.peek(subject)).toMatchObject([{ remaining: 4 }])
      await limiter.refund(reserved.receipt)
      await expect(limiter.settle(reserved.receipt, { cost })).rejects.toThrow(ConfigurationError)
    },
  )

  it('is above what a tier holds: refused at once where something is asked for, and all there is where it is owed', async () => {
    const limiter = limiterOf(tiers)
    const subject = randomUUID()
    const never = { allowed: false, reason: 'exceeds-capacity', violated: ['bucket'] }
    for (const cost of [6, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      expect(await limiter.consume(subject, { cost })).toEqual(never)
      expect(await limiter.reserve(subject, { cost })).toEqual(never)
      expect(await limiter.takePlace(subject, { cost })).toEqual(never)
      expect(await limiter.wait(subject, { cost })).toEqual(never)
      expect(await limiter.peek(subject)).toMatchObject([{ remaining: 5 }])
    }
    const reserved = await limiter.reserve(subject, { cost: 1 })
    expect.assert(reserved.allowed)
    await limiter.settle(reserved.receipt, { cost: Number.MAX_SAFE_INTEGER })
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 0 }])
    await limiter.reset(subject)
    await limiter.penalize(subject, { cost: Number.MAX_SAFE_INTEGER })
    const [state] = await limiter.peek(subject)
    expect(state?.remaining).toBe(0)
    expect(state?.resetMs).toBeLessThanOrEqual(5_000_000)
  })

  it('of nothing waits for no turn', async () => {
    await expect(limiterOf(tiers).wait(randomUUID(), { cost: 0 })).rejects.toThrow(/^cost must be .* got 0$/)
  })

  it('in a receipt that no decision gave gives nothing back', async () => {
    const limiter = limiterOf(tiers)
    const subject = randomUUID()
    await limiter.consume(subject, { cost: 4 })
    for (const cost of [-1, 3, Number.NaN, Number.POSITIVE_INFINITY]) {
      const forged: Receipt<'bucket'> = { costs: { bucket: cost } }
      expect(await limiter.refund(forged)).toBe(false)
      await limiter.settle(forged, { cost: 0 })
    }
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 1 }])
  })
})

describe('the plans of the seed', () => {
  const PER = [
    ['FREE', 10, 100, 1000],
    ['STARTER', 100, 5000, 50_000],
    ['BUSINESS', 1000, 50_000, 500_000],
    ['ENTERPRISE', 10_000, 500_000, 5_000_000],
  ] as const

  it('are these four', () => {
    expect(Object.keys(PLANS)).toEqual(PER.map(([plan]) => plan))
  })

  it.each(PER)(
    'give a tenant of %s %i a minute, %i an hour and %i a day, and not one more',
    async (plan, ...per) => {
      const limiter = new RateLimiter(port, {
        name: 'plans',
        tiers: (asked: { readonly tenant: string; readonly plan: keyof typeof PLANS }) => PLANS[asked.plan],
        whenUnavailable: 'deny',
        deadlineMs: 2000,
      })
      const tiers = [
        { name: 'second', kind: 'token-bucket', limit: 100, windowMs: 1000 },
        { name: 'minute', kind: 'sliding-window', limit: per[0], windowMs: 60_000 },
        { name: 'hour', kind: 'sliding-window', limit: per[1], windowMs: 3_600_000 },
        { name: 'day', kind: 'sliding-window', limit: per[2], windowMs: DAY },
      ] as const
      expect(limiter.describe({ tenant: 'a', plan })).toEqual(tiers)
      for (const { name, limit } of tiers) {
        const tenant = { tenant: randomUUID(), plan }
        const none = { second: 0, minute: 0, hour: 0, day: 0 }
        const all = await limiter.consume(tenant, { cost: { ...none, [name]: limit } })
        expect.assert(all.allowed)
        expect(all.tiers.find((tier) => tier.name === name)).toMatchObject({ limit, remaining: 0 })
        // Of a bucket that is full again in a second that is all that can be said.
        if (name === 'second') continue
        const one = await limiter.consume(tenant, { cost: { ...none, [name]: 1 } })
        expect(one).toMatchObject({ violated: [name] })
      }
    },
  )
})
