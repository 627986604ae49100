import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import {
  type InvalidationCursor,
  Invalidator,
  type InvalidatorOptions,
} from '../../../src/invalidation/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { withoutHearing } from '../../support/port-with.js'
import { nameOf, watched } from '../cache/watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `inv-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const POLL = { interval: 2, timeout: 5000 }
const opened = (options: Partial<InvalidatorOptions> = {}, through = port) =>
  new Invalidator(through, { name: `i${randomUUID().slice(0, 8)}`, logs: 3, ...options })

/** Hears, and remembers. */
async function hearing(invalidator: Invalidator, from?: InvalidationCursor) {
  const told: string[] = []
  let missed = 0
  const subscription = await invalidator.subscribe(
    {
      key: (name) => told.push(`key ${name}`),
      tag: (tag) => told.push(`tag ${tag}`),
      missed: () => missed++,
    },
    { from },
  )
  return { told, subscription, missed: () => missed }
}

describe('what is published', () => {
  it('is told to everybody who has subscribed, in the order of each name', async () => {
    await using invalidator = opened()
    const [one, two] = [await hearing(invalidator), await hearing(invalidator)]
    for (let i = 0; i < 20; i++) await invalidator.publish({ keys: ['a', `b${i}`], tags: ['org:7/users'] })
    for (const { told } of [one, two]) {
      await expect.poll(() => told.length, POLL).toBe(60)
      expect(told.filter((name) => name === 'tag org:7/users')).toHaveLength(20)
      expect(new Set(told).size).toBe(22)
    }
  })

  it('has been told once that is known, and not before', async () => {
    await using invalidator = opened({ maxDelayMs: 20 })
    const { told, subscription } = await hearing(invalidator)
    for (let i = 0; i < 20; i++) {
      await invalidator.publish({ keys: [`${i}`] })
      const at = performance.now()
      await expect.poll(() => subscription.freshAsOfMs > at, POLL).toBe(true)
      expect(told).toContain(`key ${i}`)
      expect(invalidator.proof().freshAsOfMs).toBeGreaterThan(at)
      expect(invalidator.proof().suspectSlots.size).toBe(0)
    }
  })

  it('is told although nobody was woken', async () => {
    const errors: Error[] = []
    await using invalidator = opened(
      { maxDelayMs: 30, onError: (error) => errors.push(error) },
      withoutHearing(port),
    )
    const { told } = await hearing(invalidator)
    await invalidator.publish({ keys: ['a'] })
    await expect.poll(() => told, POLL).toEqual(['key a'])
    expect(errors.map(({ message }) => message)).toContain('nothing is heard')
  })

  it('of a name that is too much for one entry is told whole', async () => {
    await using invalidator = opened()
    const { told } = await hearing(invalidator)
    const keys = Array.from({ length: 1000 }, (_, n) => `${n}`)
    await invalidator.publish({ keys })
    await expect.poll(() => told.length, POLL).toBe(1000)
    expect(new Set(told)).toEqual(new Set(keys.map((key) => `key ${key}`)))
  })

  it('and could not be is an error of whoever publishes', async () => {
    const refusing = watched(port, (call) => {
      if (nameOf(call) === 'append') throw new Error('refused')
    })
    await using invalidator = opened({}, refusing)
    await expect(invalidator.publish({ keys: ['a'] })).rejects.toThrow('refused')
  })
})

it('what caches of the same name tell each other is none of what is published', async () => {
  const name = `i${randomUUID().slice(0, 8)}`
  await using invalidator = opened({ name })
  const { told, missed } = await hearing(invalidator)
  await using cache = new Cache<string>(port, { name, ttlMs: 60_000, coherence: 'log' })
  for (let n = 0; n < 20; n++) await cache.set(`${n}`, 'value')
  await invalidator.publish({ keys: Array.from({ length: 20 }, (_, n) => `${n}`) })
  await expect.poll(() => told.length, POLL).toBeGreaterThanOrEqual(20)
  expect(told.toSorted()).toEqual(Array.from({ length: 20 }, (_, n) => `key ${n}`).toSorted())
  expect(missed()).toBe(0)
})

describe('whoever was away', () => {
  it('goes on where it was', async () => {
    const name = `i${randomUUID().slice(0, 8)}`
    await using invalidator = opened({ name })
    const first = await hearing(invalidator)
    await invalidator.publish({ keys: ['before'] })
    await expect.poll(() => first.told.length, POLL).toBe(1)
    const cursor = JSON.parse(JSON.stringify(first.subscription.cursor)) as InvalidationCursor
    first.subscription.close()
    await invalidator.publish({ keys: ['meanwhile'], tags: ['t'] })
    const second = await hearing(invalidator, cursor)
    await expect.poll(() => second.told.toSorted(), POLL).toEqual(['key meanwhile', 'tag t'])
    expect(second.missed()).toBe(0)
  })

  it('for too long is told that something was missed, and of what', async () => {
    await using invalidator = opened({ keep: 5 })
    const first = await hearing(invalidator)
    await invalidator.publish({ keys: ['a'] })
    await expect.poll(() => first.told.length, POLL).toBe(1)
    const { cursor } = first.subscription
    first.subscription.close()
    for (let i = 0; i < 20; i++) await invalidator.publish({ keys: ['a'] })
    const suspects: boolean[] = []
    await invalidator.subscribe(
      {
        missed: (isSuspect) =>
          suspects.push(isSuspect('a'), ...Array.from({ length: 30 }, (_, n) => isSuspect(`other ${n}`))),
      },
      { from: cursor },
    )
    await expect.poll(() => suspects.length, POLL).toBeGreaterThan(0)
    expect(suspects[0]).toBe(true)
    expect(suspects).toContain(false)
  })

  it('while the log was lost is told so, and hears what follows', async () => {
    const name = `i${randomUUID().slice(0, 8)}`
    await using invalidator = opened({ name, logs: 1, maxDelayMs: 20 })
    const { told, missed, subscription } = await hearing(invalidator)
    await invalidator.publish({ keys: ['a'] })
    await expect.poll(() => told.length, POLL).toBe(1)
    const key = keyOf({ namespace: port.namespace, pattern: 'published', name }, [0])
    await port.call({ key, command: ['DEL', key] })
    await expect.poll(missed, POLL).toBe(1)
    const at = performance.now()
    await expect.poll(() => subscription.freshAsOfMs > at, POLL).toBe(true)
    await invalidator.publish({ keys: ['b'] })
    await expect.poll(() => told, POLL).toEqual(['key a', 'key b'])
  })
})

it('a handler that throws is told so, and hears the next', async () => {
  const errors: Error[] = []
  const told: string[] = []
  await using invalidator = opened({ onError: (error) => errors.push(error) })
  await invalidator.subscribe({
    key: (name) => {
      told.push(name)
      throw new Error(name)
    },
    missed: () => {},
  })
  await invalidator.publish({ keys: ['a'] })
  await invalidator.publish({ keys: ['b'] })
  await expect.poll(() => told.toSorted(), POLL).toEqual(['a', 'b'])
  expect(errors.map(({ message }) => message).toSorted()).toEqual(['a', 'b'])
})

it('once closed takes nothing and tells nothing', async () => {
  const invalidator = opened()
  expect(invalidator.proof().suspectSlots.size).toBe(16_384)
  const { told } = await hearing(invalidator)
  invalidator.close()
  await expect(invalidator.publish({ keys: ['a'] })).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(hearing(invalidator)).rejects.toMatchObject({ code: 'CLOSED' })
  expect(told).toEqual([])
})
