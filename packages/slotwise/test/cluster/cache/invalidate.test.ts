import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { InvalidationPendingError, RedisUnavailableError } from '../../../src/errors.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { gate, heldLoad } from './gate.js'
import { type Call, nameOf, watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `inv-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

/** A port that can be cut off from Redis, for all commands or for some. */
function severable() {
  const state = { cut: (call: Call): boolean => nameOf(call) === 'never' }
  const through = watched(port, (call) => {
    if (state.cut(call)) throw new RedisUnavailableError('cut off by the test')
  })
  return { state, through }
}

const rejection = async (promise: Promise<unknown>): Promise<InvalidationPendingError> => {
  const error: unknown = await promise.catch((thrown: unknown) => thrown)
  if (error instanceof InvalidationPendingError) return error
  throw new Error(`expected an InvalidationPendingError, got ${String(error)}`)
}

describe('an invalidation that does not reach Redis', () => {
  it('rejects, goes on being tried, and tells when it is through', async () => {
    const id = randomUUID()
    const { state, through } = severable()
    const heard: string[] = []
    const cache = new Cache<string>(through, {
      name: 'test',
      ttlMs: 60_000,
      onError: (_, { operation }) => heard.push(operation),
    })
    const elsewhere = new Cache<string>(port, { name: 'test', ttlMs: 60_000 })
    await cache.writeThrough(id, () => 'old')
    state.cut = () => true
    const { settled } = await rejection(cache.invalidate(id))
    expect(cache.stats().pending).toBe(1)
    await expect.poll(() => heard.filter((operation) => operation === 'invalidate').length).toBeGreaterThan(2)
    expect(await elsewhere.read(id)).toMatchObject({ found: true })
    state.cut = () => false
    expect(await settled).toBe(true)
    expect(await elsewhere.read(id)).toMatchObject({ found: false })
    expect(cache.stats().pending).toBe(0)
    await cache.close()
  })

  it('keeps its own process from reading the entry until it is through', async () => {
    const id = randomUUID()
    const { state, through } = severable()
    const cache = new Cache<string>(through, { name: 'test', ttlMs: 60_000 })
    await cache.writeThrough(id, () => 'old')
    state.cut = (call) => nameOf(call) === 'DEL'
    const { settled } = await rejection(cache.invalidate(id))
    expect(await cache.read(id)).toMatchObject({ found: false })
    expect(await cache.fetch(id, () => 'new')).toMatchObject({ value: 'new', how: 'bypass' })
    state.cut = () => false
    expect(await settled).toBe(true)
    expect(await cache.fetch(id, () => 'new')).toMatchObject({ value: 'new', how: 'load' })
    await cache.close()
  })

  it('takes from a load that began meanwhile, in any process, the right to store, as soon as it is through', async () => {
    const id = randomUUID()
    const { state, through } = severable()
    const cache = new Cache<string>(through, { name: 'test', ttlMs: 60_000 })
    const elsewhere = new Cache<string>(port, { name: 'test', ttlMs: 60_000 })
    state.cut = () => true
    const { settled } = await rejection(cache.invalidate(id))
    const slow = heldLoad<string>()
    const overtaken = elsewhere.getOrLoad(id, slow.load)
    await slow.called
    state.cut = () => false
    expect(await settled).toBe(true)
    slow.finish('old')
    expect(await overtaken).toBe('old')
    await expect.poll(() => elsewhere.stats().refusedFills).toBe(1)
    expect(await cache.read(id)).toMatchObject({ found: false })
    await cache.close()
  })

  it('is done for the entries it could reach, and names none of them as pending', async () => {
    const [near, far] = [randomUUID(), randomUUID()]
    const { state, through } = severable()
    const cache = new Cache<string>(through, { name: 'test', ttlMs: 60_000 })
    await cache.writeThrough(near, () => 'old')
    await cache.writeThrough(far, () => 'old')
    const farKey = keyOf({ namespace: port.namespace, pattern: 'cache', name: 'test' }, far)
    state.cut = (call) => !('script' in call) && call.key === farKey
    const { settled } = await rejection(cache.invalidateMany([near, far]))
    expect(cache.stats().pending).toBe(1)
    expect(await cache.read(near)).toMatchObject({ found: false })
    state.cut = (call) => nameOf(call) === 'never'
    expect(await settled).toBe(true)
    expect(await cache.read(far)).toMatchObject({ found: false })
    await cache.close()
  })

  it('is given up when the cache is closed, and says so', async () => {
    const { state, through } = severable()
    const cache = new Cache<string>(through, { name: 'test', ttlMs: 60_000 })
    state.cut = () => true
    const { settled } = await rejection(cache.invalidate(randomUUID()))
    await cache.close()
    expect(await settled).toBe(false)
  })

  it('is tried once more if it was asked for again while an attempt was under way', async () => {
    const id = randomUUID()
    const held = gate()
    const attempt = gate()
    let dels = 0
    const through = watched(port, async (call) => {
      if (nameOf(call) !== 'DEL') return
      dels++
      if (dels === 2) {
        attempt.open()
        await held.passed
      }
      if (dels === 1 || dels === 3) throw new RedisUnavailableError('cut off by the test')
    })
    const cache = new Cache<string>(through, { name: 'test', ttlMs: 60_000 })
    const first = await rejection(cache.invalidate(id))
    await attempt.passed
    const second = await rejection(cache.invalidate(id))
    held.open()
    expect(await first.settled).toBe(true)
    expect(await second.settled).toBe(true)
    expect(dels).toBe(4)
    await cache.close()
  })

  it('after a write is told with what was written', async () => {
    const id = randomUUID()
    const { state, through } = severable()
    const cache = new Cache<string>(through, { name: 'test', ttlMs: 60_000 })
    await cache.writeThrough(id, () => 'old')
    state.cut = () => true
    const error = await rejection(cache.writeThrough(id, () => 'new'))
    expect(error.written).toBe('new')
    state.cut = () => false
    expect(await error.settled).toBe(true)
    expect(await cache.read(id)).toMatchObject({ found: false })
    await cache.close()
  })

  it('after a write that failed leaves the error of the write to its caller', async () => {
    const id = randomUUID()
    const { state, through } = severable()
    const cache = new Cache<string>(through, { name: 'test', ttlMs: 60_000 })
    await cache.writeThrough(id, () => 'old')
    const failure = new Error('constraint violated')
    state.cut = (call) => nameOf(call) === 'settle' || nameOf(call) === 'DEL'
    await expect(cache.writeThrough(id, () => Promise.reject(failure))).rejects.toBe(failure)
    expect(cache.stats().pending).toBe(1)
    state.cut = () => false
    await expect.poll(() => cache.stats().pending).toBe(0)
    expect(await cache.read(id)).toMatchObject({ found: false })
    await cache.close()
  })

  it('whose listener throws is tried all the same', async () => {
    const { state, through } = severable()
    const cache = new Cache<string>(through, {
      name: 'test',
      ttlMs: 60_000,
      onError: () => {
        throw new Error('listener')
      },
    })
    state.cut = () => true
    const { settled } = await rejection(cache.invalidate(randomUUID()))
    state.cut = () => false
    expect(await settled).toBe(true)
    await cache.close()
  })
})

describe('a value that cannot be stored', () => {
  it('reaches its caller, and the next caller does not wait for the lease', async () => {
    const id = randomUUID()
    const { state, through } = severable()
    const heard: string[] = []
    const cache = new Cache<string>(through, {
      name: 'test',
      ttlMs: 60_000,
      onError: (_, { operation }) => heard.push(operation),
    })
    state.cut = (call) => nameOf(call) === 'fill'
    expect(await cache.getOrLoad(id, () => 'first')).toBe('first')
    const second = await new Cache<string>(port, { name: 'test', ttlMs: 60_000 }).fetch(id, () => 'second')
    expect(second.value).toBe('second')
    expect(second.durationMs).toBeLessThan(5000)
    expect(heard).toEqual(['store'])
  })
})
