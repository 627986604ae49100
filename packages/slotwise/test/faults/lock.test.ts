import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  LockLostError,
  LockUnavailableError,
  OutcomeUnknownError,
  RedisUnavailableError,
} from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { Locks } from '../../src/lock/index.js'
import { RateLimiter, tokenBucket } from '../../src/ratelimit/index.js'
import { keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'

/** Some resource whose lock lives on the primary with that index. */
function resourceOn(
  cluster: LocalCluster,
  port: RedisPort,
  index: number,
  pattern: 'lock' | 'ratelimit',
): string {
  for (let i = 0; ; i++) {
    const key = keyOf({ namespace: '', pattern, name: 'faults' }, `r${i}`)
    if (port.topology().ownerOf(slotOf(key))?.port === cluster.nodes[index]?.port) return `r${i}`
  }
}

describe('a primary that hangs', () => {
  let cluster: LocalCluster
  let port: RedisPort
  const heard: unknown[] = []
  // No election while the node hangs: what is tested is what a holder knows without Redis.
  beforeAll(async () => {
    cluster = await startLocalCluster({ nodeTimeoutMs: 15_000 })
    port = await connect({ ...cluster.connectOptions, commandTimeoutMs: 500 })
  })
  afterAll(async () => {
    await port.close()
    await cluster.stop()
  })

  it('does not keep a holder from knowing that its time is over', async () => {
    const locks = new Locks(port, {
      name: 'faults',
      maxTtlMs: 20_000,
      quarantine: false,
      onError: (error) => heard.push(error),
    })
    const resource = resourceOn(cluster, port, 0, 'lock')
    const lock = await locks.acquire(resource, { ttlMs: 1000 })
    const loop = monitorEventLoopDelay({ resolution: 1 })
    loop.enable()
    await sleep(200)
    await cluster.pause(0)
    try {
      const failed = lock.extend().catch((error: unknown) => error)
      const deadline = performance.now() + lock.remainingMs()
      const abortedAt = await new Promise<number>((resolve) => {
        lock.signal.addEventListener('abort', () => resolve(performance.now()), { once: true })
      })
      loop.disable()
      console.log(
        `signal ${(abortedAt - deadline).toFixed(1)} ms after the deadline, event loop at most ${(loop.max / 1e6).toFixed(1)} ms late`,
      )
      expect(abortedAt - deadline).toBeLessThan(10 + loop.max / 1e6)
      expect(await failed).toSatisfy(
        (error) => error instanceof OutcomeUnknownError || error instanceof LockLostError,
      )
      expect(() => lock.assertHeld()).toThrow(LockLostError)
      const from = performance.now()
      expect(await lock.release()).toBe(false)
      expect(performance.now() - from).toBeLessThan(1000)
    } finally {
      await cluster.resume(0)
    }
  })

  it('makes a lock unavailable and not busy, and what it granted unheard is given back', async () => {
    const locks = new Locks(port, {
      name: 'faults',
      maxTtlMs: 20_000,
      quarantine: false,
      onError: (error) => heard.push(error),
    })
    const resource = resourceOn(cluster, port, 0, 'lock')
    await vi.waitFor(async () => (await locks.acquire(resource, { ttlMs: 1000 })).release(), {
      timeout: 10_000,
    })
    await cluster.pause(0)
    const from = performance.now()
    // The request lies in the hung server's socket, and will be executed when it goes on.
    await expect(locks.acquire(resource, { ttlMs: 20_000, waitMs: 0 })).rejects.toThrow(LockUnavailableError)
    expect(performance.now() - from).toBeLessThan(2000)
    await cluster.resume(0)
    await using lock = await vi.waitFor(() => locks.acquire(resource, { ttlMs: 1000, waitMs: 1000 }), {
      timeout: 10_000,
    })
    expect(lock.remainingMs()).toBeGreaterThan(0)
  })

  it('costs a limiter its own deadline and no more', async () => {
    const limiter = new RateLimiter(port, {
      name: 'faults',
      tiers: { bucket: tokenBucket({ capacity: 10, refillPerSecond: 1 }) },
      whenUnavailable: 'allow',
      deadlineMs: 50,
    })
    const subject = resourceOn(cluster, port, 0, 'ratelimit')
    await limiter.consume(subject)
    await cluster.pause(0)
    try {
      const loop = monitorEventLoopDelay({ resolution: 1 })
      loop.enable()
      const from = performance.now()
      const decision = await limiter.consume(subject)
      const tookMs = performance.now() - from
      loop.disable()
      expect(decision).toMatchObject({ allowed: true, decidedBy: 'policy' })
      expect('cause' in decision && decision.cause).toSatisfy(
        (error) => error instanceof OutcomeUnknownError || error instanceof RedisUnavailableError,
      )
      expect(tookMs).toBeLessThan(100 + loop.max / 1e6)
    } finally {
      await cluster.resume(0)
    }
  })
})
