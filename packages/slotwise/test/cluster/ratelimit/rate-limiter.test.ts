import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClosedError, ConfigurationError } from '../../../src/errors.js'
import { type Decision, RateLimiter, tokenBucket } from '../../../src/ratelimit/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
})
afterAll(() => port.close())

const someone = () => randomUUID()
const limiterOf = (capacity: number, refillPerSecond: number) =>
  new RateLimiter(port, {
    name: 'test',
    tiers: { bucket: tokenBucket({ capacity, refillPerSecond }) },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
  })
const refused = (decision: Decision) => {
  expect.assert(!decision.allowed && decision.reason === 'limited')
  return decision
}

describe('RateLimiter', () => {
  it('admits exactly the capacity out of a concurrent burst', async () => {
    const subject = someone()
    const limiter = limiterOf(10, 0.001)
    const decisions = await Promise.all(Array.from({ length: 200 }, () => limiter.consume(subject)))
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(10)
  })

  it('admits a refused caller that waits as long as it was told', async () => {
    const subject = someone()
    const limiter = limiterOf(3, 10)
    await limiter.consume(subject, { cost: 3 })
    const { retryAfterMs } = refused(await limiter.consume(subject))
    expect(retryAfterMs).toBeGreaterThan(0)
    expect(retryAfterMs).toBeLessThanOrEqual(100)
    // A timer may fire a part of a millisecond early by the server's clock.
    await sleep(retryAfterMs + 1)
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true })
  })

  it('charges nothing for a refusal', async () => {
    const subject = someone()
    const limiter = limiterOf(5, 0.001)
    await limiter.consume(subject, { cost: 3 })
    expect(refused(await limiter.consume(subject, { cost: 3 })).tiers).toMatchObject([{ remaining: 2 }])
    expect(await limiter.consume(subject, { cost: 2 })).toMatchObject({
      allowed: true,
      tiers: [{ remaining: 0, nextMs: expect.closeTo(1_000_000, -3) }],
    })
  })

  it('decides all tiers together: what one refuses no other gives', async () => {
    const subject = someone()
    const limiter = new RateLimiter(port, {
      name: 'tiers',
      tiers: {
        large: tokenBucket({ capacity: 100, refillPerSecond: 0.001 }),
        small: tokenBucket({ capacity: 1, refillPerSecond: 0.001 }),
      },
      whenUnavailable: 'deny',
      deadlineMs: 2000,
    })
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true, decidedBy: 'redis' })
    const refusal = refused(await limiter.consume(subject))
    expect(refusal.violated).toEqual(['small'])
    expect(refusal.tiers.map(({ name, remaining }) => [name, remaining])).toEqual([
      ['large', 99],
      ['small', 0],
    ])
    expect(await limiter.consume(subject, { cost: { large: 99, small: 0 } })).toMatchObject({ allowed: true })
  })

  it('says at once that more than a full bucket can never be had', async () => {
    expect(await limiterOf(5, 1).consume(someone(), { cost: 6 })).toEqual({
      allowed: false,
      reason: 'exceeds-capacity',
      violated: ['bucket'],
    })
  })

  it('looks without consuming, and fills again on request', async () => {
    const subject = someone()
    const limiter = limiterOf(5, 0.001)
    await limiter.consume(subject, { cost: 4 })
    expect(await limiter.peek(subject)).toMatchObject([{ name: 'bucket', limit: 5, remaining: 1 }])
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 1 }])
    await limiter.reset(subject)
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 5, resetMs: 0 }])
  })

  it('gives back what a decision took, once', async () => {
    const subject = someone()
    const limiter = limiterOf(5, 0.001)
    const decision = await limiter.consume(subject, { cost: 4 })
    expect.assert(decision.allowed)
    expect(await limiter.refund(decision.receipt)).toBe(true)
    expect(await limiter.refund(decision.receipt)).toBe(false)
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 5, resetMs: 0, nextMs: 0 }])
  })

  it('describes the tiers of a subject without asking anybody', () => {
    expect(limiterOf(5, 10).describe(someone())).toEqual([
      { name: 'bucket', kind: 'token-bucket', limit: 5, windowMs: 500 },
    ])
  })

  it('keeps a record until the bucket is full again and no longer', async () => {
    const subject = someone()
    const limiter = limiterOf(100, 10)
    await limiter.consume(subject, { cost: 20 })
    const key = keyOf({ namespace: 'test', pattern: 'ratelimit', name: 'test' }, subject)
    const ttl = Number(await port.call({ key, command: ['PTTL', key] }))
    expect(ttl).toBeGreaterThan(1900)
    expect(ttl).toBeLessThanOrEqual(2000)
    await limiter.peek(someone())
    expect(await port.call({ key, command: ['EXISTS', key] })).toBe(1)
  })

  it('writes nothing for somebody who only looks or is refused', async () => {
    const subject = someone()
    await limiterOf(5, 1).peek(subject)
    const key = keyOf({ namespace: 'test', pattern: 'ratelimit', name: 'test' }, subject)
    expect(await port.call({ key, command: ['EXISTS', key] })).toBe(0)
  })

  it('keeps tenants apart whose subjects have the same name', async () => {
    const limiter = limiterOf(1, 0.001)
    const [a, b] = [someone(), someone()]
    expect(await limiter.forTenant(a).consume('user-1')).toMatchObject({ allowed: true })
    expect(await limiter.forTenant(a).consume('user-1')).toMatchObject({ allowed: false })
    expect(await limiter.forTenant(b).consume('user-1')).toMatchObject({ allowed: true })
  })

  it('counts a subject of parts by tenant and user, whatever else chooses its tiers', async () => {
    const limiter = new RateLimiter(port, {
      name: 'parts',
      tiers: ({ plan }: { tenant: string; user?: string; plan: 'small' | 'large' }) => ({
        bucket: tokenBucket({ capacity: plan === 'small' ? 1 : 10, refillPerSecond: 0.001 }),
      }),
      whenUnavailable: 'deny',
      deadlineMs: 2000,
    })
    const tenant = someone()
    expect(await limiter.consume({ tenant, plan: 'small' })).toMatchObject({ allowed: true })
    expect(await limiter.consume({ tenant, plan: 'small' })).toMatchObject({ allowed: false })
    expect(await limiter.consume({ tenant, plan: 'large' })).toMatchObject({ allowed: true })
    expect(await limiter.consume({ tenant, user: 'u', plan: 'small' })).toMatchObject({ allowed: true })
  })

  it.each([
    { whenUnavailable: 'deny', decided: { allowed: false, reason: 'unavailable' } },
    { whenUnavailable: 'allow', decided: { allowed: true, decidedBy: 'policy' } },
  ] as const)(
    'does as it was told when Redis cannot answer in time: $whenUnavailable',
    async ({ whenUnavailable, decided }) => {
      const heard: unknown[] = []
      const away = await anyPort()
      await away.close()
      const limiter = new RateLimiter(away, {
        name: 'away',
        tiers: { bucket: tokenBucket({ capacity: 1, refillPerSecond: 1 }) },
        whenUnavailable,
        onError: (error) => heard.push(error),
      })
      const decision = await limiter.consume(someone())
      expect(decision).toMatchObject({ ...decided, cause: expect.any(ClosedError) })
      expect(heard).toHaveLength(1)
    },
  )

  it.each([0, -1, 1.5, Number.NaN, 2 ** 53])('refuses a capacity of %s when it is built', (capacity) => {
    expect(() => tokenBucket({ capacity, refillPerSecond: 1 })).toThrow(ConfigurationError)
  })

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 700_000])(
    'refuses a rate of %s a second',
    (refillPerSecond) => {
      expect(() => tokenBucket({ capacity: 1, refillPerSecond })).toThrow(ConfigurationError)
    },
  )

  it.each([-1, 0.5, Number.NaN])('refuses a cost of %s', async (cost) => {
    await expect(limiterOf(5, 1).consume(someone(), { cost })).rejects.toThrow(ConfigurationError)
  })

  it.each(['{}', 'a:b', '\0', '😀', '\ud800', 'x'.repeat(10_000), ['a', 1, 2n]])(
    'takes any subject',
    async (subject) => {
      const limiter = limiterOf(2, 1000)
      await limiter.reset(subject)
      expect(await limiter.consume(subject)).toMatchObject({ allowed: true })
    },
  )

  it('answers no more after it was closed', async () => {
    const limiter = limiterOf(1, 1)
    await limiter.close()
    await limiter.close()
    await expect(limiter.consume('x')).rejects.toThrow(ClosedError)
  })
})
