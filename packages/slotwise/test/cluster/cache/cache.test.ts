import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache, type CacheOptions } from '../../../src/cache/index.js'
import { fill } from '../../../src/cache/scripts.js'
import { ClosedError, ConfigurationError, ReplyError, UncacheableValueError } from '../../../src/errors.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { gate, heldLoad, turns } from './gate.js'
import { watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `cache-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const cacheOf = <T>(options: Partial<CacheOptions<T>> = {}, through = port) =>
  new Cache<T>(through, { name: 'test', ttlMs: 60_000, budgetMs: 5000, ...options })
const keyFor = (id: string): Key => keyOf({ namespace: port.namespace, pattern: 'cache', name: 'test' }, id)
const refuse = (): never => {
  throw new Error('must not be loaded')
}

describe('values', () => {
  it.each([[null], [0], [''], [false], [[]], [{ deep: [{ a: 'ü😀\u0000' }] }]])('keep %j', async (value) => {
    const id = randomUUID()
    const cache = cacheOf<unknown>()
    expect(await cache.getOrLoad(id, () => value)).toEqual(value)
    expect(await cache.getOrLoad(id, refuse)).toEqual(value)
    expect(await cache.read(id)).toMatchObject({ found: true, value, source: 'redis' })
  })

  it('are each caller’s own, also among those who shared a load', async () => {
    const id = randomUUID()
    const cache = cacheOf<{ tags: string[] }>()
    const slow = heldLoad<{ tags: string[] }>()
    const both = [cache.getOrLoad(id, slow.load), cache.getOrLoad(id, refuse)]
    await slow.called
    slow.finish({ tags: [] })
    const [one, other] = await Promise.all(both)
    one?.tags.push('mine')
    expect(other).toEqual({ tags: [] })
  })

  it('come back the first time as they will the second', async () => {
    const id = randomUUID()
    const cache = cacheOf<unknown>()
    const first = await cache.getOrLoad(id, () => ({ at: new Date(0), gone: undefined }))
    expect(first).toEqual(await cache.getOrLoad(id, refuse))
  })

  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  it.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a circular structure', circular],
    ['a bigint', { n: 1n }],
  ])('that JSON cannot hold are refused, and hold nobody up: %s', async (_, value) => {
    const id = randomUUID()
    await expect(cacheOf<unknown>().getOrLoad(id, () => value)).rejects.toThrow(UncacheableValueError)
    expect(await cacheOf<unknown>().getOrLoad(id, () => 'next')).toBe('next')
  })

  it('of an unknown format or broken are loaded anew and replaced', async () => {
    for (const bytes of [Buffer.from([99, 1, 2]), Buffer.from('\u0001{"cut":'), Buffer.alloc(0)]) {
      const id = randomUUID()
      await port.call({ key: keyFor(id), command: ['HSET', keyFor(id), 'v', bytes] })
      const cache = cacheOf<string>()
      expect(await cache.read(id)).toMatchObject({ found: false })
      expect([await cache.get(id), ...(await cache.getMany([id]))]).toEqual([undefined, undefined])
      expect(await cache.fetch(id, () => 'sound')).toMatchObject({ value: 'sound', how: 'load' })
      expect(cache.stats()).toMatchObject({ hits: 0, loads: 1, errors: 0 })
      await expect.poll(() => cache.read(id)).toMatchObject({ found: true, value: 'sound', source: 'redis' })
    }
  })

  it('of somebody else at our key are left alone, reported, and gone after an invalidation', async () => {
    const id = randomUUID()
    const heard: Error[] = []
    await port.call({ key: keyFor(id), command: ['SET', keyFor(id), 'foreign'] })
    const cache = cacheOf<string>({ onError: (error) => heard.push(error) })
    expect(await cache.fetch(id, () => 'loaded')).toMatchObject({ value: 'loaded', how: 'bypass' })
    expect(heard[0]).toBeInstanceOf(ReplyError)
    expect(await port.call({ key: keyFor(id), command: ['GET', keyFor(id)] })).toBe('foreign')
    await cache.invalidate(id)
    expect(await cache.fetch(id, () => 'loaded')).toMatchObject({ how: 'load' })
  })
})

describe('time', () => {
  it('ends an entry at its TTL or up to the jitter earlier, each at another moment', async () => {
    const cache = cacheOf<number>({ ttlMs: 10_000, jitter: 0.2 })
    const ends: number[] = []
    for (let i = 0; i < 20; i++) {
      const id = randomUUID()
      if (i % 2 === 0) await cache.writeThrough(id, () => i)
      else await cache.set(id, i)
      const left = await port.call({ key: keyFor(id), command: ['PTTL', keyFor(id)] })
      expect(left).toBeGreaterThan(7_500)
      expect(left).toBeLessThanOrEqual(10_000)
      ends.push(Number(left))
    }
    // Of twenty moments in 2,000 ms, all lie within one quarter once in ten thousand million runs.
    expect(Math.max(...ends) - Math.min(...ends)).toBeGreaterThan(500)
  })

  it('can be set for one load', async () => {
    const id = randomUUID()
    const watching = watched(port)
    const cache = cacheOf<string>({ jitter: 0 }, watching)
    await cache.getOrLoad(id, { ttlMs: 500 }, () => 'short')
    await watching.idle()
    expect(await cache.read(id)).toMatchObject({ found: true, value: 'short', source: 'redis' })
    await expect.poll(() => cache.read(id)).toMatchObject({ found: false })
  })

  it.each([0, -1, 1.5, Number.NaN, Infinity, 1e15])('cannot be set to %s by a load', async (ttlMs) => {
    const id = randomUUID()
    const load = ({ setTtlMs }: { setTtlMs: (ms: number) => void }): string => {
      setTtlMs(ttlMs)
      return 'value'
    }
    await expect(cacheOf<string>().getOrLoad(id, load)).rejects.toThrow(ConfigurationError)
    expect(await cacheOf<string>().getOrLoad(id, () => 'next')).toBe('next')
  })

  it('since an entry was stored is told by a read, with where it came from', async () => {
    const id = randomUUID()
    const cache = cacheOf<string>({ jitter: 0 })
    await cache.set(id, 'value')
    await port.call({ key: keyFor(id), command: ['PEXPIRE', keyFor(id), 59_000] })
    const read = await cache.read(id)
    expect(read).toMatchObject({ found: true, value: 'value', source: 'redis', stale: false })
    if (!read.found) throw new Error('it was stored')
    expect(read.ageMs).toBeGreaterThanOrEqual(1000)
    expect(read.ageMs).toBeLessThan(5000)
  })

  it('takes from a load that outlives its lease the right to store, not its value', async () => {
    const id = randomUUID()
    const [one, other] = [cacheOf<string>({ leaseMs: 30 }), cacheOf<string>()]
    const slow = heldLoad<string>()
    const late = one.getOrLoad(id, slow.load)
    await slow.called
    expect(await other.getOrLoad(id, () => 'newer')).toBe('newer')
    slow.finish('older')
    expect(await late).toBe('older')
    await expect.poll(() => one.stats().refusedFills).toBe(1)
    expect(await other.read(id)).toMatchObject({ value: 'newer' })
  })

  it('frees those who came after a load that never ends', async () => {
    const id = randomUUID()
    const cache = cacheOf<string>({ leaseMs: 30 })
    const hung = heldLoad<string>()
    const first = cache.getOrLoad(id, hung.load)
    await hung.called
    expect(await cache.getOrLoad(id, () => 'second')).toBe('second')
    hung.finish('first')
    expect(await first).toBe('first')
  })

  it('ends a lease even where its key lives on', async () => {
    const [id, token] = [randomUUID(), 'token']
    const key = keyFor(id)
    const store = () => fill.run(port, { entry: key }, { token, bytes: 'bytes', ttl_ms: 1000 })
    await port.call({ key, command: ['HSET', key, 'l', token, 'd', 1] })
    expect(await store()).toBe(false)
    await port.call({ key, command: ['HSET', key, 'd', Number.MAX_SAFE_INTEGER] })
    expect(await store()).toBe(true)
  })

  it('ends the lease of a process that died', async () => {
    const id = randomUUID()
    const dead = heldLoad<string>()
    void cacheOf<string>({ leaseMs: 60 }).getOrLoad(id, dead.load)
    await dead.called
    expect(await cacheOf<string>().fetch(id, () => 'alive')).toMatchObject({ value: 'alive', how: 'load' })
  })
})

describe('names', () => {
  it('of tenants, of caches and parts of ids never meet', async () => {
    const cache = cacheOf<string>()
    const other = new Cache<string>(port, { name: 'other', ttlMs: 60_000 })
    const id = randomUUID()
    const places = [
      (value: string) => cache.getOrLoad(id, () => value),
      (value: string) => other.getOrLoad(id, () => value),
      (value: string) => cache.forTenant('a').getOrLoad(id, () => value),
      (value: string) => cache.forTenant('b').getOrLoad(id, () => value),
      (value: string) => cache.getOrLoad(['a', id], () => value),
      (value: string) => cache.getOrLoad(`a:${id}`, () => value),
      (value: string) => cache.getOrLoad(`@a:${id}`, () => value),
    ]
    const values = await Promise.all(places.map((place, i) => place(`value ${i}`)))
    expect(new Set(values).size).toBe(places.length)
    expect(cache.stats().loads).toBe(places.length - 1)
  })

  it.each(['', '{}', '{a}b', ':', 'a b', '\u0000', '😀', '\ud800', 'x'.repeat(10_000)])(
    'may be anything: %.20j',
    async (odd) => {
      const cache = cacheOf<string>({ name: randomUUID() })
      expect(await cache.getOrLoad(odd, () => 'value')).toBe('value')
      await cache.invalidate(odd)
      expect(await cache.read(odd)).toMatchObject({ found: false })
    },
  )

  it('of an array are one id to invalidate, and several to invalidateMany', async () => {
    const cache = cacheOf<string>({ name: randomUUID() })
    for (const id of ['a', 'b', ['a', 'b']]) await cache.writeThrough(id, () => 'value')
    await cache.invalidate(['a', 'b'])
    expect(await Promise.all([cache.read('a'), cache.read('b'), cache.read(['a', 'b'])])).toMatchObject([
      { found: true },
      { found: true },
      { found: false },
    ])
    await cache.invalidateMany(['a', 'b', 'a'])
    expect(await Promise.all([cache.read('a'), cache.read('b')])).toMatchObject([
      { found: false },
      { found: false },
    ])
    await cache.invalidateMany([])
  })
})

describe('write-through', () => {
  it('stores what was written', async () => {
    const id = randomUUID()
    const cache = cacheOf<string>()
    expect(await cache.writeThrough(id, async () => 'written')).toBe('written')
    expect(await cache.getOrLoad(id, refuse)).toBe('written')
  })

  it('that fails passes its error on and leaves the entry empty, for it may have been committed', async () => {
    const id = randomUUID()
    const cache = cacheOf<string>()
    await cache.writeThrough(id, () => 'before')
    const failure = new Error('connection lost during COMMIT')
    await expect(cache.writeThrough(id, () => Promise.reject(failure))).rejects.toBe(failure)
    expect(await cache.read(id)).toMatchObject({ found: false })
    expect(await cache.fetch(id, () => 'after')).toMatchObject({ value: 'after', how: 'load' })
  })

  it('lets readers load while it is under way, and nobody store', async () => {
    const id = randomUUID()
    const [writer, reader] = [cacheOf<string>(), cacheOf<string>()]
    const slow = heldLoad<string>()
    const writing = writer.writeThrough(id, slow.load)
    await slow.called
    expect(await reader.getOrLoad(id, () => 'before')).toBe('before')
    expect(await reader.read(id)).toMatchObject({ found: false })
    slow.finish('after')
    await writing
    expect(await reader.getOrLoad(id, refuse)).toBe('after')
  })

  it('that took longer than its lease empties the entry instead', async () => {
    const id = randomUUID()
    const [writer, reader] = [cacheOf<string>({ leaseMs: 20 }), cacheOf<string>()]
    const slow = heldLoad<string>()
    const writing = writer.writeThrough(id, slow.load)
    await slow.called
    await expect.poll(() => port.call({ key: keyFor(id), command: ['EXISTS', keyFor(id)] })).toBe(0)
    await reader.getOrLoad(id, () => 'before')
    slow.finish('after')
    expect(await writing).toBe('after')
    expect(await reader.read(id)).toMatchObject({ found: false })
    expect(writer.stats().refusedFills).toBe(1)
  })

  it('whose process dies leaves nothing older behind: the end of the intent is the invalidation', async () => {
    const id = randomUUID()
    const reader = cacheOf<string>()
    await reader.writeThrough(id, () => 'before')
    const dead = heldLoad<string>()
    void cacheOf<string>({ leaseMs: 500 }).writeThrough(id, dead.load)
    await dead.called
    expect(await reader.read(id)).toMatchObject({ found: false })
    await reader.getOrLoad(id, () => 'read before the commit')
    await expect.poll(() => port.call({ key: keyFor(id), command: ['EXISTS', keyFor(id)] })).toBe(0)
    expect(await reader.getOrLoad(id, () => 'after')).toBe('after')
  })

  it('returns what cannot be cached, for it is written, and tells onError', async () => {
    const id = randomUUID()
    const heard: Error[] = []
    const cache = cacheOf<unknown>({ onError: (error) => heard.push(error) })
    await cache.writeThrough(id, () => 'before')
    expect(await cache.writeThrough(id, () => 7n)).toBe(7n)
    expect(heard).toEqual([expect.any(UncacheableValueError)])
    expect(await cache.read(id)).toMatchObject({ found: false })
  })
})

describe('closing', () => {
  it('stores what has come back, refuses what comes, and may be said twice', async () => {
    const id = randomUUID()
    const heldFill = gate()
    const watching = watched(port, (call) =>
      'script' in call && call.script.name === 'cache/fill' ? heldFill.passed : undefined,
    )
    const cache = cacheOf<string>({}, watching)
    const view = cache.forTenant('a')
    await cache.getOrLoad(id, () => 'value')
    const closing = cache.close()
    expect(await Promise.race([closing.then(() => 'closed'), turns().then(() => 'storing')])).toBe('storing')
    heldFill.open()
    await closing
    await cache.close()
    expect(await cacheOf<string>().read(id)).toMatchObject({ value: 'value' })
    await expect(cache.getOrLoad(id, refuse)).rejects.toThrow(ClosedError)
    await expect(view.read(id)).rejects.toThrow(ClosedError)
    await expect(cache.invalidate(id)).rejects.toThrow(ClosedError)
  })

  it('lets a load under way answer, and stores nothing of it', async () => {
    const id = randomUUID()
    const cache = cacheOf<string>()
    const slow = heldLoad<string>()
    const loading = cache.getOrLoad(id, slow.load)
    await slow.called
    await cache[Symbol.asyncDispose]()
    slow.finish('value')
    expect(await loading).toBe('value')
    expect(await cacheOf<string>().fetch(id, () => 'next')).toMatchObject({ value: 'next', how: 'load' })
  })
})
