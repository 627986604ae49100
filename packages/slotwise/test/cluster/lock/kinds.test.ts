import { beforeEach, describe, expect, it, vi } from 'vitest'
import { LockUnavailableError } from '../../../src/errors.js'
import { Elections, type Lock, Once, ReadWriteLock, Semaphore } from '../../../src/lock/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'

const MAX_MS = 10_000
let clock: TestClock
let redis: MemoryRedis
beforeEach(() => {
  clock = new TestClock()
  redis = new MemoryRedis({ clock })
})

type Take = (waitMs: number) => Promise<Lock>
const options = (waitMs: number) => ({ ttlMs: 5000, waitMs })
const kinds: Readonly<Record<string, () => Take>> = {
  'a permit': () => {
    const one = new Semaphore(redis.connect(), { name: 'k', permits: 1, maxTtlMs: MAX_MS })
    return (waitMs) => one.acquire('a', options(waitMs))
  },
  'a lock to read': () => {
    const one = new ReadWriteLock(redis.connect(), { name: 'k', maxTtlMs: MAX_MS })
    return (waitMs) => one.read('a', options(waitMs))
  },
  'a lock to write': () => {
    const one = new ReadWriteLock(redis.connect(), { name: 'k', maxTtlMs: MAX_MS })
    return (waitMs) => one.write('a', options(waitMs))
  },
}

describe('a server that may have forgotten', () => {
  it.each(Object.entries(kinds))(
    'does not give %s until those are over, and then a larger token',
    async (_, kind) => {
      const take = kind()
      redis.holdReplication()
      const lost = await take(0)
      redis.failOver()
      const refused = take(0)
      await expect(refused).rejects.toThrow(LockUnavailableError)
      await expect(refused).rejects.toMatchObject({ retryAfterMs: MAX_MS })
      clock.advance(MAX_MS - 1)
      await expect(take(0)).rejects.toMatchObject({ retryAfterMs: 1 })
      clock.advance(1)
      const next = await take(0)
      expect(next.token).toBeGreaterThan(lost.token)
      expect(lost.signal.aborted).toBe(false)
      await next.release()
      await expect(lost.extend()).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'taken' })
    },
  )

  it.each(Object.entries(kinds))('goes on extending and freeing %s that it knows', async (_, kind) => {
    const take = kind()
    const held = await take(0)
    redis.failOver()
    await held.extend()
    expect(await held.release()).toBe(true)
  })

  it('runs nothing that others may still run, and gives the results that it knows', async () => {
    const once = new Once<number>(redis.connect(), { name: 'k', ttlMs: MAX_MS, resultTtlMs: 60_000 })
    expect(await once.run('known', async () => 1)).toBe(1)
    redis.failOver()
    expect(await once.run('known', { waitMs: 0 }, async () => 2)).toBe(1)
    const run = () => once.run('other', { waitMs: 0 }, async () => 2)
    await expect(run()).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE', retryAfterMs: MAX_MS })
    clock.advance(MAX_MS)
    expect(await run()).toBe(2)
  })

  it('lets nobody lead until the leader that it may have forgotten has stepped down', async () => {
    // A leader is in office by timers, and they go by no clock of ours.
    const ticking = new MemoryRedis()
    const elections = new Elections(ticking.connect(), { name: 'k', termMs: 600 })
    const leaving = new AbortController()
    ticking.holdReplication()
    const led: { readonly token: bigint; readonly from: number; to: number }[] = []
    const campaign = elections.campaign('a', { signal: leaving.signal }, async ({ token, signal }) => {
      const office = { token, from: performance.now(), to: Number.POSITIVE_INFINITY }
      led.push(office)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      office.to = performance.now()
    })
    await vi.waitFor(() => expect(led).toHaveLength(1))
    ticking.failOver()
    const forgottenAt = performance.now()
    await vi.waitFor(() => expect(led).toHaveLength(2), { timeout: 10_000 })
    const [first, second] = led
    expect.assert(first !== undefined && second !== undefined)
    expect(second.from - forgottenAt).toBeGreaterThan(590)
    expect(second.from).toBeGreaterThan(first.to)
    expect(second.token).toBeGreaterThan(first.token)
    leaving.abort()
    await campaign
  })
})
