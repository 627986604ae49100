import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ConfigurationError, LockBusyError, LockLostError } from '../../../src/errors.js'
import { type Lock, Locks } from '../../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'
import { settled, VirtualTime } from '../../support/virtual-clocks.js'

const space = { namespace: 'test', pattern: 'lock', name: 'held' }
let port: RedisPort
let locks: Locks
const heard: unknown[] = []
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
  const onError = (error: unknown) => void heard.push(error)
  locks = new Locks(port, { name: 'held', quarantine: false, onError })
})
afterAll(() => port.close())

/** When its signal has aborted; fails while it has not. */
function endOf(lock: Lock): () => number {
  let at: number | undefined
  lock.signal.addEventListener('abort', () => {
    at = performance.now()
  })
  return () => {
    if (at === undefined) throw new Error('the lock is held still')
    return at
  }
}

const ended = (lock: Lock) =>
  vi.waitFor(() => expect(lock.signal.aborted).toBe(true), { timeout: 5000, interval: 2 })

describe('a lock that extends itself', () => {
  it('is held for longer than it was asked for, until it is released', async () => {
    const resource = randomUUID()
    const from = performance.now()
    const lock = await locks.acquire(resource, { ttlMs: 400, maxHoldMs: 60_000 })
    await expect(locks.acquire(resource, { ttlMs: 150, waitMs: 1000 })).rejects.toThrow(LockBusyError)
    expect(performance.now() - from).toBeGreaterThan(1000)
    lock.assertHeld()
    expect(await lock.release()).toBe(true)
    await (await locks.acquire(resource, { ttlMs: 150, waitMs: 0 })).release()
  })

  it('is held no longer than it was told to', async () => {
    const time = new VirtualTime()
    const inTime = new Locks(port, { name: 'held', quarantine: false }, time.clocks())
    const resource = randomUUID()
    const lock = await inTime.acquire(resource, { ttlMs: 1000, maxHoldMs: 3000 })
    // What was asked for on the way is answered before, since it goes by the same connection.
    const standAt = async (ms: number) => {
      while (time.ms < ms) {
        await time.advance(50)
        await port.call({ key: keyOf(space, resource), command: ['EXISTS', keyOf(space, resource)] })
        await settled()
      }
    }
    await standAt(2900)
    expect(lock.signal.aborted).toBe(false)
    await standAt(3010)
    expect(lock.signal.reason).toMatchObject({ reason: 'expired' })
  })

  it('asks again while Redis does not answer, and is lost at its deadline and not later', async () => {
    let asked = 0
    let isDeaf = false
    const deaf = portWith(port, {
      call: (...[call, options]: Parameters<RedisPort['call']>) => {
        if ('script' in call && call.script.name === 'lock/extend') asked++
        return isDeaf ? Promise.reject(new Error('no answer')) : port.call(call, options)
      },
    })
    const cut = new Locks(deaf, { name: 'held', quarantine: false })
    const lock = await cut.acquire(randomUUID(), { ttlMs: 300, maxHoldMs: 60_000 })
    await vi.waitFor(() => expect(asked).toBeGreaterThan(0), { interval: 1 })
    isDeaf = true
    const before = asked
    // What was under way when it went deaf has ended.
    await vi.waitFor(() => expect(asked).toBeGreaterThan(before), { interval: 1 })
    const deadline = performance.now() + lock.remainingMs()
    const endedAt = endOf(lock)
    await sleep(deadline + 10 - performance.now())
    expect(endedAt()).toBeGreaterThan(deadline - 2)
    expect(asked - before).toBeGreaterThan(1)
    const after = asked
    await vi.waitFor(async () => expect(await lock.release()).toBe(false))
    expect(asked).toBe(after)
  })

  it('cannot be told to be held for less than it is asked for, nor for a fraction', async () => {
    for (const maxHoldMs of [99, 0, 1.5, Number.NaN]) {
      await expect(locks.acquire(randomUUID(), { ttlMs: 100, maxHoldMs })).rejects.toThrow(ConfigurationError)
    }
    await expect(locks.acquireAll([], { ttlMs: 100 })).rejects.toThrow(ConfigurationError)
  })

  it('hears at the next extension that it was taken away', async () => {
    const resource = randomUUID()
    const lock = await locks.acquire(resource, { ttlMs: 3000, maxHoldMs: 60_000 })
    const key = keyOf(space, resource)
    await port.call({ key, command: ['DEL', key] })
    await ended(lock)
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'taken' })
  })

  it('takes nothing away, whether what asks for less is answered or not, and executed in time or late', async () => {
    let lose = false
    const late: (() => Promise<unknown>)[] = []
    const slow = portWith(port, {
      call: async (...[call, options]: Parameters<RedisPort['call']>) => {
        if (!lose || !('script' in call && call.script.name === 'lock/extend'))
          return await port.call(call, options)
        late.push(() => port.call(call, options))
        throw new Error('the answer was lost')
      },
    })
    const slowly = new Locks(slow, { name: 'held', quarantine: false })
    const resource = randomUUID()
    const lock = await slowly.acquire(resource, { ttlMs: 2000 })
    lose = true
    await expect(lock.extend(300)).rejects.toThrow('the answer was lost')
    expect(lock.remainingMs()).toBeGreaterThan(1000)
    lose = false
    await lock.extend(5000)
    await lock.extend(300)
    await Promise.all(late.map((execute) => execute()))
    expect(lock.remainingMs()).toBeGreaterThan(4000)
    // The server says the same as the handle.
    const other = await locks.tryAcquire(resource, { ttlMs: 1000 })
    expect.assert(!other.acquired && other.reason === 'busy')
    expect(other.retryAfterMs).toBeGreaterThan(4000)
    expect(await lock.release()).toBe(true)
  })

  it('gives what was asked for at most, in whatever order the answers come', async () => {
    const late: (() => void)[] = []
    const slow = portWith(port, {
      call: async (...[call, options]: Parameters<RedisPort['call']>) => {
        const reply = await port.call(call, options)
        if ('script' in call && call.args[1] === 5000)
          await new Promise<void>((resolve) => late.push(resolve))
        return reply
      },
    })
    const lock = await new Locks(slow, { name: 'held', quarantine: false }).acquire(randomUUID(), {
      ttlMs: 2000,
    })
    const longer = lock.extend(5000)
    await lock.extend(2500)
    expect(lock.remainingMs()).toBeLessThan(2500)
    await vi.waitFor(() => expect(late).toHaveLength(1), { interval: 2 })
    late[0]?.()
    await longer
    expect(lock.remainingMs()).toBeGreaterThan(3000)
    await lock.release()
  })

  it('does not take away what it was given by hand', async () => {
    const lock = await locks.acquire(randomUUID(), { ttlMs: 100, maxHoldMs: 60_000 })
    await lock.extend(5000)
    const from = performance.now()
    await vi.waitFor(() => expect(performance.now() - from).toBeGreaterThan(150))
    expect(lock.remainingMs()).toBeGreaterThan(4000)
    await lock.release()
  })
})

describe('a lock that is handed on', () => {
  it('is held by both, and freed by the outer one', async () => {
    const resource = randomUUID()
    const outer = await locks.acquire(resource, { ttlMs: 5000 })
    {
      await using inner = await locks.acquire(resource, { ttlMs: 5000, within: outer })
      expect(inner.token).toBe(outer.token)
      await inner.extend(4000)
      inner.assertHeld()
    }
    outer.assertHeld()
    expect((await locks.tryAcquire(resource, { ttlMs: 5000 })).acquired).toBe(false)
    const inner = await locks.tryAcquire(resource, { ttlMs: 5000, within: outer })
    expect.assert(inner.acquired)
    await outer.release()
    expect(() => inner.lock.assertHeld()).toThrow(LockLostError)
    expect(inner.lock.remainingMs()).toBe(0)
  })

  it('is refused for another resource, and when it is over', async () => {
    const outer = await locks.acquire(randomUUID(), { ttlMs: 5000 })
    const other = locks.acquire(randomUUID(), { ttlMs: 5000, within: outer })
    await expect(other).rejects.toThrow(ConfigurationError)
    await outer.release()
    await expect(locks.acquire(outer.resource, { ttlMs: 5000, within: outer })).rejects.toThrow(LockLostError)
  })
})

describe('several locks', () => {
  it('are taken without a circle, whatever order they are named in', async () => {
    const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()]
    let inside = 0
    const both = async (resources: readonly string[]) => {
      await using held = await locks.acquireAll(resources, { ttlMs: 5000, waitMs: 20_000 })
      expect(held.locks).toHaveLength(resources.length)
      expect(++inside).toBe(1)
      held.assertHeld()
      await new Promise((resolve) => setImmediate(resolve))
      inside--
    }
    await Promise.all([both([a, b, c]), both([c, b, a]), both([b, a]), both([c, a]), both([b, c])])
  })

  it('are all given back when one is not to be had', async () => {
    const [a, b] = [randomUUID(), randomUUID()]
    const busy = await locks.acquire(b, { ttlMs: 5000 })
    await expect(locks.acquireAll([a, b], { ttlMs: 5000, waitMs: 20 })).rejects.toThrow(LockBusyError)
    await (await locks.acquire(a, { ttlMs: 5000, waitMs: 0 })).release()
    await busy.release()
  })

  it('are over when the first of them is', async () => {
    const [a, b] = [randomUUID(), randomUUID()]
    const held = await locks.acquireAll([a, b, a], { ttlMs: 2000 })
    expect(held.locks).toHaveLength(2)
    expect(held.remainingMs()).toBeLessThan(2000)
    await held.locks[0]?.extend(4000)
    expect(held.remainingMs()).toBeLessThan(2000)
    await held.extend(4000)
    expect(held.remainingMs()).toBeGreaterThan(2000)
    const key = keyOf(space, b)
    await port.call({ key, command: ['DEL', key] })
    await expect(held.extend()).rejects.toThrow(LockLostError)
    expect(held.signal.aborted).toBe(true)
    expect(() => held.assertHeld()).toThrow(LockLostError)
    expect(await held.release()).toBe(false)
  })
})
