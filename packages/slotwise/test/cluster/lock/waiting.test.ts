import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ClosedError, LockBusyError } from '../../../src/errors.js'
import { type Lock, Locks } from '../../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { twoPorts } from '../../support/any-port.js'
import { letWait, waitingFor } from '../../support/lock-record.js'
import { portWith } from '../../support/port-with.js'

let ports: readonly RedisPort[]
let several: readonly Locks[]
beforeAll(async () => {
  ports = await twoPorts({ namespace: 'test' })
  several = ports.map((port) => new Locks(port, { name: 'line', quarantine: false }))
})
afterAll(() => Promise.all(ports.map((port) => port.close())))

const locksOf = (process: number): Locks => several[process % several.length] as Locks
const keyOfLock = (resource: string) => keyOf({ namespace: 'test', pattern: 'lock', name: 'line' }, resource)
const lineOf = (resource: string): Promise<number> => waitingFor(ports[0] as RedisPort, keyOfLock(resource))
/** Waits in line, and resolves once it has its place there. */
async function waiter(resource: string, process: number, options = {}): Promise<{ lock: Promise<Lock> }> {
  const before = await lineOf(resource)
  const lock = locksOf(process).acquire(resource, { ttlMs: 5000, waitMs: 20_000, ...options })
  lock.catch(() => {})
  await vi.waitFor(async () => expect(await lineOf(resource)).toBe(before + 1), { interval: 2 })
  return { lock }
}

describe('those who wait for a lock', () => {
  it('get it in the order in which they came, whatever their process', async () => {
    const resource = randomUUID()
    const first = await locksOf(0).acquire(resource, { ttlMs: 5000 })
    const served: number[] = []
    const all: Promise<unknown>[] = []
    for (let i = 0; i < 12; i++) {
      const { lock } = await waiter(resource, i)
      const serve = async (held: Lock) => {
        served.push(i)
        await held.release()
      }
      all.push(lock.then(serve))
    }
    await first.release()
    await Promise.all(all)
    expect(served).toEqual(Array.from({ length: 12 }, (_, i) => i))
  })

  it('are woken by the release, and do not ask meanwhile', async () => {
    const resource = randomUUID()
    let asked = 0
    const counting = portWith(ports[0] as RedisPort, {
      call: (...[call, options]: Parameters<RedisPort['call']>) => {
        if ('script' in call && call.script.name === 'lock/acquire') asked++
        return (ports[0] as RedisPort).call(call, options)
      },
    })
    await using locks = new Locks(counting, { name: 'line', quarantine: false })
    const holder = await locksOf(1).acquire(resource, { ttlMs: 5000 })
    const waiting = Array.from({ length: 8 }, () =>
      locks.using(resource, { ttlMs: 5000, waitMs: 20_000 }, async () => {}),
    )
    await vi.waitFor(async () => expect(await lineOf(resource)).toBe(8))
    // Each once to get a place, and once more as soon as the channel is heard.
    await vi.waitFor(() => expect(asked).toBe(16))
    await vi.waitFor(async () => expect(await holder.extend()).toBeUndefined())
    expect(asked).toBe(16)
    const from = performance.now()
    await holder.release()
    await Promise.all(waiting)
    // One request for each that gets it.
    expect(asked).toBe(24)
    expect(performance.now() - from).toBeLessThan(1000)
  })

  it('come before whoever asks later, also where the holder’s time ran out', async () => {
    const resource = randomUUID()
    await locksOf(0).acquire(resource, { ttlMs: 150 })
    const { lock } = await waiter(resource, 0)
    let refusals = 0
    const until = performance.now() + 100
    while (performance.now() < until) {
      const barging = await locksOf(1).tryAcquire(resource, { ttlMs: 5000 })
      expect(barging.acquired).toBe(false)
      refusals++
    }
    expect(refusals).toBeGreaterThan(1)
    expect(await (await lock).release()).toBe(true)
  })

  it('that are gone are passed over after a second each, and those whose wait is over at once', async () => {
    const resource = randomUUID()
    const holder = await locksOf(0).acquire(resource, { ttlMs: 5000 })
    // One that waits no more, and a process that died in the line.
    const others = { late: Date.now() - 1000, dead: Date.now() + 60_000 }
    await letWait(ports[0] as RedisPort, keyOfLock(resource), others)
    const waiting = locksOf(1).acquire(resource, { ttlMs: 5000, waitMs: 20_000 })
    await vi.waitFor(async () => expect(await lineOf(resource)).toBe(3))
    const from = performance.now()
    await holder.release()
    const next = await waiting
    const tookMs = performance.now() - from
    expect(tookMs).toBeGreaterThan(950)
    expect(tookMs).toBeLessThan(2000)
    await next.release()
  })

  it('leave the line when they give up, and cost those behind them nothing', async () => {
    const resource = randomUUID()
    const holder = await locksOf(0).acquire(resource, { ttlMs: 5000 })
    const controller = new AbortController()
    const aborted = await waiter(resource, 0, { signal: controller.signal })
    await expect(locksOf(0).acquire(resource, { ttlMs: 5000, waitMs: 20 })).rejects.toThrow(LockBusyError)
    const { lock } = await waiter(resource, 1)
    controller.abort(new Error('enough'))
    await expect(aborted.lock).rejects.toThrow('enough')
    await vi.waitFor(async () => expect(await lineOf(resource)).toBe(1))
    const from = performance.now()
    await holder.release()
    await (await lock).release()
    expect(performance.now() - from).toBeLessThan(2000)
  })

  it('leave the line too when their locks are closed', async () => {
    const resource = randomUUID()
    const locks = new Locks(ports[0] as RedisPort, { name: 'line', quarantine: false })
    const holder = await locksOf(1).acquire(resource, { ttlMs: 5000 })
    const waiting = locks.acquire(resource, { ttlMs: 5000, waitMs: 10_000 })
    waiting.catch(() => {})
    await vi.waitFor(async () => expect(await lineOf(resource)).toBe(1))
    await locks.close()
    await expect(waiting).rejects.toThrow(ClosedError)
    await vi.waitFor(async () => expect(await lineOf(resource)).toBe(0))
    await holder.release()
  })

  it('get it though every message is lost, when the holder’s time is over', async () => {
    const resource = randomUUID()
    const deaf = portWith(ports[0] as RedisPort, {
      subscribe: async (...[, listener]: Parameters<RedisPort['subscribe']>) => {
        listener.resumed?.()
        return { isLive: true, close: async () => {}, [Symbol.asyncDispose]: async () => {} }
      },
    })
    await using locks = new Locks(deaf, { name: 'line', quarantine: false })
    await locksOf(1).acquire(resource, { ttlMs: 200 })
    const lock = await locks.acquire(resource, { ttlMs: 5000, waitMs: 10_000 })
    expect(await lock.release()).toBe(true)
  })

  it('ask at times of their own where no channel can be heard', async () => {
    const resource = randomUUID()
    const mute = portWith(ports[0] as RedisPort, {
      subscribe: () => Promise.reject(new Error('no right to channels')),
    })
    await using locks = new Locks(mute, { name: 'line', quarantine: false })
    const holder = await locksOf(1).acquire(resource, { ttlMs: 5000 })
    const waiting = locks.acquire(resource, { ttlMs: 5000, waitMs: 10_000 })
    await vi.waitFor(async () => expect(await lineOf(resource)).toBe(1))
    const from = performance.now()
    await holder.release()
    await (await waiting).release()
    expect(performance.now() - from).toBeLessThan(1500)
  })

  it('tell who holds it, if the holder says so', async () => {
    const resource = randomUUID()
    const holder = await locksOf(0).acquire(resource, { ttlMs: 5000, holder: 'host-7' })
    await expect(locksOf(1).acquire(resource, { ttlMs: 5000, waitMs: 0 })).rejects.toMatchObject({
      code: 'LOCK_BUSY',
      holder: 'host-7',
    })
    expect(await locksOf(1).tryAcquire(resource, { ttlMs: 5000 })).toMatchObject({
      reason: 'busy',
      holder: 'host-7',
    })
    await holder.release()
    await using next = await locksOf(0).acquire(resource, { ttlMs: 5000 })
    expect(next.resource).toBe(resource)
    expect(await locksOf(1).tryAcquire(resource, { ttlMs: 5000 })).toMatchObject({ holder: undefined })
  })

  it('do not keep the record for longer, however often it changes hands', async () => {
    const resource = randomUUID()
    const key = keyOfLock(resource)
    const first = await locksOf(0).acquire(resource, { ttlMs: 5000 })
    const kept: number[] = []
    const all: Promise<unknown>[] = []
    for (let i = 0; i < 5; i++) {
      const { lock } = await waiter(resource, i)
      const serve = async (held: Lock) => {
        kept.push(Number(await (ports[0] as RedisPort).call({ key, command: ['PTTL', key] })))
        await held.release()
      }
      all.push(lock.then(serve))
    }
    await first.release()
    await Promise.all(all)
    expect(kept).toHaveLength(5)
    // The time of a lock, and a minute for its token.
    expect(Math.max(...kept)).toBeLessThanOrEqual(65_000)
  })

  it('leave nothing behind: no record, and nobody who listens', async () => {
    const resource = randomUUID()
    await using locks = new Locks(ports[0] as RedisPort, { name: 'swept', maxTtlMs: 50, quarantine: true })
    const key = keyOf({ namespace: 'test', pattern: 'lock', name: 'swept' }, resource)
    await vi.waitFor(async () => (await locks.acquire(resource, { ttlMs: 50 })).release(), { timeout: 5000 })
    expect(await (ports[0] as RedisPort).call({ key, command: ['EXISTS', key] })).toBe(0)
  })
})
