import { randomUUID } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  ClosedError,
  ConfigurationError,
  LockBusyError,
  LockLostError,
  LockUnavailableError,
} from '../../../src/errors.js'
import acquireSource from '../../../src/lock/acquire.lua.js'
import { type Lock, Locks } from '../../../src/lock/index.js'
import { defineScript, keyOf, type RedisPort, type Reply } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { rounds } from '../../support/budget.js'
import { withFakeClock } from '../../support/fake-clock.js'
import { upFor } from '../../support/up-for.js'
import { FencedResource } from './fenced.js'
import { naiveAcquire, naiveRelease } from './naive.js'

let port: RedisPort
let locks: Locks
const heard: unknown[] = []
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
  locks = new Locks(port, { name: 'test', maxTtlMs: 5000, onError: (error) => heard.push(error) })
  await upFor(port, 5)
}, 30_000)
afterAll(() => port.close())

const something = () => randomUUID()
const keyOfLock = (resource: string) => keyOf({ namespace: 'test', pattern: 'lock', name: 'test' }, resource)
const until = (condition: () => boolean) =>
  vi.waitFor(() => expect(condition()).toBe(true), { interval: 1, timeout: 5000 })
const aborted = (lock: Lock) => until(() => lock.signal.aborted)
/** When, on the monotonic clock, and how late the event loop may have been until then: it may be late more than once. */
async function abortOf(lock: Lock): Promise<{ readonly at: number; readonly lateMs: number }> {
  const loop = monitorEventLoopDelay({ resolution: 1 })
  loop.enable()
  const at = await new Promise<number>((resolve) => {
    lock.signal.addEventListener('abort', () => resolve(performance.now()), { once: true })
  })
  // What it was kept from by others is noted at its next turns.
  await sleep(5)
  loop.disable()
  return { at, lateMs: (3 * loop.max) / 1e6 }
}

describe('Locks', () => {
  it('lets one of many contenders in at a time, and every one of them in the end', async () => {
    const resource = something()
    let inside = 0
    let most = 0
    const one = async () =>
      locks.using(resource, { ttlMs: 5000, waitMs: 20_000 }, async () => {
        most = Math.max(most, ++inside)
        await sleep(Math.random() * 3)
        inside--
      })
    await Promise.all(Array.from({ length: 64 }, one))
    expect(most).toBe(1)
  })

  it('gives every holder a larger token, across releases, expiry and a lock that was forgotten', async () => {
    const resource = something()
    const tokens: bigint[] = []
    const take = async () => {
      // The longest that a request for it may take, too.
      const lock = await locks.acquire(resource, { ttlMs: 150, waitMs: 2000 })
      tokens.push(lock.token)
      return lock
    }
    await (await take()).release()
    await take()
    await (await take()).release()
    await port.call({ key: keyOfLock(resource), command: ['DEL', keyOfLock(resource)] })
    await (await take()).release()
    expect(tokens).toEqual(tokens.toSorted((a, b) => (a < b ? -1 : 1)))
    expect(new Set(tokens).size).toBe(4)
  })

  it('tells who is turned away how long the holder may still stay', async () => {
    const resource = something()
    await using lock = await locks.acquire(resource, { ttlMs: 1000 })
    expect(lock.remainingMs()).toBeGreaterThan(900)
    const refusal = await locks.tryAcquire(resource, { ttlMs: 1000 })
    expect.assert(!refusal.acquired && refusal.reason === 'busy')
    expect(refusal.retryAfterMs).toBeGreaterThan(0)
    expect(refusal.retryAfterMs).toBeLessThanOrEqual(1000)
    await expect(locks.acquire(resource, { ttlMs: 1000, waitMs: 30 })).rejects.toThrow(LockBusyError)
  })

  it('gets a lock whose holder is gone as soon as its time is over', async () => {
    const resource = something()
    await locks.acquire(resource, { ttlMs: 100 })
    const before = performance.now()
    await using lock = await locks.acquire(resource, { ttlMs: 1000, waitMs: 5000 })
    expect(lock.token).toBeGreaterThan(0n)
    expect(performance.now() - before).toBeLessThan(2000)
  })

  it('tells the holder within 10 ms that its time is over', async () => {
    const lock = await locks.acquire(something(), { ttlMs: 200 })
    const deadline = performance.now() + lock.remainingMs()
    const { at, lateMs } = await abortOf(lock)
    expect(at - deadline).toBeLessThan(10 + lateMs)
    expect(lock.remainingMs()).toBe(0)
    expect(() => lock.assertHeld()).toThrow(LockLostError)
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'expired' })
  })

  it('is over for its holder before it is free for others', async () => {
    const resource = something()
    const lock = await locks.acquire(resource, { ttlMs: 300 })
    const next = await locks.acquire(resource, { ttlMs: 1000, waitMs: 5000 })
    expect(lock.signal.aborted).toBe(true)
    await next.release()
  })

  it('is over when the wall clock says so, though the monotonic one stood still', async () => {
    const lock = await locks.acquire(something(), { ttlMs: 5000 })
    const now = Date.now()
    const clock = vi.spyOn(Date, 'now').mockReturnValue(now + 10_000)
    try {
      expect(lock.remainingMs()).toBe(0)
      expect(() => lock.assertHeld()).toThrow(LockLostError)
    } finally {
      clock.mockRestore()
    }
    await lock.release()
  })

  it.each(['signal', 'extension'])(
    'tells by its %s within 10 ms that a clock was set past its end',
    async (by) => {
      const lock = await locks.acquire(something(), { ttlMs: 5000 })
      const now = Date.now()
      const from = performance.now()
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => now + 60_000 + (performance.now() - from))
      const told = abortOf(lock)
      try {
        if (by === 'extension') await expect(lock.extend()).rejects.toThrow(LockLostError)
        const { at, lateMs } = await told
        expect(at - from).toBeLessThan(10 + lateMs)
      } finally {
        clock.mockRestore()
      }
      await lock.release()
    },
  )

  it.each([
    ['set back: by the other one', -60_000, 300],
    ['set forward: by that one', 4000, 4300],
  ])('ends by the clock that says so first where one is %s', async (_, stepMs, ttlMs) => {
    const lock = await locks.acquire(something(), { ttlMs })
    const apartMs = Date.now() - performance.now() + stepMs
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => Math.floor(apartMs + performance.now()))
    try {
      const deadline = performance.now() + lock.remainingMs()
      expect(lock.remainingMs()).toBeLessThanOrEqual(300)
      lock.assertHeld()
      const { at, lateMs } = await abortOf(lock)
      expect(at).toBeGreaterThan(deadline - 3)
      expect(at - deadline).toBeLessThan(10 + lateMs)
    } finally {
      clock.mockRestore()
    }
    await lock.release()
  })

  it('tells within 10 ms of the event loop running again that its time went by meanwhile', async () => {
    const lock = await locks.acquire(something(), { ttlMs: 150 })
    // Called as soon as the loop runs again, or as late as a busy machine calls all.
    const runsAgain = sleep(200)
    const blockedUntil = performance.now() + 300
    while (performance.now() < blockedUntil) continue
    await runsAgain
    await sleep(10)
    expect(lock.signal.aborted).toBe(true)
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'expired' })
    await lock.release()
  })

  it('counts the time anew when it is extended', async () => {
    const lock = await locks.acquire(something(), { ttlMs: 300 })
    await sleep(200)
    await lock.extend()
    expect(lock.remainingMs()).toBeGreaterThan(200)
    await sleep(150)
    lock.assertHeld()
    await lock.extend(1000)
    expect(lock.remainingMs()).toBeGreaterThan(900)
    await lock.release()
  })

  it('never brings back a lock whose time is over, nor frees the next holder’s', async () => {
    const resource = something()
    const late = await locks.acquire(resource, { ttlMs: 30 })
    const next = await locks.acquire(resource, { ttlMs: 5000, waitMs: 2000 })
    await expect(late.extend()).rejects.toThrow(LockLostError)
    expect(await late.release()).toBe(false)
    next.assertHeld()
    expect(await locks.tryAcquire(resource, { ttlMs: 100 })).toMatchObject({
      acquired: false,
      reason: 'busy',
    })
    expect(await next.release()).toBe(true)
  })

  it('learns at the next extension that the lock was taken away', async () => {
    const resource = something()
    const lock = await locks.acquire(resource, { ttlMs: 5000 })
    await port.call({ key: keyOfLock(resource), command: ['DEL', keyOfLock(resource)] })
    await expect(lock.extend()).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'taken' })
    expect(lock.signal.aborted).toBe(true)
  })

  it('is free after a release, which may be called again', async () => {
    const resource = something()
    const lock = await locks.acquire(resource, { ttlMs: 5000 })
    expect(await lock.release()).toBe(true)
    expect(await lock.release()).toBe(true)
    expect(lock.signal.aborted).toBe(false)
    await expect(lock.extend()).rejects.toMatchObject({ reason: 'released' })
    const next = await locks.tryAcquire(resource, { ttlMs: 1000 })
    expect(next.acquired).toBe(true)
  })

  it('releases after the body whatever happens, and keeps the body’s own error', async () => {
    const resource = something()
    const broken = locks.using(resource, { ttlMs: 5000 }, async () => {
      throw new Error('the body')
    })
    await expect(broken).rejects.toThrow('the body')
    expect(await locks.using(resource, { ttlMs: 5000, waitMs: 0 }, async () => 7)).toBe(7)
  })

  it('says that a body was not protected to its end', async () => {
    const body = locks.using(something(), { ttlMs: 200 }, async (lock) => aborted(lock))
    await expect(body).rejects.toThrow(LockLostError)
  })

  it('reports at the end of a block that the lock was lost in it', async () => {
    const before = heard.length
    {
      await using lock = await locks.acquire(something(), { ttlMs: 200 })
      await aborted(lock)
    }
    expect(heard.slice(before)).toMatchObject([{ code: 'LOCK_LOST' }])
  })

  it('keeps tenants apart whose resources have the same name', async () => {
    const [a, b] = [locks.forTenant(something()), locks.forTenant(something())]
    await using first = await a.acquire('invoice', { ttlMs: 1000 })
    await using second = await b.acquire('invoice', { ttlMs: 1000, waitMs: 0 })
    expect(first.token).not.toBe(second.token)
    expect(await a.tryAcquire('invoice', { ttlMs: 1000 })).toMatchObject({ acquired: false })
  })

  it('says that nobody could decide, rather than that it is busy, when Redis cannot be asked', async () => {
    const away = await anyPort()
    await away.close()
    const cut = new Locks(away, { name: 'test', onError: () => {} })
    expect(await cut.tryAcquire('x', { ttlMs: 100 })).toMatchObject({
      acquired: false,
      reason: 'unavailable',
    })
    await expect(cut.acquire('x', { ttlMs: 100 })).rejects.toThrow(LockUnavailableError)
  })

  it('stops waiting when it is told to', async () => {
    const resource = something()
    await using _ = await locks.acquire(resource, { ttlMs: 5000 })
    const controller = new AbortController()
    const waiting = locks.acquire(resource, { ttlMs: 5000, waitMs: 5000, signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })

  it.each([0, -1, 1.5, 9, Number.NaN, 5001])('refuses a time of %s ms', async (ttlMs) => {
    await expect(locks.acquire(something(), { ttlMs })).rejects.toThrow(ConfigurationError)
  })

  it.each(['', '{}', 'a:b', '\0', '😀', '\ud800', 'x'.repeat(10_000), ['a', 1, 2n] as const])(
    'locks anything',
    async (resource) => {
      await using lock = await locks.acquire(resource, { ttlMs: 1000 })
      expect(lock.resource).toEqual(resource)
    },
  )

  it('gives no lock after it was closed', async () => {
    const closed = new Locks(port, { name: 'closed' })
    await closed.close()
    await expect(closed.acquire('x', { ttlMs: 100 })).rejects.toThrow(ClosedError)
  })
})

describe('acquiring, by a clock of ours', () => {
  const acquire = defineScript(withFakeClock(acquireSource), {
    repeat: 'safe',
    decode: (reply) => (reply as readonly Reply[]).map(String),
  })
  const steps = fc.array(
    fc.record({
      // Milliseconds; a promoted replica's clock may be behind.
      stepMs: fc.integer({ min: -2000, max: 3000 }),
      owner: fc.constantFrom('a', 'b', 'c').map((name) => name.repeat(22)),
      ttlMs: fc.integer({ min: 10, max: 2000 }),
    }),
    { minLength: 20, maxLength: 30 },
  )

  it('never gives two owners overlapping times nor a token twice, whatever the clock does', async () => {
    const holds = fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const key = keyOfLock(something())
        let now = 1_790_000_000_000_000n
        let holder: { readonly owner: string; readonly endsMs: number } | undefined
        let last = 0n
        for (const { stepMs, owner, ttlMs } of history) {
          now += BigInt(stepMs) * 1000n
          const nowMs = Number(now / 1000n)
          const args = {
            owner,
            ttl_ms: ttlMs,
            longest_ms: 0,
            least: 0,
            wait_ms: 0,
            label: '',
            looked: '',
            looked_ms: 0,
            epoch: 0,
            first: '',
          }
          const keys = { lock: key, marker: key }
          const [held, token = '0'] = await acquire.run(port, keys, { ...args, clock_us: String(now) })
          const free = holder === undefined || holder.endsMs <= nowMs
          const expected = free || holder?.owner === owner ? '1' : '0'
          if (held !== expected) throw new Error(`${owner} was told ${held} instead of ${expected}`)
          if (!free) continue
          if (BigInt(token) <= last) throw new Error(`token ${token} is not above ${last}`)
          last = BigInt(token)
          holder = { owner, endsMs: nowMs + ttlMs }
        }
      }),
      { numRuns: rounds(50, 5000) },
    )
    await expect(holds).resolves.toBeUndefined()
  })
})

describe('writes under a lock', () => {
  /** Two holders, the first of which stalls until its time is over and then writes on. */
  async function stalledWriter(
    resource: FencedResource,
    first: { token: bigint },
    second: () => Promise<{ token: bigint }>,
  ) {
    resource.write(first.token, 'first')
    const next = await second()
    resource.write(next.token, 'second')
    resource.write(first.token, 'first')
    return resource.interleaved()
  }

  it('of a holder that stalled are refused once the next one has written', async () => {
    const name = something()
    const first = await locks.acquire(name, { ttlMs: 30 })
    const resource = new FencedResource()
    const second = () => locks.acquire(name, { ttlMs: 5000, waitMs: 5000 })
    expect(await stalledWriter(resource, first, second)).toBe(false)
    expect(resource.refused).toBe(1)
  })

  it('are mixed under the textbook lock, by which this promise is known to be breakable', async () => {
    const key = keyOf({ namespace: 'test', pattern: 'lock', name: 'naive' }, something())
    const owner = await naiveAcquire(port, key, 30)
    expect(owner).toBeTypeOf('string')
    // It has no token, so its writes cannot be told apart.
    const second = async () => {
      while ((await naiveAcquire(port, key, 5000)) === undefined) await sleep(5)
      return { token: 0n }
    }
    expect(await stalledWriter(new FencedResource(), { token: 0n }, second)).toBe(true)
  })

  it('are protected from a release between another’s look and delete, unlike under the textbook lock', async () => {
    const key = keyOf({ namespace: 'test', pattern: 'lock', name: 'naive' }, something())
    const first = (await naiveAcquire(port, key, 40)) ?? ''
    let second: string | undefined
    // The first holder looks, stalls while its time runs out and the second one enters, and then deletes.
    const stalling: RedisPort = Object.assign(Object.create(port) as RedisPort, {
      call: async (...args: Parameters<RedisPort['call']>) => {
        const reply = await port.call(...args)
        while (second === undefined) {
          await sleep(5)
          second = await naiveAcquire(port, key, 5000)
        }
        return reply
      },
    })
    await naiveRelease(stalling, key, first)
    expect(await naiveAcquire(port, key, 5000)).toBeTypeOf('string')
  })
})
