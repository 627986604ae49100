import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import {
  concurrency,
  fixedWindow,
  PLANS,
  RateLimitAdmin,
  RateLimiter,
  slidingWindow,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import type { OnPlanChange } from '../../../src/ratelimit/plan.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
let admin: RateLimitAdmin<keyof typeof tiers>
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
  admin = new RateLimitAdmin(port, { name, tiers })
})
afterAll(() => port.close())

const tiers = {
  bucket: tokenBucket({ capacity: 10, refillPerSecond: 0.001 }),
  hour: slidingWindow({ limit: 100, windowMs: 3_600_000 }),
  underWay: concurrency({ max: 5, ttlMs: 60_000 }),
}
const name = 'looked-after'
const limiterOf = (onPlanChange: OnPlanChange = 'keep-used') =>
  new RateLimiter(port, { name, tiers, onPlanChange, whenUnavailable: 'deny', deadlineMs: 2000 })

describe('who looks after subjects of a limiter', () => {
  it('sees that nothing is kept of one who has never asked', async () => {
    expect(await admin.show(randomUUID())).toMatchObject({ state: 'fresh' })
  })

  it('sees without the limits when the record was written, and when it ends', async () => {
    const subject = randomUUID()
    const before = Date.now()
    await limiterOf().consume(subject, { cost: 3 })
    const shown = await new RateLimitAdmin(port, { name }).show(subject)
    expect.assert(shown.state === 'unread')
    // By the server's clock, which is this machine's.
    expect(shown.writtenAt.getTime()).toBeGreaterThanOrEqual(before - 1)
    expect(shown.writtenAt.getTime()).toBeLessThanOrEqual(Date.now() + 1)
    expect(shown.endsInMs).toBeGreaterThan(3_600_000)
    expect(shown.endsInMs).toBeLessThanOrEqual(7_200_000)
  })

  it.each(['keep-used', 'keep-proportion', 'reset'] as const)(
    'sees with the limits where the subject stands, whatever becomes of it when they change: %s',
    async (onPlanChange) => {
      const subject = randomUUID()
      const limiter = limiterOf(onPlanChange)
      await limiter.consume(subject, { cost: 3 })
      expect(await admin.show(subject)).toMatchObject({
        state: 'known',
        onPlanChange,
        blockedMs: 0,
        tiers: [
          { name: 'bucket', remaining: 7 },
          { name: 'hour', remaining: 97 },
          { name: 'underWay', remaining: 2 },
        ],
      })
      // To look consumes nothing.
      expect(await limiter.peek(subject)).toMatchObject([
        { remaining: 7 },
        { remaining: 97 },
        { remaining: 2 },
      ])
    },
  )

  it('is told that a record is of other limits, and does not forget it by a block', async () => {
    const subject = randomUUID()
    const limiter = limiterOf()
    await limiter.consume(subject, { cost: 3 })
    const other = new RateLimitAdmin(port, {
      name,
      tiers: { other: fixedWindow({ limit: 1, windowMs: 60_000 }) },
    })
    expect(await other.show(subject)).toMatchObject({ state: 'foreign' })
    await expect(other.block(subject, { forMs: 60_000 })).rejects.toThrow(ConfigurationError)
    await expect(new RateLimitAdmin(port, { name }).block(subject, { forMs: 1 })).rejects.toThrow(
      'the limits have to be told',
    )
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 7 }, {}, {}])
  })

  it.each(['keep-used', 'keep-proportion', 'reset'] as const)(
    'blocks, is shown for how long, and ends it, keeping what was taken: %s',
    async (onPlanChange) => {
      const subject = randomUUID()
      const limiter = limiterOf(onPlanChange)
      await limiter.consume(subject, { cost: 3 })
      await admin.block(subject, { forMs: 60_000 })
      expect(await limiter.consume(subject)).toMatchObject({ allowed: false, reason: 'blocked' })
      const shown = await admin.show(subject)
      expect.assert(shown.state === 'known')
      expect(shown.blockedMs).toBeGreaterThan(50_000)
      expect(shown.blockedMs).toBeLessThanOrEqual(60_000)
      await admin.block(subject, { forMs: 0 })
      expect(await admin.show(subject)).toMatchObject({ blockedMs: 0, tiers: [{ remaining: 7 }, {}, {}] })
    },
  )

  it('blocks one who has never asked, as the limiter will ask', async () => {
    const subject = randomUUID()
    await new RateLimitAdmin(port, { name, tiers, onPlanChange: 'reset' }).block(subject, { forMs: 60_000 })
    expect(await limiterOf('reset').consume(subject)).toMatchObject({ reason: 'blocked' })
  })

  it('lets a subject begin anew, and is told whether there was anything', async () => {
    const subject = randomUUID()
    await limiterOf().consume(subject, { cost: 3 })
    const withoutLimits = new RateLimitAdmin(port, { name })
    expect(await withoutLimits.reset(subject)).toBe(true)
    expect(await withoutLimits.reset(subject)).toBe(false)
    expect(await admin.show(subject)).toMatchObject({ state: 'fresh' })
  })

  it('reaches the subjects of one tenant and no others', async () => {
    const subject = randomUUID()
    await limiterOf().consume(subject)
    await limiterOf().forTenant('acme').consume(subject, { cost: 4 })
    const tenant = 'acme'
    expect(await admin.show(subject, { tenant })).toMatchObject({ tiers: [{ remaining: 6 }, {}, {}] })
    await admin.block(subject, { tenant, forMs: 60_000 })
    expect(await limiterOf().consume(subject)).toMatchObject({ allowed: true })
    expect(await admin.reset(subject, { tenant })).toBe(true)
    expect(await admin.show(subject)).toMatchObject({ tiers: [{ remaining: 8 }, {}, {}] })
  })

  it('reaches a user in the slot of its tenant, and the tenant itself', async () => {
    const own = { bucket: tiers.bucket }
    const limiter = new RateLimiter<'bucket' | 'common', { readonly tenant: string; readonly user: string }>(
      port,
      {
        name,
        tiers: { ...own, common: slidingWindow({ limit: 100, windowMs: 3_600_000, by: 'tenant' }) },
        whenUnavailable: 'deny',
        deadlineMs: 2000,
        together: true,
      },
    )
    const tenant = randomUUID()
    const caller = { tenant, user: 'ada' }
    await limiter.consume(caller, { cost: { bucket: 3, common: 7 } })
    const user = ['tenant', tenant, 'user', 'ada']
    const within = ['tenant', tenant] as const
    const ofUser = new RateLimitAdmin(port, { name, tiers: own })
    expect(await ofUser.show(user)).toMatchObject({ state: 'fresh' })
    expect(await ofUser.show(user, { within })).toMatchObject({ tiers: [{ remaining: 7 }] })
    const common = { common: slidingWindow({ limit: 100, windowMs: 3_600_000 }) }
    const ofTenant = new RateLimitAdmin(port, { name, tiers: common })
    const part = ['by', 'tenant', tenant]
    expect(await ofTenant.show(part)).toMatchObject({ tiers: [{ remaining: 93 }] })
    await ofTenant.block(part, { forMs: 60_000 })
    expect(await limiter.consume(caller)).toMatchObject({ reason: 'blocked' })
    expect(await ofTenant.reset(part)).toBe(true)
    expect(await ofUser.reset(user, { within })).toBe(true)
    expect(await limiter.peek(caller)).toMatchObject([{ remaining: 10 }, { remaining: 100 }])
  })

  it('reads the plans that come with the limiter', async () => {
    const subject = randomUUID()
    const limiter = new RateLimiter(port, {
      name,
      tiers: PLANS.FREE,
      whenUnavailable: 'deny',
      deadlineMs: 2000,
    })
    await limiter.consume(subject)
    const shown = await new RateLimitAdmin(port, { name, tiers: PLANS.FREE }).show(subject)
    expect(shown).toMatchObject({ state: 'known' })
  })
})
