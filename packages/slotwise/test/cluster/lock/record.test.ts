import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Locks, Semaphore } from '../../../src/lock/index.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'
import { twoPorts } from '../../support/any-port.js'
import { waitingFor } from '../../support/lock-record.js'

const name = 'record'
const ttlMs = 5000
let port: RedisPort
let ports: readonly RedisPort[]
let locks: Locks
beforeAll(async () => {
  ports = await twoPorts({ namespace: 'test' })
  port = ports[0] as RedisPort
  locks = new Locks(port, { name, quarantine: false })
})
afterAll(() => Promise.all(ports.map((one) => one.close())))

const keyOfLock = (resource: string): Key => keyOf({ namespace: 'test', pattern: 'lock', name }, resource)
const waits = (resource: string, count: number) =>
  vi.waitFor(async () => expect(await waitingFor(port, keyOfLock(resource))).toBe(count), { interval: 2 })

describe('whoever waits for ever', () => {
  it.each([1e13, Number.MAX_SAFE_INTEGER])(
    'has its turn, and spoils it for nobody (%d ms)',
    async (waitMs) => {
      const resource = randomUUID()
      const first = await locks.acquire(resource, { ttlMs })
      const second = locks.acquire(resource, { ttlMs, waitMs })
      await waits(resource, 1)
      const third = locks.acquire(resource, { ttlMs, waitMs: 10_000 })
      await waits(resource, 2)
      await first.release()
      expect(await (await second).release()).toBe(true)
      expect(await (await third).release()).toBe(true)
    },
  )

  it('leaves the lock as it was when it gives up', async () => {
    const resource = randomUUID()
    const first = await locks.acquire(resource, { ttlMs })
    const giving = new AbortController()
    const second = locks.acquire(resource, { ttlMs, waitMs: Number.MAX_SAFE_INTEGER, signal: giving.signal })
    await waits(resource, 1)
    giving.abort(new Error('enough'))
    await expect(second).rejects.toThrow('enough')
    await waits(resource, 0)
    expect(await first.release()).toBe(true)
    expect((await locks.tryAcquire(resource, { ttlMs })).acquired).toBe(true)
  })

  it('has its turn at a semaphore too', async () => {
    const permits = new Semaphore(port, { name, permits: 1, quarantine: false })
    const resource = randomUUID()
    const first = await permits.acquire(resource, { ttlMs })
    const second = permits.acquire(resource, { ttlMs, waitMs: 1e13 })
    const key = keyOf({ namespace: 'test', pattern: 'semaphore', name }, resource)
    await vi.waitFor(async () =>
      expect(String(await port.call({ key, command: ['HGET', key, 'q'] }))).toHaveLength(39),
    )
    await first.release()
    expect(await (await second).release()).toBe(true)
  })
})

it('a lock whose expiry somebody took away is nobody else’s when one gives up its place', async () => {
  const resource = randomUUID()
  const key = keyOfLock(resource)
  const first = await locks.acquire(resource, { ttlMs })
  const giving = new AbortController()
  const second = locks.acquire(resource, { ttlMs, waitMs: 10_000, signal: giving.signal })
  await waits(resource, 1)
  expect(await port.call({ key, command: ['PERSIST', key] })).toBe(1)
  giving.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  await waits(resource, 0)
  const leftMs = Number(await port.call({ key, command: ['PTTL', key] }))
  expect(leftMs).toBeGreaterThan(ttlMs / 2)
  expect(await locks.tryAcquire(resource, { ttlMs })).toMatchObject({ reason: 'busy' })
  expect(await first.release()).toBe(true)
})

describe('a name whose setting of the quarantine is another, once nobody knows the one before', () => {
  it.each([
    ['begins', false],
    ['ends', true],
  ])(
    'gives larger tokens after a record of before, by a clock that stands still, when it %s',
    async (_, before) => {
      const clock = new TestClock()
      const memory = new MemoryRedis({ clock })
      const made = (quarantine: boolean) =>
        new Locks(memory.connect({ namespace: 'n' }), { name, quarantine, maxTtlMs: 2000 })
      const tokens: bigint[] = []
      const refusals = new Set<string>()
      const take = async (from: Locks) => {
        const lock = await vi.waitFor(async () => {
          const outcome = await from.tryAcquire('x', { ttlMs: 1000 })
          if (outcome.acquired) return outcome.lock
          refusals.add(outcome.reason)
          clock.advance(500)
          throw new Error(outcome.reason)
        })
        tokens.push(lock.token)
        return lock
      }
      const earlier = made(before)
      const held = await take(earlier)
      // Who waits keeps the record for longer than the lock lasts, and gives up.
      const giving = new AbortController()
      const waiting = earlier.acquire('x', { ttlMs: 1000, waitMs: 60_000, signal: giving.signal })
      const one = memory.connect({ namespace: 'n' })
      const key = keyOf({ namespace: 'n', pattern: 'lock', name }, 'x')
      await vi.waitFor(async () => expect(await waitingFor(one, key)).toBe(1), { interval: 2 })
      giving.abort(new Error('enough'))
      await expect(waiting).rejects.toThrow('enough')
      await vi.waitFor(async () => expect(await waitingFor(one, key)).toBe(0), { interval: 2 })
      clock.advance(1000)
      expect(held.token).toBe(tokens[0])
      for (const { id } of one.topology().nodes) {
        const [, keys] = (await one.onNode(id, ['SCAN', '0', 'COUNT', 1000])) as readonly [
          string,
          readonly string[],
        ]
        for (const known of keys) if (known.includes('longest')) await one.onNode(id, ['DEL', known])
      }
      const later = made(!before)
      for (let i = 0; i < 3; i++) await (await take(later)).release()
      expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => (a < b ? -1 : 1)))
      expect([...refusals].filter((reason) => reason !== 'quarantined')).toEqual([])
    },
  )
})
