import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { OutcomeUnknownError } from '../../../src/errors.js'
import { connect } from '../../../src/ioredis/index.js'
import {
  concurrency,
  fixedWindow,
  RateLimiter,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { type ProxiedNodes, proxied } from '../../../src/testing/faults/index.js'

const DAY = 86_400_000
const LIMIT = 10
/** None of which gives anything back by itself while a test runs. */
const TIERS: Readonly<Record<string, Tier>> = {
  bucket: tokenBucket({ capacity: LIMIT, refillPerSecond: 0.001 }),
  steps: tokenBucket({ capacity: LIMIT, refill: { tokens: LIMIT, everyMs: 365 * DAY } }),
  first: fixedWindow({ limit: LIMIT, windowMs: DAY }),
  clock: fixedWindow({ limit: LIMIT, windowMs: 365 * DAY, align: 'clock' }),
  month: fixedWindow({ limit: LIMIT, align: { period: 'month', timeZone: 'Europe/Zurich' } }),
  estimate: slidingWindow({ limit: LIMIT, windowMs: 365 * DAY }),
  strict: slidingWindow({ limit: LIMIT, windowMs: DAY, mode: 'strict' }),
  log: slidingLog({ limit: LIMIT, windowMs: DAY }),
  places: concurrency({ max: LIMIT, ttlMs: DAY }),
}

let wire: ProxiedNodes<{ readonly nodes: readonly string[] }>
let port: RedisPort
beforeAll(async () => {
  wire = await proxied({ nodes: inject('clusterNodes') })
  port = await connect({ ...wire.connectOptions, namespace: 'lost' })
})
afterEach(() => wire.heal())
afterAll(async () => {
  await port.close()
  await wire.close()
})

const allLost = (): number => wire.proxies.reduce((sum, proxy) => sum + proxy.stats().repliesLost, 0)

/** A limiter of that tier, and a subject of which the server has run every script, so that what is lost was done. */
async function world(tier: Tier) {
  const limiter = new RateLimiter(port, {
    name: 'lost',
    tiers: { tier },
    whenUnavailable: 'deny',
    deadlineMs: 10_000,
  })
  const subject = randomUUID()
  const first = await limiter.consume(subject)
  expect.assert(first.allowed)
  await limiter.refund(first.receipt)
  const before = allLost()
  return {
    limiter,
    subject,
    /** How much is taken. */
    taken: async () => LIMIT - ((await limiter.peek(subject))[0]?.remaining ?? 0),
    /** Loses the next answers of the subject's server to scripts. */
    losing: (count: number) => {
      for (const proxy of wire.proxies) proxy.loseReplies(count, { command: 'EVALSHA' })
    },
    lost: () => allLost() - before,
  }
}
/** More than a port repeats. */
const ALL = 100

describe.each(Object.entries(TIERS))('where answers are lost on the way, of %s', (_, tier) => {
  it('a request with a key takes once, repeated by the limiter', async () => {
    const { limiter, subject, taken, losing, lost } = await world(tier)
    losing(2)
    const decision = await limiter.consume(subject, { cost: 3, idempotencyKey: 'x' })
    expect(decision).toMatchObject({ allowed: true, decidedBy: 'redis', tiers: [{ remaining: LIMIT - 3 }] })
    expect(lost()).toBe(2)
    expect(await taken()).toBe(3)
  })

  it('a request with a key takes once, repeated by a caller that heard nothing', async () => {
    const { limiter, subject, taken, losing } = await world(tier)
    const ask = () => limiter.consume(subject, { cost: 3, idempotencyKey: 'x' })
    losing(ALL)
    expect(await ask()).toMatchObject({ allowed: false, reason: 'unavailable' })
    await wire.heal()
    const decision = await ask()
    expect.assert(decision.allowed)
    expect(await taken()).toBe(3)
    expect(await limiter.refund(decision.receipt)).toBe(true)
    expect(await taken()).toBe(0)
  })

  it('one without takes for each time it is asked, which is why the limiter does not repeat it', async () => {
    const { limiter, subject, taken, losing, lost } = await world(tier)
    losing(1)
    expect(await limiter.consume(subject, { cost: 3 })).toMatchObject({ reason: 'unavailable' })
    expect([lost(), await taken()]).toEqual([1, 3])
    expect(await limiter.consume(subject, { cost: 3 })).toMatchObject({ allowed: true })
    expect(await taken()).toBe(6)
  })

  it('a refund gives back once, repeated by the limiter and by the caller', async () => {
    const { limiter, subject, taken, losing, lost } = await world(tier)
    await limiter.consume(subject, { cost: 4 })
    const decision = await limiter.consume(subject, { cost: 2 })
    expect.assert(decision.allowed)
    losing(1)
    expect(await limiter.refund(decision.receipt)).toBe(true)
    expect([lost(), await taken()]).toEqual([1, 4])

    const other = await limiter.consume(subject, { cost: 2 })
    expect.assert(other.allowed)
    losing(ALL)
    await expect(limiter.refund(other.receipt)).rejects.toThrow(OutcomeUnknownError)
    await wire.heal()
    expect(await limiter.refund(other.receipt)).toBe(true)
    expect(await taken()).toBe(4)
  })
})

// What is under way has no cost that is known afterwards.
describe.each(Object.entries(TIERS).filter(([name]) => name !== 'places'))(
  'where answers are lost on the way, of %s',
  (_, tier) => {
    it('a settlement makes what was reserved the true cost, once', async () => {
      const { limiter, subject, taken, losing, lost } = await world(tier)
      await limiter.consume(subject, { cost: 1 })
      const [dear, cheap] = [
        await limiter.reserve(subject, { cost: 2 }),
        await limiter.reserve(subject, { cost: 3 }),
      ]
      expect.assert(dear.allowed && cheap.allowed)
      losing(1)
      await limiter.settle(dear.receipt, { cost: 4 })
      losing(1)
      await limiter.settle(cheap.receipt, { cost: 1 })
      expect([lost(), await taken()]).toEqual([2, 1 + 4 + 1])
    })
  },
)
