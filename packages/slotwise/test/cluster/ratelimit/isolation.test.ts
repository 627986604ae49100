import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Decision, RateLimiter, slidingWindow, tokenBucket } from '../../../src/ratelimit/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: 'isolation' })
})
afterAll(() => port.close())

const CAPACITY = 20
const ASKED = 2 * CAPACITY

/** So slow that nothing comes back meanwhile: what is decided depends on what was asked, and not on when. */
const limiterOf = () =>
  new RateLimiter(port, {
    name: randomUUID(),
    tiers: {
      burst: tokenBucket({ capacity: CAPACITY, refillPerSecond: 0.001 }),
      day: slidingWindow({ limit: 1000, windowMs: 86_400_000 }),
    },
    whenUnavailable: 'deny',
    deadlineMs: 5000,
  })
type Limiter = ReturnType<typeof limiterOf>

const outline = (decision: Decision) => ({
  allowed: decision.allowed,
  violated: 'violated' in decision ? decision.violated : [],
  remaining: 'tiers' in decision ? decision.tiers.map(({ name, remaining }) => [name, remaining]) : [],
})

/** One after the other. */
async function asked(limiter: Limiter, subject: string) {
  const outlines: ReturnType<typeof outline>[] = []
  for (let i = 0; i < ASKED; i++) outlines.push(outline(await limiter.consume(subject)))
  return outlines
}

/** What one tenant is told while another asks as fast as it can, and how much that one was given. */
async function beside(quiet: Limiter, noisy: Limiter) {
  let [isOver, offered, admitted] = [false, 0, 0]
  const worker = async () => {
    do {
      offered++
      if ((await noisy.consume('user')).allowed) admitted++
    } while (!isOver || offered < 10 * ASKED)
  }
  const flood = Array.from({ length: 64 }, worker)
  const outlines = await asked(quiet, 'user')
  isOver = true
  await Promise.all(flood)
  return { outlines, offered, admitted }
}

describe('a tenant', () => {
  it('is decided about as if nobody else asked, however much another one is refused', async () => {
    const limiter = limiterOf()
    const alone = await asked(limiter.forTenant('alone'), 'user')
    expect(alone.filter(({ allowed }) => allowed)).toHaveLength(CAPACITY)
    const { outlines, offered, admitted } = await beside(
      limiter.forTenant('quiet'),
      limiter.forTenant('noisy'),
    )
    expect(outlines).toEqual(alone)
    expect(offered).toBeGreaterThanOrEqual(10 * ASKED)
    expect(admitted).toBe(CAPACITY)
  })

  it('would not be if its users were counted with those of others by their names alone', async () => {
    const limiter = limiterOf()
    const alone = await asked(limiterOf(), 'user')
    const { outlines } = await beside(limiter, limiter)
    expect(outlines).not.toEqual(alone)
  })
})
