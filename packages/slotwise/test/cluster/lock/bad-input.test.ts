import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError, LockLostError } from '../../../src/errors.js'
import type { Id } from '../../../src/keys.js'
import { type Lock, Locks } from '../../../src/lock/index.js'
import * as scripts from '../../../src/lock/scripts.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { memoryPort } from '../../../src/testing/index.js'
import { anyPort } from '../../support/any-port.js'
import { lockRecord } from '../../support/lock-record.js'

const options = { name: 'input', maxTtlMs: 5000, quarantine: false } as const
let port: RedisPort
const made: { slot: Locks; nodes: Locks } = { slot: undefined as never, nodes: undefined as never }
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
  made.slot = new Locks(port, options)
  const ports = Array.from({ length: 3 }, () => memoryPort({ namespace: 'test' }))
  made.nodes = Locks.redlock(ports, { ...options, nodeTimeoutMs: 1000 })
})
afterAll(() => port.close())

const something = () => randomUUID()
/** The last ones as a program without types gives them. */
const noTimes = [-1, 1.5, -0.5, Number.NaN, Infinity, 2 ** 53, '1000', 1000n, {}, true] as number[]

/** Names that are taken for the same by what trims, folds, normalizes or cuts them off; no two of them are. */
const ALIKE: readonly Id[] = [
  '| |  |\t|\n|\0|\u00a0|\u200b|{|}|{}|{{}}|:|@|%|%20'.split('|'),
  'a|A|a | a|a\0|{a}|a}|{a|a{b}c|\u0430|\uff41|a\u200b|a:|:a|@a|%61'.split('|'),
  '\u00e9|e\u0301|\u1e9b\u0323|\u1e9b|\ufb01|fi|\u0130|i\u0307|\ud800|\ufffd|\udc00'.split('|'),
  ['x'.repeat(128), 'x'.repeat(129), `${'x'.repeat(100_000)}y`, `${'x'.repeat(100_000)}z`],
  [['a', 'b'], 'a:b', ['a', '', 'b'], ['a:', 'b'], ['a', ':b'], ['', ''], ['', '', ''], ['@a', 'b']],
].flat()

describe.each(['slot', 'nodes'] as const)(
  'locks of one %s, asked for with what they are not made for',
  (kind) => {
    it('refuse times that are none, before anything is asked, and hold nothing then', async () => {
      const locks = made[kind]
      const resource = something()
      for (const ttlMs of [...noTimes, 0, 9, 5001, undefined as never]) {
        const asked = [
          locks.acquire(resource, { ttlMs }),
          locks.tryAcquire(resource, { ttlMs }),
          locks.using(resource, { ttlMs }, async () => {}),
          locks.acquireAll([resource], { ttlMs }),
        ]
        for (const one of asked) await expect(one).rejects.toThrow(ConfigurationError)
      }
      const free = await locks.tryAcquire(resource, { ttlMs: 5000 })
      expect(free.acquired).toBe(true)
    })

    it('refuse an extension by times that are none, and are held as before', async () => {
      await using lock = await made[kind].acquire(something(), { ttlMs: 2000 })
      for (const ttlMs of [...noTimes, 0, 9, 5001])
        await expect(lock.extend(ttlMs)).rejects.toThrow(ConfigurationError)
      expect(lock.remainingMs()).toBeLessThanOrEqual(2000)
      await lock.extend(4010)
      expect(lock.remainingMs()).toBeGreaterThan(2000)
      expect(lock.remainingMs()).toBeLessThanOrEqual(4010)
    })

    it('refuse to wait, or to be held, for times that are none', async () => {
      const locks = made[kind]
      const resource = something()
      for (const waitMs of noTimes)
        await expect(locks.acquire(resource, { ttlMs: 1000, waitMs })).rejects.toThrow(ConfigurationError)
      for (const maxHoldMs of [...noTimes, 0, 999])
        await expect(locks.acquire(resource, { ttlMs: 1000, maxHoldMs })).rejects.toThrow(ConfigurationError)
      for (const holder of ['x'.repeat(129), 7 as never, null as never])
        await expect(locks.acquire(resource, { ttlMs: 1000, holder })).rejects.toThrow(ConfigurationError)
      expect(await locks.tryAcquire(resource, { ttlMs: 1000 })).toMatchObject({ acquired: true })
    })

    it('take names that look alike for different locks, and numbers for their digits', async () => {
      const locks = made[kind]
      const run = something()
      const resources: readonly Id[] = ALIKE.map((id) => [run, ...(typeof id === 'string' ? [id] : id)])
      const held: Lock[] = []
      for (const resource of resources) held.push(await locks.acquire(resource, { ttlMs: 5000, waitMs: 0 }))
      expect(new Set(held.map(({ key }) => key)).size).toBe(ALIKE.length)
      for (const resource of resources)
        expect(await locks.tryAcquire(resource, { ttlMs: 1000 })).toMatchObject({ reason: 'busy' })
      // Each is freed alone.
      const [first, ...others] = held as [Lock, ...Lock[]]
      expect(await first.release()).toBe(true)
      for (const lock of others) await lock.extend()
      expect(await Promise.all(others.map((lock) => lock.release()))).not.toContain(false)

      await using seven = await locks.acquire([run, 7], { ttlMs: 5000 })
      expect(seven.key).toContain(':7}')
      for (const same of [
        [run, '7'],
        [run, 7n],
      ])
        expect(await locks.tryAcquire(same, { ttlMs: 1000 })).toMatchObject({ reason: 'busy' })
    })

    it('take no time from the next holder by an extension or a release of who had it before', async () => {
      const locks = made[kind]
      const resource = something()
      const before = await locks.acquire(resource, { ttlMs: 5000 })
      await before.release()
      await using next = await locks.acquire(resource, { ttlMs: 1000 })
      await expect(before.extend(5000)).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'released' })
      expect(() => before.assertHeld()).toThrow(LockLostError)
      expect(before.remainingMs()).toBe(0)
      // Idempotent: what it was told then.
      expect(await before.release()).toBe(true)
      const busy = await locks.tryAcquire(resource, { ttlMs: 1000 })
      expect.assert(!busy.acquired && busy.reason === 'busy')
      expect(busy.retryAfterMs).toBeLessThanOrEqual(1000)
      await next.extend()
    })
  },
)

describe('locks that are made with what they are not made for', () => {
  const wrong = [...noTimes, 0, 9, 2 ** 31]

  it('are refused, of one slot and of several nodes', () => {
    const nodes = Array.from({ length: 3 }, () => memoryPort())
    for (const maxTtlMs of wrong) {
      expect(() => new Locks(port, { name: 'input', maxTtlMs })).toThrow(ConfigurationError)
      expect(() => Locks.redlock(nodes, { name: 'input', maxTtlMs })).toThrow(ConfigurationError)
    }
    for (const nodeTimeoutMs of [...noTimes, 0])
      expect(() => Locks.redlock(nodes, { name: 'input', nodeTimeoutMs })).toThrow(ConfigurationError)
    for (const name of ['', 'a:b', '{a}', 'a b', 'x'.repeat(65), undefined as never, 7 as never]) {
      expect(() => new Locks(port, { name })).toThrow(ConfigurationError)
      expect(() => Locks.redlock(nodes, { name })).toThrow(ConfigurationError)
    }
  })
})

describe('a release by somebody who is not the owner', () => {
  it('frees nothing, whatever it says to be', async () => {
    const resource = something()
    await using lock = await made.slot.acquire(resource, { ttlMs: 5000 })
    const key = keyOf({ namespace: 'test', pattern: 'lock', name: 'input' }, resource)
    const { owner } = await lockRecord(port, key)
    expect(owner).toHaveLength(22)
    for (const other of [
      '',
      ' ',
      owner.slice(1),
      `${owner} `,
      `${owner.slice(0, 21)}-x`,
      'x'.repeat(22),
      '-1',
    ])
      expect(await scripts.release.run(port, { lock: key }, { owner: other })).toBe('not-ours')
    await lock.extend()
    expect(await scripts.release.run(port, { lock: key }, { owner })).toBe('done')
  })
})
