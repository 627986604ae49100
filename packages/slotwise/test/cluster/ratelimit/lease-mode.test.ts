import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ClosedError, ConfigurationError, RedisUnavailableError } from '../../../src/errors.js'
import {
  fixedWindow,
  type LeaseOptions,
  RateLimiter,
  type Subject,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import type { CommandCall, PortCallOptions, RedisPort, ScriptCall } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'

let port: RedisPort
beforeEach(async () => {
  port = await anyPort({ namespace: 'lease' })
})
afterEach(() => port.close())

/** A lease lasts two seconds, and holds up to 1000 tokens. */
const BUCKET = tokenBucket({ capacity: 20_000, refillPerSecond: 1000 })

/** A limiter that leases, and what it asks Redis. */
function counted({
  lease = { epsilon: 0.1 },
  tiers = { bucket: BUCKET },
}: {
  readonly lease?: LeaseOptions
  readonly tiers?: Readonly<Record<string, Tier>>
} = {}) {
  const network = { calls: 0, isAway: false }
  const through = portWith(port, {
    call: (one: CommandCall | ScriptCall, options?: PortCallOptions) => {
      network.calls++
      if (network.isAway) return Promise.reject(new RedisUnavailableError('away'))
      return port.call(one, options)
    },
  })
  const limiter = new RateLimiter(through, {
    name: 'hot',
    tiers,
    whenUnavailable: 'deny',
    deadlineMs: 2000,
    evictionCheck: 'off',
    lease,
  })
  return { limiter, network }
}

async function admitted(limiter: RateLimiter<string>, subject: Subject, times: number): Promise<number> {
  let count = 0
  for (let i = 0; i < times; i++) if ((await limiter.consume(subject)).allowed) count++
  return count
}

describe('a limiter that leases', () => {
  it('asks Redis more than twenty times less for one hot subject', async () => {
    const { limiter, network } = counted()
    const subject = randomUUID()
    expect(await admitted(limiter, subject, 4000)).toBe(4000)
    expect(network.calls).toBeLessThan(4000 / 20)
    expect(limiter.leaseStats()).toMatchObject({ hot: 1 })
  })

  it('counts what it took in Redis too, where others see it', async () => {
    const { limiter } = counted()
    const subject = randomUUID()
    await admitted(limiter, subject, 500)
    const { granted = 0 } = limiter.leaseStats() ?? {}
    expect(granted).toBeGreaterThan(400)
    const [state] = await limiter.peek(subject)
    // What has come back meanwhile is less than a second's.
    expect(state?.remaining).toBeLessThan(20_000 - granted + 1000)
  })

  it('asks for every decision on a subject that is rarely asked for', async () => {
    const { limiter, network } = counted({ lease: { epsilon: 0.001 } })
    const subject = randomUUID()
    for (let i = 0; i < 5; i++) {
      expect(await limiter.consume(subject)).toMatchObject({ allowed: true, decidedBy: 'redis' })
      await sleep(30)
    }
    expect(network.calls).toBe(5)
  })

  it('says who decided, and where the subject stands', async () => {
    const { limiter } = counted()
    const subject = randomUUID()
    await admitted(limiter, subject, 100)
    const decision = await limiter.consume(subject)
    expect(decision).toMatchObject({
      allowed: true,
      decidedBy: 'lease',
      tiers: [{ name: 'bucket', limit: 20_000 }],
    })
    const [state] = decision.allowed ? decision.tiers : []
    expect(state?.remaining).toBeGreaterThan(19_000)
    expect(state?.remaining).toBeLessThan(20_000)
    expect(decision.allowed && decision.receipt.costs).toEqual({ bucket: 1 })
  })

  it('prints how much it may exceed the limit by', () => {
    const { limiter } = counted()
    expect(limiter.describe('anyone')).toEqual([
      {
        name: 'bucket',
        kind: 'token-bucket',
        limit: 20_000,
        windowMs: 20_000,
        lease: { forMs: 2000, excess: 2000 },
      },
    ])
  })

  it('is within its bound from several processes at once, and gives nearly all that there is', async () => {
    const tiers = { bucket: tokenBucket({ capacity: 400, refillPerSecond: 100 }) }
    const processes = [1, 2, 3].map(() => counted({ tiers, lease: { epsilon: 0.25 } }).limiter)
    const subject = randomUUID()
    const startedAt = performance.now()
    const counts = await Promise.all(processes.map((limiter) => admitted(limiter, subject, 1000)))
    const passedMs = performance.now() - startedAt
    const all = counts.reduce((sum, count) => sum + count, 0)
    expect(all).toBeLessThanOrEqual(400 + (passedMs + 1000) * 0.1)
    expect(all).toBeGreaterThan(300)
  })

  it('spends its lease while Redis is away; then whenUnavailable decides', async () => {
    const { limiter, network } = counted()
    const subject = randomUUID()
    await admitted(limiter, subject, 500)
    network.isAway = true
    const { held = 0 } = limiter.leaseStats() ?? {}
    expect(held).toBeGreaterThan(20)
    expect(await admitted(limiter, subject, held)).toBe(held)
    expect(await limiter.consume(subject)).toMatchObject({ allowed: false, reason: 'unavailable' })
  })

  it('takes a repeated decision once, which another process may have made: such go to Redis', async () => {
    const { limiter } = counted()
    const subject = randomUUID()
    await admitted(limiter, subject, 100)
    const { spent } = limiter.leaseStats() ?? {}
    for (const one of [limiter, counted().limiter, limiter]) {
      expect(await one.consume(subject, { idempotencyKey: 'order-7' })).toMatchObject({ decidedBy: 'redis' })
    }
    expect(limiter.leaseStats()?.spent).toBe(spent)
  })

  it('spends nothing for who gave up before', async () => {
    const { limiter } = counted()
    const subject = randomUUID()
    await admitted(limiter, subject, 100)
    const { spent } = limiter.leaseStats() ?? {}
    const signal = AbortSignal.abort(new Error('gave up'))
    await expect(limiter.consume(subject, { signal })).rejects.toThrow('gave up')
    expect(limiter.leaseStats()?.spent).toBe(spent)
  })

  it('refunds to its lease, and asks nobody', async () => {
    const { limiter, network } = counted()
    const subject = randomUUID()
    await admitted(limiter, subject, 100)
    const decision = await limiter.consume(subject)
    if (!decision.allowed) throw new Error('refused')
    // The next lease may be under way.
    const apart = () => {
      const { held = 0, granted = 0, asked = 0 } = limiter.leaseStats() ?? {}
      return { held: held - granted, calls: network.calls - asked }
    }
    const { held, calls } = apart()
    expect(await limiter.refund(decision.receipt)).toBe(true)
    expect(await limiter.refund(decision.receipt)).toBe(false)
    expect(apart()).toEqual({ held: held + 1, calls })
  })

  it('leases a subject again that was reset, also where nobody else was asked for meanwhile', async () => {
    const { limiter } = counted()
    const subject = randomUUID()
    await admitted(limiter, subject, 100)
    await limiter.reset(subject)
    expect(limiter.leaseStats()).toMatchObject({ hot: 0, held: 0 })
    await admitted(limiter, subject, 100)
    expect(limiter.leaseStats()).toMatchObject({ hot: 1 })
    expect(await limiter.consume(subject)).toMatchObject({ decidedBy: 'lease' })
  })

  it('spends nothing of a subject that it has blocked, reset or penalized', async () => {
    const { limiter } = counted()
    const subject = randomUUID()
    const warm = () => admitted(limiter, subject, 100)
    await warm()
    await limiter.reset(subject)
    expect(limiter.leaseStats()?.held).toBe(0)
    await warm()
    await limiter.penalize(subject, { cost: 10 })
    expect(limiter.leaseStats()?.held).toBe(0)
    await warm()
    await limiter.block(subject, { forMs: 60_000 })
    expect(await admitted(limiter, subject, 100)).toBe(0)
  })

  it('gives nothing back when it is closed', async () => {
    const { limiter, network } = counted()
    await admitted(limiter, randomUUID(), 100)
    const { calls } = network
    await limiter.close()
    expect(network.calls).toBe(calls)
    await expect(limiter.consume('anyone')).rejects.toThrow(ClosedError)
  })

  it('shares its leases with its views, apart by tenant', async () => {
    const { limiter } = counted()
    const subject = randomUUID()
    await admitted(limiter.forTenant('acme'), subject, 100)
    expect(await limiter.forTenant('acme').consume(subject)).toMatchObject({ decidedBy: 'lease' })
    expect(await limiter.consume(subject)).toMatchObject({ decidedBy: 'redis' })
  })

  it('tells listeners which subjects it leases', async () => {
    const heard: unknown[] = []
    const listen = (event: unknown) => void heard.push(event)
    subscribe('slotwise:ratelimit:lease', listen)
    const { limiter } = counted()
    await admitted(limiter, randomUUID(), 100)
    unsubscribe('slotwise:ratelimit:lease', listen)
    expect(heard).toContainEqual(expect.objectContaining({ name: 'hot', kind: 'hot' }))
    expect(heard).toContainEqual(expect.objectContaining({ kind: 'granted', tokens: expect.any(Number) }))
  })

  it.each<[string, LeaseOptions, Tier]>([
    ['epsilon must be above 0', { epsilon: 0 }, BUCKET],
    ['epsilon must be above 0 and at most 1', { epsilon: 1.5 }, BUCKET],
    ['abovePerSecond', { epsilon: 0.1, auto: { abovePerSecond: -1 } }, BUCKET],
    ['maxSubjects', { epsilon: 0.1, maxSubjects: 0 }, BUCKET],
    ['steady token buckets', { epsilon: 0.1 }, fixedWindow({ limit: 10_000, windowMs: 1000 })],
    ['at least 4', { epsilon: 0.1 }, tokenBucket({ capacity: 39, refillPerSecond: 1 })],
  ])('refuses what it could not keep: %s', (message, lease, tier) => {
    expect(() => counted({ lease, tiers: { tier } })).toThrow(ConfigurationError)
    expect(() => counted({ lease, tiers: { tier } })).toThrow(message)
  })

  it('stays exact for subjects whose tiers cannot be leased, where they differ', async () => {
    const [small, large] = [{ bucket: tokenBucket({ capacity: 20, refillPerSecond: 1 }) }, { bucket: BUCKET }]
    const limiter = new RateLimiter(port, {
      name: 'plans',
      tiers: ({ tenant }: { tenant: string }) => (tenant.startsWith('small') ? small : large),
      whenUnavailable: 'deny',
      deadlineMs: 2000,
      lease: { epsilon: 0.1 },
    })
    const tenant = `small-${randomUUID()}`
    for (let i = 0; i < 20; i++) {
      expect(await limiter.consume({ tenant })).toMatchObject({ allowed: true, decidedBy: 'redis' })
    }
    expect(limiter.describe({ tenant })).toEqual([expect.not.objectContaining({ lease: expect.anything() })])
  })
})
