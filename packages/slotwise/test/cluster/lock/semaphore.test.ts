import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ClosedError, ConfigurationError, LockBusyError, LockLostError } from '../../../src/errors.js'
import { type Lock, Semaphore } from '../../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { twoPorts } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'
import { naiveLeave, naivePermit } from './naive.js'

let ports: readonly [RedisPort, RedisPort]
let three: Semaphore
beforeAll(async () => {
  ports = await twoPorts({ namespace: 'test' })
  three = semaphoreOf(3)
})
afterAll(() => Promise.all(ports.map((port) => port.close())))

const semaphoreOf = (permits: number, process: 0 | 1 = 0) =>
  new Semaphore(ports[process], { name: 'test', permits, quarantine: false })
const keyOfPermits = (resource: string) =>
  keyOf({ namespace: 'test', pattern: 'semaphore', name: 'test' }, resource)
const fieldOf = async (resource: string, field: 'o' | 'q'): Promise<string> => {
  const key = keyOfPermits(resource)
  return String((await ports[0].call({ key, command: ['HGET', key, field] })) ?? '')
}
const lineOf = async (resource: string) => (await fieldOf(resource, 'q')).length / 39

describe('a semaphore', () => {
  it('lets no more in at a time than there are permits, whatever their process, and all of them in the end', async () => {
    const resource = randomUUID()
    let inside = 0
    let most = 0
    const tokens: bigint[] = []
    const one = async (_: unknown, i: number) =>
      semaphoreOf(3, i % 2 === 0 ? 0 : 1).using(
        resource,
        { ttlMs: 20_000, waitMs: 30_000 },
        async ({ token }) => {
          tokens.push(token)
          most = Math.max(most, ++inside)
          await sleep(Math.random() * 3)
          inside--
        },
      )
    await Promise.all(Array.from({ length: 40 }, one))
    expect(most).toBe(3)
    expect(new Set(tokens).size).toBe(40)
    const key = keyOfPermits(resource)
    expect(await fieldOf(resource, 'o')).toBe('')
    // Its largest token is kept in it, where no marker does.
    expect(await ports[0].call({ key, command: ['HKEYS', key] })).toEqual(['h'])
  })

  it('gets back what a holder that died had, unlike a counter, which never does', async () => {
    const resource = randomUUID()
    const counter = keyOf({ namespace: 'test', pattern: 'semaphore', name: 'naive' }, resource)
    for (let i = 0; i < 3; i++) {
      await three.acquire(resource, { ttlMs: 700 })
      expect(await naivePermit(ports[0], counter, 3)).toBe(true)
    }
    // Nobody releases, as after a crash.
    expect(await three.tryAcquire(resource, { ttlMs: 700 })).toMatchObject({ reason: 'busy' })
    const permit = await three.acquire(resource, { ttlMs: 1000, waitMs: 20_000 })
    expect(permit.remainingMs()).toBeGreaterThan(0)
    expect(await naivePermit(ports[0], counter, 3)).toBe(false)
    await naiveLeave(ports[0], counter)
    expect(await naivePermit(ports[0], counter, 3)).toBe(true)
  })

  it('gives every permit a token above all before it, also after the first to come was the last to go', async () => {
    const resource = randomUUID()
    const held = await Promise.all([1, 2, 3].map(() => three.acquire(resource, { ttlMs: 5000 })))
    const largest = held.reduce((most, { token }) => (token > most ? token : most), 0n)
    await held[1]?.release()
    const next = await three.acquire(resource, { ttlMs: 5000 })
    expect(next.token).toBeGreaterThan(largest)
    await Promise.all([...held, next].map((one) => one.release()))
  })

  it('serves those who wait in the order in which they came, and wakes as many as there is room for', async () => {
    const resource = randomUUID()
    const held = await Promise.all([1, 2, 3].map(() => three.acquire(resource, { ttlMs: 20_000 })))
    const served: number[] = []
    const waiting: Promise<Lock>[] = []
    for (let i = 0; i < 6; i++) {
      const permit = semaphoreOf(3, i % 2 === 0 ? 0 : 1).acquire(resource, { ttlMs: 20_000, waitMs: 30_000 })
      waiting.push(permit)
      void permit.then(() => served.push(i))
      await vi.waitFor(async () => expect(await lineOf(resource)).toBe(i + 1), { interval: 2 })
    }
    // Whoever comes later does not pass them.
    await held[0]?.release()
    await waiting[0]
    expect(await semaphoreOf(3).tryAcquire(resource, { ttlMs: 1000 })).toMatchObject({ reason: 'busy' })
    await Promise.all([held[1]?.release(), held[2]?.release()])
    await Promise.all([waiting[1], waiting[2]])
    expect(new Set(served)).toEqual(new Set([0, 1, 2]))
    for (let i = 3; i < 6; i++) {
      await (await waiting[i - 3])?.release()
      await waiting[i]
      expect(served.slice(3)).toEqual(Array.from({ length: i - 2 }, (_, at) => at + 3))
    }
    await Promise.all(waiting.slice(3).map(async (one) => (await one).release()))
  })

  it('does not keep its record for longer, however often a permit changes hands', async () => {
    const resource = randomUUID()
    const key = keyOfPermits(resource)
    const one = semaphoreOf(1)
    const first = await one.acquire(resource, { ttlMs: 5000 })
    const kept: number[] = []
    const all: Promise<unknown>[] = []
    for (let i = 0; i < 5; i++) {
      const serve = async () => {
        kept.push(Number(await ports[0].call({ key, command: ['PTTL', key] })))
      }
      all.push(one.using(resource, { ttlMs: 5000, waitMs: 20_000 }, serve))
      await vi.waitFor(async () => expect(await lineOf(resource)).toBe(i + 1), { interval: 2 })
    }
    await first.release()
    await Promise.all(all)
    expect(kept).toHaveLength(5)
    // The time of a permit, and a minute for its token.
    expect(Math.max(...kept)).toBeLessThanOrEqual(65_000)
  })

  it('is asked once for each who gets in, and not while all are taken', async () => {
    const resource = randomUUID()
    let asked = 0
    const counting = portWith(ports[0], {
      call: (call, options) => {
        if ('script' in call && call.script.name === 'lock/permits/acquire') asked++
        return ports[0].call(call, options)
      },
    } satisfies Partial<RedisPort>)
    await using one = new Semaphore(counting, { name: 'test', permits: 1, quarantine: false })
    const holder = await semaphoreOf(1).acquire(resource, { ttlMs: 20_000 })
    const waiting = Array.from({ length: 5 }, () =>
      one.using(resource, { ttlMs: 20_000, waitMs: 30_000 }, async () => {}),
    )
    // Once for a place, and once more as soon as the channel is heard.
    await vi.waitFor(() => expect(asked).toBe(10))
    await holder.extend()
    expect(asked).toBe(10)
    await holder.release()
    await Promise.all(waiting)
    expect(asked).toBe(15)
  })

  it('is as exact about a permit’s deadline as a lock, and never brings one back', async () => {
    const resource = randomUUID()
    const one = semaphoreOf(1)
    const late = await one.acquire(resource, { ttlMs: 500 })
    await vi.waitFor(() => expect(late.signal.aborted).toBe(true), { interval: 2 })
    expect(() => late.assertHeld()).toThrow(LockLostError)
    const next = await one.acquire(resource, { ttlMs: 20_000, waitMs: 20_000 })
    await expect(late.extend()).rejects.toThrow(LockLostError)
    expect(await late.release()).toBe(false)
    next.assertHeld()
    await next.extend(10_000)
    expect(await one.tryAcquire(resource, { ttlMs: 1000 })).toMatchObject({ acquired: false })
    expect(await next.release()).toBe(true)
  })

  it('extends a permit by itself, until it is released', async () => {
    const resource = randomUUID()
    const one = semaphoreOf(1)
    const permit = await one.acquire(resource, { ttlMs: 500, maxHoldMs: 60_000 })
    await expect(one.acquire(resource, { ttlMs: 500, waitMs: 1200 })).rejects.toThrow(LockBusyError)
    expect(await permit.release()).toBe(true)
    await (await one.acquire(resource, { ttlMs: 500, waitMs: 0 })).release()
  })

  it('hears at the next extension that a permit was taken away', async () => {
    const resource = randomUUID()
    const permit = await three.acquire(resource, { ttlMs: 20_000 })
    const key = keyOfPermits(resource)
    await ports[0].call({ key, command: ['DEL', key] })
    await expect(permit.extend()).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'taken' })
  })
})

describe('another number of permits', () => {
  it('is refused while a resource is in use, and counts when it is not', async () => {
    const resource = randomUUID()
    const held = await semaphoreOf(2).acquire(resource, { ttlMs: 20_000 })
    const other = semaphoreOf(5)
    await expect(other.acquire(resource, { ttlMs: 1000 })).rejects.toThrow(ConfigurationError)
    await expect(other.tryAcquire(resource, { ttlMs: 1000 })).rejects.toThrow(/another number of permits, 2/)
    await held.release()
    await (await other.acquire(resource, { ttlMs: 1000 })).release()
  })

  it('is raised by resize: those who wait get in, and the former number is refused', async () => {
    const resource = randomUUID()
    const one = semaphoreOf(1)
    const held = await one.acquire(resource, { ttlMs: 20_000 })
    const waiting = one.acquire(resource, { ttlMs: 20_000, waitMs: 20_000 })
    await vi.waitFor(async () => expect(await lineOf(resource)).toBe(1), { interval: 2 })
    expect(await semaphoreOf(2, 1).resize(resource)).toBe(true)
    // It was called, and comes with the former number.
    await expect(waiting).rejects.toThrow(ConfigurationError)
    // It gives back what was kept for it.
    await vi.waitFor(async () => expect(await fieldOf(resource, 'o')).toHaveLength(55))
    await (await semaphoreOf(2, 1).acquire(resource, { ttlMs: 5000, waitMs: 5000 })).release()
    held.assertHeld()
    await held.extend()
    expect(await held.release()).toBe(true)
  })

  it('is lowered by resize: nobody loses a permit, and none is given until fewer are held', async () => {
    const resource = randomUUID()
    const held = await Promise.all([1, 2, 3].map(() => three.acquire(resource, { ttlMs: 20_000 })))
    const two = semaphoreOf(2)
    expect(await two.resize(resource)).toBe(true)
    for (const one of held) await one.extend()
    await held[0]?.release()
    expect(await two.tryAcquire(resource, { ttlMs: 1000 })).toMatchObject({ reason: 'busy' })
    await held[1]?.release()
    await (await two.acquire(resource, { ttlMs: 1000 })).release()
    await held[2]?.release()
    expect(await two.resize(resource)).toBe(false)
  })
})

describe('settings of a semaphore', () => {
  it.each([0, -1, 1.5, 1001, Number.NaN])('refuse %s permits', (permits) => {
    expect(() => semaphoreOf(permits)).toThrow(ConfigurationError)
  })

  it('keep tenants apart, and let nobody in after it was closed', async () => {
    const one = semaphoreOf(1)
    const [a, b] = [one.forTenant('a'), one.forTenant('b')]
    const resource = randomUUID()
    await using first = await a.acquire(resource, { ttlMs: 5000 })
    await using second = await b.acquire(resource, { ttlMs: 5000, waitMs: 0 })
    expect(first.key).not.toBe(second.key)
    await one.close()
    await expect(a.acquire(resource, { ttlMs: 5000 })).rejects.toThrow(ClosedError)
    await expect(one.resize(resource)).rejects.toThrow(ClosedError)
  })
})
