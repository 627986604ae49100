import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { failover } from '../../src/cluster/index.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import {
  concurrency,
  fixedWindow,
  RateLimiter,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../src/ratelimit/index.js'
import { keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { type SkewedServers, skewed } from '../../src/testing/faults/index.js'

let cluster: LocalCluster
let real: RedisPort
/** Of each primary its replica, and the other way round: the two take turns. */
const partners = new Map<string, string>()
beforeAll(async () => {
  // Nodes vote for a successor of the same primary once in twice that time.
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
  real = await connect(cluster.connectOptions)
  for (const { id, role } of real.topology().nodes) {
    const [replica] = role === 'primary' ? real.topology().replicasOf(id) : []
    if (replica !== undefined) partners.set(id, replica.id).set(replica.id, id)
  }
}, 60_000)
afterAll(async () => {
  await real.close()
  await cluster.stop()
})
beforeEach(() => cluster.whenHealthy(), 40_000)

// So long that nothing comes back, and no record ends, by what time a test takes: clocks are moved on instead.
const WINDOW = 30 * 86_400_000
const LIMIT = 5

/** With the longest that each lets wait, in windows. */
const TIERS: Readonly<Record<string, readonly [Tier, number]>> = {
  bucket: [tokenBucket({ capacity: LIMIT, refillPerSecond: (1000 * LIMIT) / WINDOW }), 1],
  steps: [tokenBucket({ capacity: LIMIT, refill: { tokens: LIMIT, everyMs: WINDOW } }), 1],
  first: [fixedWindow({ limit: LIMIT, windowMs: WINDOW }), 1],
  clock: [fixedWindow({ limit: LIMIT, windowMs: WINDOW, align: 'clock' }), 1],
  month: [fixedWindow({ limit: LIMIT, align: { period: 'month', timeZone: 'Europe/Zurich' } }), 1.1],
  // A count of the window before still counts in the whole of the next.
  estimate: [slidingWindow({ limit: LIMIT, windowMs: WINDOW }), 2],
  strict: [slidingWindow({ limit: LIMIT, windowMs: WINDOW, mode: 'strict', parts: 10 }), 1.1],
  log: [slidingLog({ limit: LIMIT, windowMs: WINDOW }), 1],
  places: [concurrency({ max: LIMIT, ttlMs: WINDOW }), 1],
}

/** A subject of all of these limits, whose server's successor has a clock that is off by so much. */
function world(skewMs: number) {
  const servers: SkewedServers = skewed(real)
  const subject = randomUUID()
  const slot = slotOf(keyOf({ namespace: '', pattern: 'ratelimit', name: 'any' }, subject))
  const owner = () => {
    const found = real.topology().ownerOf(slot)
    expect.assert(found)
    return found
  }
  const first = owner()
  const second = partners.get(first.id) ?? ''
  const off = new Map([
    [first.id, 0],
    [second, skewMs],
  ])
  const setClocks = () => {
    for (const [id, ms] of off) servers.skew(ms, id)
  }
  setClocks()
  const limiterOf = (name: string, tier: Tier) =>
    new RateLimiter(servers.port, { name, tiers: { tier }, whenUnavailable: 'deny', deadlineMs: 10_000 })
  const limiters = Object.entries(TIERS).map(([name, [tier, windows]]) => ({
    name,
    windows,
    limiter: limiterOf(name, tier),
    blocking: limiterOf(`${name}-blocked`, tier),
  }))
  return {
    subject,
    limiters,
    /** The other of the two takes over, and nothing that was written is lost: only the clock is another. */
    failOver: async () => {
      const { id, host, port } = owner()
      await failover({ nodes: cluster.connectOptions.nodes, from: `${host}:${port}` })
      // Who asks the one that was replaced hears of the other at once.
      const look = async () => {
        await limiters[0]?.limiter.peek(subject)
        return owner().id
      }
      await expect.poll(look, { timeout: 20_000 }).not.toBe(id)
      await cluster.whenHealthy()
    },
    /** Time passes, by the clock of the server. */
    advance: (ms: number) => {
      const { id } = owner()
      off.set(id, (off.get(id) ?? 0) + ms)
      setClocks()
    },
    /** How many of more requests than there is room for each limit lets in. */
    admitted: async () => {
      const counts: Record<string, number> = {}
      for (const { name, limiter } of limiters) {
        const asked = Array.from({ length: 2 * LIMIT }, () => limiter.consume(subject))
        counts[name] = (await Promise.all(asked)).filter(({ allowed }) => allowed).length
      }
      return counts
    },
  }
}
type World = ReturnType<typeof world>

const every = (count: number) => Object.fromEntries(Object.keys(TIERS).map((name) => [name, count]))
const CLOCKS = [
  ['behind by three windows', -3.3],
  ['behind by less than a window', -0.4],
  ['ahead by less than a window', 0.4],
  ['ahead by three windows', 3.3],
] as const

/** Whoever is refused is let in no later than a window from now, at the moment that he is told, and not much earlier. */
async function expectNoLockout({ limiters, subject, advance }: World): Promise<void> {
  const waits: { readonly name: string; readonly limiter: RateLimiter<'tier'>; readonly ms: number }[] = []
  for (const { name, windows, limiter } of limiters) {
    const refusal = await limiter.consume(subject, { cost: LIMIT })
    expect.assert(!refusal.allowed && 'retryAfterMs' in refusal, name)
    if (refusal.retryAfterMs > windows * WINDOW) expect.fail(`${name}: ${refusal.retryAfterMs} ms`)
    waits.push({ name, limiter, ms: refusal.retryAfterMs })
  }
  const early = 60_000
  let now = 0
  for (const { name, limiter, ms } of waits.toSorted((a, b) => a.ms - b.ms)) {
    if (ms - early > now) {
      advance(ms - early - now)
      now = ms - early
      expect({ name, ...(await limiter.consume(subject, { cost: LIMIT })) }).toMatchObject({
        name,
        allowed: false,
      })
    }
    if (ms > now) advance(ms - now)
    now = Math.max(now, ms)
    expect({ name, ...(await limiter.consume(subject, { cost: LIMIT })) }).toMatchObject({
      name,
      allowed: true,
    })
  }
}

describe.each(CLOCKS)('a failover to a server whose clock is %s', { timeout: 60_000 }, (_, windows) => {
  it('and back to the first gives one window more at most, and then lets nobody wait for longer than one', async () => {
    const stage = world(windows * WINDOW)
    expect(await stage.admitted()).toEqual(every(LIMIT))
    await stage.failOver()
    const then = await stage.admitted()
    // A step back gives nothing a second time; one over whole windows gives each limit anew, or it was none.
    if (windows < 0) expect(then).toEqual(every(0))
    if (windows > 2) expect(then).toEqual(every(LIMIT))
    await stage.failOver()
    const last = await stage.admitted()
    const over = Object.keys(TIERS).filter((name) => (then[name] ?? 0) + (last[name] ?? 0) > LIMIT)
    expect(over).toEqual([])
    await expectNoLockout(stage)
  })

  it('lets nobody wait for longer than a window, and no block last longer', async () => {
    const stage = world(windows * WINDOW)
    const { limiters, subject, failOver, admitted } = stage
    await admitted()
    await Promise.all(
      limiters.map(async ({ blocking }) => {
        await blocking.consume(subject)
        await blocking.block(subject, { forMs: WINDOW })
      }),
    )
    await failOver()
    await admitted()
    const outcomes = await Promise.all(limiters.map(({ blocking }) => blocking.consume(subject)))
    const waits = outcomes.map((outcome) => ('retryAfterMs' in outcome ? outcome.retryAfterMs : 0))
    if (windows < 0) expect(Math.min(...waits)).toBeGreaterThan(0)
    expect(Math.max(...waits)).toBeLessThanOrEqual(WINDOW)
    await expectNoLockout(stage)
  })
})
