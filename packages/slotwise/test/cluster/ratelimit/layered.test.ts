import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import {
  concurrency,
  fixedWindow,
  type LeaseOptions,
  RateLimiter,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import type { CommandCall, PortCallOptions, RedisPort, ScriptCall } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'

interface Caller {
  readonly tenant: string
  readonly user: string
}

let port: RedisPort
beforeEach(async () => {
  port = await anyPort({ namespace: 'layered' })
})
afterEach(() => port.close())

const SLOW = 0.001

/** A tenant may have 1000, a user of it 20. A lease holds up to 250 for as long as anybody tests. */
function limiterOf({ tenant = 1000, user = 20, lease = { epsilon: 0.5 } } = {}) {
  const network = { calls: 0, keys: new Set<string>() }
  const through = portWith(port, {
    call: (one: CommandCall | ScriptCall, options?: PortCallOptions) => {
      network.calls++
      if ('keys' in one) for (const key of one.keys) network.keys.add(key)
      return port.call(one, options)
    },
  })
  const limiter = new RateLimiter<'user' | 'tenant', Caller>(through, {
    name: 'layered',
    tiers: {
      user: tokenBucket({ capacity: user, refillPerSecond: SLOW }),
      tenant: tokenBucket({ capacity: tenant, refillPerSecond: SLOW, by: 'tenant' }),
    },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
    evictionCheck: 'off',
    lease,
  })
  return { limiter, network }
}

const someTenant = () => `t-${randomUUID()}`

async function admitted(
  limiter: RateLimiter<'user' | 'tenant', Caller>,
  subject: Caller,
  times: number,
): Promise<number> {
  let count = 0
  for (let i = 0; i < times; i++) if ((await limiter.consume(subject)).allowed) count++
  return count
}

describe('a subject of a tenant and a user', () => {
  it('has a limit of its own, exactly, and one in common with all users of the tenant', async () => {
    const { limiter } = limiterOf({ tenant: 100 })
    const tenant = someTenant()
    const counts = []
    for (let user = 0; user < 8; user++) counts.push(await admitted(limiter, { tenant, user: `${user}` }, 30))
    expect(counts.slice(0, 4)).toEqual([20, 20, 20, 20])
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(100)
    // Another tenant's are others.
    expect(await admitted(limiter, { tenant: someTenant(), user: '0' }, 30)).toBe(20)
  })

  it('is asked for at keys that need not lie together, and mostly at one of them', async () => {
    const { limiter, network } = limiterOf()
    const tenant = someTenant()
    for (let user = 0; user < 20; user++) await admitted(limiter, { tenant, user: `${user}` }, 20)
    expect(network.keys.size).toBe(21)
    expect(network.calls).toBeLessThan(400 * 1.1)
  })

  it('takes nothing of the tenant where the user is refused', async () => {
    const { limiter, network } = limiterOf()
    const tenant = someTenant()
    const subject = { tenant, user: 'greedy' }
    expect(await admitted(limiter, subject, 20)).toBe(20)
    const spent = limiter.leaseStats()?.spent
    // More often than the tenant has tokens.
    expect(await admitted(limiter, subject, 1200)).toBe(0)
    expect(limiter.leaseStats()?.spent).toBe(spent)
    expect(await admitted(limiter, { tenant, user: 'modest' }, 20)).toBe(20)
    expect(network.calls).toBeLessThan(1240 * 1.1)
  })

  it('takes nothing of the user where the tenant is refused', async () => {
    const { limiter } = limiterOf({ tenant: 20, user: 100 })
    const tenant = someTenant()
    await admitted(limiter, { tenant, user: 'first' }, 50)
    const subject = { tenant, user: 'second' }
    expect(await limiter.consume(subject)).toMatchObject({
      allowed: false,
      reason: 'limited',
      violated: ['tenant'],
    })
    expect(await limiter.peek(subject)).toMatchObject([{ name: 'user', remaining: 100 }, { name: 'tenant' }])
  })

  it('gives back to the tenant in Redis what no lease holds', async () => {
    const { limiter } = limiterOf({ user: 400 })
    const tenant = someTenant()
    const subject = { tenant, user: 'large' }
    expect(await limiter.consume(subject, { cost: 300 })).toMatchObject({ allowed: true })
    const left = async () => (await limiter.peek(subject)).map(({ remaining }) => remaining)
    expect(await left()).toEqual([100, 700])
    expect(await limiter.consume(subject, { cost: 300 })).toMatchObject({
      allowed: false,
      violated: ['user'],
    })
    expect(await left()).toEqual([100, 700])
  })

  it('refunds both', async () => {
    const { limiter } = limiterOf()
    const subject = { tenant: someTenant(), user: 'one' }
    const decision = await limiter.consume(subject, { cost: 5 })
    expect.assert(decision.allowed)
    expect(decision.receipt.costs).toEqual({ user: 5, tenant: 5 })
    const { spent = 0 } = limiter.leaseStats() ?? {}
    expect(await limiter.refund(decision.receipt)).toBe(true)
    expect(await limiter.refund(decision.receipt)).toBe(false)
    expect(limiter.leaseStats()?.spent).toBe(spent - 5)
    expect(await limiter.peek(subject)).toMatchObject([{ name: 'user', remaining: 20 }, { name: 'tenant' }])
  })

  it('is admitted again by an idempotency key, and takes once of both', async () => {
    const { limiter } = limiterOf()
    const subject = { tenant: someTenant(), user: 'one' }
    for (let i = 0; i < 5; i++) {
      expect(await limiter.consume(subject, { idempotencyKey: 'order-7' })).toMatchObject({ allowed: true })
    }
    expect(limiter.leaseStats()?.spent).toBe(1)
    expect(await limiter.peek(subject)).toMatchObject([{ name: 'user', remaining: 19 }, { name: 'tenant' }])
  })

  it('is told of both tiers in their order, and of what the lease of one may cost', async () => {
    const { limiter } = limiterOf()
    const subject = { tenant: someTenant(), user: 'one' }
    const decision = await limiter.consume(subject)
    expect(decision).toMatchObject({
      allowed: true,
      tiers: [{ name: 'user', remaining: 19 }, { name: 'tenant' }],
    })
    const [user, tenant] = limiter.describe(subject)
    expect(user).not.toHaveProperty('lease')
    expect(tenant?.lease).toEqual({ forMs: 500_000_000, excess: 500 })
  })

  it('takes a cost of its own from each', async () => {
    const { limiter } = limiterOf()
    const subject = { tenant: someTenant(), user: 'one' }
    await limiter.consume(subject, { cost: { user: 3, tenant: 7 } })
    expect(limiter.leaseStats()?.spent).toBe(7)
    expect(await limiter.peek(subject)).toMatchObject([{ name: 'user', remaining: 17 }, { name: 'tenant' }])
    expect(await limiter.consume(subject, { cost: 1001 })).toMatchObject({ reason: 'exceeds-capacity' })
  })

  it('is blocked and reset without its tenant', async () => {
    const { limiter } = limiterOf()
    const tenant = someTenant()
    const [one, other] = [
      { tenant, user: 'one' },
      { tenant, user: 'other' },
    ]
    await admitted(limiter, one, 20)
    await limiter.block(one, { forMs: 60_000 })
    expect(await limiter.consume(one)).toMatchObject({ allowed: false, reason: 'blocked' })
    expect(await limiter.consume(other)).toMatchObject({ allowed: true })
    await limiter.reset(one)
    expect(await limiter.consume(one)).toMatchObject({ allowed: true })
  })

  it('has places under way at its own key, which are released there', async () => {
    const limiter = new RateLimiter<'places' | 'tenant', Caller>(port, {
      name: 'places',
      tiers: {
        tenant: tokenBucket({ capacity: 1000, refillPerSecond: SLOW, by: 'tenant' }),
        places: concurrency({ max: 1, ttlMs: 60_000 }),
      },
      whenUnavailable: 'deny',
      deadlineMs: 2000,
      lease: { epsilon: 0.5 },
    })
    const subject = { tenant: someTenant(), user: 'one' }
    const decision = await limiter.consume(subject)
    expect.assert(decision.allowed)
    expect(await limiter.consume(subject)).toMatchObject({ allowed: false, violated: ['places'] })
    expect(await limiter.renew(decision.receipt)).toBe(true)
    expect(await limiter.release(decision.receipt)).toBe(true)
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true })
  })

  it('is settled with its tenant: what is left goes back to the lease, what is missing is taken at its key', async () => {
    const { limiter } = limiterOf()
    const subject = { tenant: someTenant(), user: 'one' }
    const cheaper = await limiter.reserve(subject, { cost: 5 })
    expect.assert(cheaper.allowed)
    for (let i = 0; i < 2; i++) await limiter.settle(cheaper.receipt, { cost: { user: 3, tenant: 4 } })
    expect(limiter.leaseStats()?.spent).toBe(4)
    const [user, tenant] = await limiter.peek(subject)
    expect(user).toMatchObject({ remaining: 17 })
    const dearer = await limiter.reserve(subject, { cost: 1 })
    expect.assert(dearer.allowed)
    for (let i = 0; i < 2; i++) await limiter.settle(dearer.receipt, { cost: { user: 3, tenant: 8 } })
    expect(await limiter.peek(subject)).toMatchObject([
      { remaining: 14 },
      { remaining: (tenant?.remaining ?? 0) - 7 },
    ])
    expect(dearer.receipt.costs).toEqual({ user: 3, tenant: 8 })
  })

  it('is refused while its tenant is blocked, and let in when that ends', async () => {
    const { limiter } = limiterOf()
    const subject = { tenant: someTenant(), user: 'one' }
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true })
    await limiter.block(subject, { forMs: 60_000, by: 'tenant' })
    expect(await limiter.consume(subject)).toMatchObject({ allowed: false, reason: 'blocked' })
    await limiter.block(subject, { forMs: 0, by: 'tenant' })
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true })
  })

  it('may have a window in common, by leases of a time of its own, and no places', async () => {
    const options = { name: 'windows', whenUnavailable: 'deny', evictionCheck: 'off' } as const
    const user = tokenBucket({ capacity: 20, refillPerSecond: SLOW })
    const limiter = new RateLimiter<'user' | 'tenant', Caller>(port, {
      ...options,
      deadlineMs: 2000,
      lease: { forMs: 60_000 },
      tiers: { user, tenant: fixedWindow({ limit: 50, windowMs: 600_000, by: 'tenant' }) },
    })
    const tenant = someTenant()
    let count = 0
    for (let i = 0; i < 4; i++) count += await admitted(limiter, { tenant, user: `${i}` }, 20)
    expect(count).toBe(50)
    const made = () =>
      new RateLimiter<'user' | 'tenant', Caller>(port, {
        ...options,
        lease: { forMs: 60_000 },
        tiers: { user, tenant: concurrency({ max: 50, ttlMs: 1000, by: 'tenant' }) },
      })
    expect(made).toThrow(ConfigurationError)
  })

  it('must have the part by which a tier counts', async () => {
    const bucket = { capacity: 1000, refillPerSecond: SLOW }
    const options = { name: 'parts', whenUnavailable: 'deny', lease: { epsilon: 0.5 } } as const
    const limiter = new RateLimiter(port, {
      ...options,
      tiers: { all: tokenBucket(bucket), tenant: tokenBucket({ ...bucket, by: 'tenant' }) },
    })
    await expect(limiter.consume('no parts')).rejects.toThrow('tenant')
    const misnamed = new RateLimiter<'all' | 'team', Caller>(port, {
      ...options,
      // @ts-expect-error a caller has no team
      tiers: { all: tokenBucket(bucket), team: tokenBucket({ ...bucket, by: 'team' }) },
    })
    await expect(misnamed.consume({ tenant: 'acme', user: 'ada' })).rejects.toThrow('team')
  })

  it('needs leases for what its tenant has in common, and a tier of its own', () => {
    const bucket = { capacity: 1000, refillPerSecond: SLOW }
    const made = (own: boolean, lease: LeaseOptions | undefined) => () =>
      new RateLimiter(port, {
        name: 'parts',
        whenUnavailable: 'deny',
        lease,
        tiers: {
          all: own ? tokenBucket(bucket) : tokenBucket({ ...bucket, by: 'user' }),
          tenant: tokenBucket({ ...bucket, by: 'tenant' }),
        },
      })
    expect(made(true, { epsilon: 0.5 })).not.toThrow()
    expect(made(true, undefined)).toThrow(ConfigurationError)
    expect(made(true, { epsilon: 0.001 })).toThrow(ConfigurationError)
    expect(made(false, { epsilon: 0.5 })).toThrow(ConfigurationError)
  })

  it('has no priorities: what is left for others of each tier would be told to the wrong one', async () => {
    const bucket = { capacity: 1000, refillPerSecond: SLOW }
    const limiter = new RateLimiter<'user' | 'tenant', Caller>(port, {
      name: 'parts',
      whenUnavailable: 'deny',
      evictionCheck: 'off',
      lease: { epsilon: 0.5 },
      priorities: { urgent: 0.5, rest: 0 },
      tiers: { user: tokenBucket(bucket), tenant: tokenBucket({ ...bucket, by: 'tenant' }) },
    })
    const asked = limiter.consume({ tenant: someTenant(), user: 'ada' }, { priority: 'rest' })
    await expect(asked).rejects.toThrow(ConfigurationError)
  })
})
