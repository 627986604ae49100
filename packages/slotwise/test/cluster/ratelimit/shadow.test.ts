import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { measure } from '../../../src/measure.js'
import {
  concurrency,
  RateLimiter,
  type RateLimiterOptions,
  type Subject,
  slidingLog,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import { type RedisPort, readKey } from '../../../src/redis/index.js'
import type { Events } from '../../../src/telemetry.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
})
afterAll(() => port.close())

const someone = () => randomUUID()
const tiers = {
  bucket: tokenBucket({ capacity: 3, refillPerSecond: 0.001 }),
  log: slidingLog({ limit: 100, windowMs: 3_600_000 }),
}
type Names = keyof typeof tiers
const limiterOf = (options: Partial<RateLimiterOptions<Names, Subject>> = {}, through = port) =>
  new RateLimiter<Names>(through, {
    name: 'tried',
    tiers,
    whenUnavailable: 'deny',
    deadlineMs: 2000,
    ...options,
  })

describe('a limiter whose limits are only tried', () => {
  it('lets everybody in, and says of each whom the same limits in force would refuse', async () => {
    const [subject, other] = [someone(), someone()]
    const [tried, inForce] = [limiterOf({ shadow: true }), limiterOf()]
    for (const cost of [1, 1, 2, 1, 1, 4]) {
      const [shadowed, decided] = [
        await tried.consume(subject, { cost }),
        await inForce.consume(other, { cost }),
      ]
      expect.assert(shadowed.allowed)
      expect(shadowed.wouldRefuse?.reason).toBe(decided.allowed ? undefined : decided.reason)
      // What would be refused takes nothing.
      const left = (await tried.peek(subject)).map(({ remaining }) => remaining)
      expect(left).toEqual((await inForce.peek(other)).map(({ remaining }) => remaining))
    }
  })

  it('gives a receipt that gives back nothing where nothing was taken', async () => {
    const subject = someone()
    const limiter = limiterOf({ shadow: true })
    await limiter.consume(subject, { cost: 3 })
    const over = await limiter.consume(subject)
    expect.assert(over.allowed && over.wouldRefuse !== undefined)
    expect(over.receipt.costs).toEqual({ bucket: 0, log: 0 })
    expect(await limiter.refund(over.receipt)).toBe(false)
    expect(await limiter.release(over.receipt)).toBe(false)
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 0 }, { remaining: 97 }])
  })

  it('lets in who is blocked, and what no limit would ever give', async () => {
    const subject = someone()
    const limiter = limiterOf({ shadow: true })
    await limiter.block(subject, { forMs: 60_000 })
    expect(await limiter.consume(subject)).toMatchObject({
      allowed: true,
      wouldRefuse: { reason: 'blocked' },
    })
    expect(await limiter.consume(subject, { cost: 1000 })).toMatchObject({
      allowed: true,
      wouldRefuse: { reason: 'exceeds-capacity', violated: ['bucket', 'log'] },
    })
  })

  it('has nobody wait for longer than its deadline, whatever Redis and what is asked before it do', async () => {
    const heard: unknown[] = []
    const never = new Promise<never>(() => {})
    // Not even the deadline of a call is kept there.
    const silent: RedisPort = {
      ...port,
      breaker: () => ({ state: 'closed' }),
      call: () => never,
      onEachPrimary: () => never,
    }
    const limiter = limiterOf({ shadow: true, deadlineMs: 40, onError: (error) => heard.push(error) }, silent)
    const startedAt = performance.now()
    expect(await limiter.consume(someone())).toMatchObject({ allowed: true, decidedBy: 'policy' })
    expect(performance.now() - startedAt).toBeLessThan(1000)
    expect(heard).toHaveLength(1)
    // One that waits for its decision waits for as long as that takes.
    const naive = limiterOf({ deadlineMs: 40, evictionCheck: 'off' }, silent).consume(someone())
    const first = await Promise.race([
      naive,
      new Promise((resolve) => setTimeout(resolve, 140, 'still waits')),
    ])
    expect(first).toBe('still waits')
  })

  it('lets in what cannot be decided, but not who has given up', async () => {
    const away: RedisPort = {
      ...port,
      breaker: () => ({ state: 'closed' }),
      call: () => Promise.reject(new Error('away')),
      onEachPrimary: () => Promise.reject(new Error('away')),
    }
    const limiter = limiterOf({ shadow: true }, away)
    expect(await limiter.consume(someone())).toMatchObject({
      allowed: true,
      wouldRefuse: { reason: 'unavailable' },
    })
    const signal = AbortSignal.abort(new Error('gave up'))
    await expect(limiter.consume(someone(), { signal })).rejects.toThrow('gave up')
  })

  it('is heard and measured apart from those in force', async () => {
    const events: Events['slotwise:ratelimit'][] = []
    const measured: (readonly [string, number, unknown])[] = []
    const hear = (event: unknown) => void events.push(event as Events['slotwise:ratelimit'])
    subscribe('slotwise:ratelimit', hear)
    const stop = measure((metric, value, labels) => measured.push([metric, value, labels]), {
      perNode: false,
    })
    const subject = someone()
    const limiter = limiterOf({ shadow: true })
    await limiter.consume(subject, { cost: 3 })
    measured.length = 0
    await limiter.consume(subject)
    stop()
    unsubscribe('slotwise:ratelimit', hear)
    expect(events).toMatchObject([
      { outcome: 'allowed', wouldRefuse: undefined, violated: [] },
      { outcome: 'allowed', wouldRefuse: 'limited', violated: ['bucket'] },
    ])
    const ours = measured.filter(([metric]) => metric.startsWith('slotwise.ratelimit'))
    expect(ours).toEqual([
      ['slotwise.ratelimit.decision.duration', expect.any(Number), { name: 'tried', outcome: 'allowed' }],
      ['slotwise.ratelimit.shadow.refusals', 1, { name: 'tried', outcome: 'limited' }],
      ['slotwise.ratelimit.shadow.violations', 1, { name: 'tried', tier: 'bucket' }],
    ])
    // No label holds a key or an id.
    expect(JSON.stringify(ours)).not.toContain(subject)
  })
})

describe('topLimited', () => {
  it('tells who was refused most, also of tenants, also by what this process remembers', async () => {
    const [often, once, never] = [someone(), someone(), someone()]
    const limiter = limiterOf({ refusals: {} })
    const acme = limiter.forTenant('acme')
    for (const one of [often, once, never]) {
      await limiter.consume(one, { cost: 3 })
      await acme.consume(one, { cost: 3 })
    }
    for (let i = 0; i < 5; i++) await acme.consume(often)
    for (let i = 0; i < 3; i++) await limiter.consume(often)
    await limiter.consume(once)
    const told = limiter.topLimited().map(({ key, atLeast, atMost }) => {
      const read = readKey(key)
      expect(atLeast).toBe(atMost)
      return [
        read?.tenant?.hashed === false ? read.tenant.words : undefined,
        read?.id.hashed === false ? read.id.words[0] : undefined,
        atLeast,
      ]
    })
    expect(told).toEqual([
      ['acme', often, 5],
      [undefined, often, 3],
      [undefined, once, 1],
    ])
    expect(limiter.topLimited(1)).toHaveLength(1)
    // Of a process, and of one limiter.
    expect(limiterOf().topLimited()).toEqual([])
  })

  it('counts whom limits that are only tried would refuse', async () => {
    const subject = someone()
    const limiter = limiterOf({
      shadow: true,
      tiers: { bucket: tiers.bucket, log: concurrency({ max: 1, ttlMs: 60_000 }) },
    })
    await limiter.consume(subject)
    await limiter.consume(subject)
    expect(limiter.topLimited()).toMatchObject([{ atLeast: 1 }])
  })
})
