import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ClosedError, LockBusyError, LockLostError } from '../../../src/errors.js'
import { type Lock, ReadWriteLock } from '../../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { twoPorts } from '../../support/any-port.js'
import { NaiveReadWrite } from './naive.js'

let ports: readonly [RedisPort, RedisPort]
let several: readonly [ReadWriteLock, ReadWriteLock]
beforeAll(async () => {
  ports = await twoPorts({ namespace: 'test' })
  const lockOf = (port: RedisPort) => new ReadWriteLock(port, { name: 'test', quarantine: false })
  several = [lockOf(ports[0]), lockOf(ports[1])]
})
afterAll(() => Promise.all(ports.map((port) => port.close())))

const keyOfLock = (resource: string) =>
  keyOf({ namespace: 'test', pattern: 'rwlock', name: 'test' }, resource)
const lineOf = async (resource: string): Promise<number> => {
  const key = keyOfLock(resource)
  return String((await ports[0].call({ key, command: ['HGET', key, 'q'] })) ?? '').length / 39
}
/** Asks, and resolves once it has its place in the line. */
async function inLine(resource: string, ask: () => Promise<Lock>): Promise<{ readonly lock: Promise<Lock> }> {
  const before = await lineOf(resource)
  const lock = ask()
  lock.catch(() => {})
  await vi.waitFor(async () => expect(await lineOf(resource)).toBe(before + 1), { interval: 2 })
  return { lock }
}
const long = { ttlMs: 20_000, waitMs: 30_000 }

describe('a lock for many readers and one writer', () => {
  it('lets many read together, and a writer alone', async () => {
    const resource = randomUUID()
    let reading = 0
    let writing = 0
    let mostReading = 0
    const read = async () => {
      mostReading = Math.max(mostReading, ++reading)
      expect(writing).toBe(0)
      await sleep(Math.random() * 5)
      reading--
    }
    const write = async () => {
      expect(++writing).toBe(1)
      expect(reading).toBe(0)
      await sleep(Math.random() * 3)
      expect(reading).toBe(0)
      writing--
    }
    const one = async (_: unknown, i: number) => {
      const lock = several[i % 2 === 0 ? 0 : 1]
      return i % 5 === 0 ? lock.usingWrite(resource, long, write) : lock.usingRead(resource, long, read)
    }
    await Promise.all(Array.from({ length: 40 }, one))
    expect(mostReading).toBeGreaterThan(1)
  })

  it('does not let readers pass a writer who waits, however many come', async () => {
    const resource = randomUUID()
    const [here, there] = several
    let reader = await here.read(resource, long)
    const { lock: writer } = await inLine(resource, () => there.write(resource, long))
    for (let i = 0; i < 20; i++) {
      const passing = await here.tryRead(resource, { ttlMs: 5000 })
      expect(passing).toMatchObject({ acquired: false, reason: 'busy' })
    }
    await reader.release()
    await (await writer).release()
    reader = await here.read(resource, long)
    await reader.release()
  })

  it('does better than the textbook’s, under which a writer waits for as long as readers come', async () => {
    const key = keyOf({ namespace: 'test', pattern: 'rwlock', name: 'naive' }, randomUUID())
    const naive = new NaiveReadWrite(ports[0], key)
    await naive.read()
    // Each comes before the one before it goes: there is always one.
    for (let i = 0; i < 20; i++) {
      await naive.read()
      await naive.endRead()
      expect(await naive.mayWrite()).toBe(false)
    }
  })

  it('serves kinds in the order of asking: readers between two writers go in together', async () => {
    const resource = randomUUID()
    const [here, there] = several
    const first = await here.write(resource, long)
    const one = await inLine(resource, () => here.read(resource, long))
    const two = await inLine(resource, () => there.read(resource, long))
    const last = await inLine(resource, () => there.write(resource, long))
    const late = await inLine(resource, () => here.read(resource, long))
    await first.release()
    const [a, b] = await Promise.all([one.lock, two.lock])
    let isWriting = false
    void last.lock.then(() => {
      isWriting = true
    })
    await a.release()
    await b.extend()
    expect(isWriting).toBe(false)
    await b.release()
    const writer = await last.lock
    expect(writer.token).toBeGreaterThan(a.token)
    expect(writer.token).toBeGreaterThan(b.token)
    await writer.release()
    const reader = await late.lock
    expect(reader.token).toBeGreaterThan(writer.token)
    await reader.release()
  })

  it('lets readers in as soon as the writer before them gives up', async () => {
    const resource = randomUUID()
    const [here, there] = several
    const reader = await here.read(resource, long)
    const controller = new AbortController()
    const writer = await inLine(resource, () => there.write(resource, { ...long, signal: controller.signal }))
    const behind = await inLine(resource, () => there.read(resource, long))
    const from = performance.now()
    controller.abort(new Error('enough'))
    await expect(writer.lock).rejects.toThrow('enough')
    await (await behind.lock).release()
    // Not when the first reader's time is over.
    expect(performance.now() - from).toBeLessThan(10_000)
    await reader.release()
  })

  it('lets a writer in when readers have died, each at its own time', async () => {
    const resource = randomUUID()
    const [here, there] = several
    const dead = await here.read(resource, { ttlMs: 500 })
    const slow = await here.read(resource, { ttlMs: 900 })
    const writer = await there.write(resource, long)
    expect(dead.signal.aborted).toBe(true)
    expect(slow.signal.aborted).toBe(true)
    await expect(slow.extend()).rejects.toThrow(LockLostError)
    expect(await here.tryRead(resource, { ttlMs: 1000 })).toMatchObject({ acquired: false })
    expect(await writer.release()).toBe(true)
  })

  it('extends readers apart: the one that does keeps a writer out, the one that does not is over', async () => {
    const resource = randomUUID()
    const [here, there] = several
    const over = await here.read(resource, { ttlMs: 500 })
    const kept = await here.read(resource, { ttlMs: 900, maxHoldMs: 60_000 })
    await expect(there.write(resource, { ttlMs: 1000, waitMs: 2000 })).rejects.toThrow(LockBusyError)
    expect(over.signal.aborted).toBe(true)
    kept.assertHeld()
    await kept.release()
    await (await there.write(resource, { ttlMs: 1000, waitMs: 0 })).release()
  })

  it('tells who writes, if the writer says so', async () => {
    const resource = randomUUID()
    const [here, there] = several
    const writer = await here.write(resource, { ttlMs: 5000, holder: 'host-7' })
    expect(await there.tryRead(resource, { ttlMs: 1000 })).toMatchObject({ holder: 'host-7' })
    expect(await there.tryWrite(resource, { ttlMs: 1000 })).toMatchObject({ holder: 'host-7' })
    await writer.release()
    await using reader = await here.read(resource, { ttlMs: 5000, holder: 'host-8' })
    expect(reader.resource).toBe(resource)
    // One of many does not speak for all.
    expect(await there.tryWrite(resource, { ttlMs: 1000 })).toMatchObject({ holder: undefined })
  })

  it('still tells who writes when somebody who waited has given up', async () => {
    const resource = randomUUID()
    const writing = await several[0].write(resource, { ...long, holder: 'the importer' })
    const leaving = new AbortController()
    const { lock } = await inLine(resource, () =>
      several[1].read(resource, { ...long, signal: leaving.signal }),
    )
    leaving.abort(new Error('enough'))
    await expect(lock).rejects.toThrow('enough')
    await vi.waitFor(async () => expect(await lineOf(resource)).toBe(0), { interval: 2 })
    expect(await several[1].tryRead(resource, { ttlMs: 100 })).toMatchObject({ holder: 'the importer' })
    await writing.release()
  })

  it('says that a body was not protected to its end, and keeps tenants apart', async () => {
    const [here] = several
    const lost = here.usingWrite(randomUUID(), { ttlMs: 400 }, async ({ signal }) => {
      await vi.waitFor(() => expect(signal.aborted).toBe(true), { interval: 2 })
    })
    await expect(lost).rejects.toThrow(LockLostError)
    const resource = randomUUID()
    await using one = await here.forTenant('a').write(resource, { ttlMs: 5000 })
    await using other = await here.forTenant('b').write(resource, { ttlMs: 5000, waitMs: 0 })
    expect(one.key).not.toBe(other.key)
    const closed = new ReadWriteLock(ports[0], { name: 'closed' })
    await closed.close()
    await expect(closed.read(resource, { ttlMs: 100 })).rejects.toThrow(ClosedError)
  })
})
