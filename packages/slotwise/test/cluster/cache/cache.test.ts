import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache, type CacheOptions } from '../../../src/cache/index.js'
import { fill } from '../../../src/cache/scripts.js'
import {
  ClosedError,
  ConfigurationError,
  RedisUnavailableError,
  ReplyError,
  UncacheableValueError,
} from '../../../src/errors.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { gate, heldLoad, turns } from './gate.js'
import { type Call, nameOf, watched } from './watched-port.js'

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

describe('cost', () => {
  it('is one round trip for a hit, two for a miss before its caller has the value and one after', async () => {
    const id = randomUUID()
    const watching = watched(port)
    const cache = cacheOf<string>({}, watching)
    const sentBeforeTheLoad: string[] = []
    await cache.getOrLoad(id, () => {
      sentBeforeTheLoad.push(...watching.sent)
      return 'value'
    })
    expect(sentBeforeTheLoad).toEqual(['HGET', 'acquire'])
    await watching.idle()
    expect(watching.sent.splice(0)).toEqual(['HGET', 'acquire', 'fill'])
    expect(await cache.getOrLoad(id, refuse)).toBe('value')
    expect(watching.sent.splice(0)).toEqual(['HGET'])
    await cache.invalidate(id)
    expect(watching.sent.splice(0)).toEqual(['DEL'])
    await cache.writeThrough(id, () => 'written')
    expect(watching.sent).toEqual(['intend', 'settle'])
  })

  it('is published to whoever listens', async () => {
    const id = randomUUID()
    const heard: unknown[] = []
    const listen = (event: unknown): void => {
      if ((event as { key: Key }).key === keyFor(id)) heard.push(event)
    }
    subscribe('slotwise:cache', listen)
    const watching = watched(port)
    const cache = cacheOf<string>({}, watching)
    await cache.getOrLoad(id, () => 'value')
    await watching.idle()
    await cache.getOrLoad(id, refuse)
    await cache.invalidate(id)
    await cache.writeThrough(id, () => 'value')
    unsubscribe('slotwise:cache', listen)
    expect(heard).toMatchObject(
      ['load', 'hit', 'invalidate', 'write'].map((kind) => ({ name: 'test', kind })),
    )
  })

  it('is published for what goes otherwise as well, and counted', async () => {
    const name = `events-${randomUUID().slice(0, 8)}`
    const heard: string[] = []
    const listen = (event: unknown): void => {
      const { name: whose, kind } = event as { name: string; kind: string }
      if (whose === name) heard.push(kind)
    }
    let isAway = false
    const through = watched(port, () => {
      if (isAway) throw new RedisUnavailableError('away')
    })
    const cache = cacheOf<string>({ name, staleMs: 60_000 }, through)
    const key = (id: string): Key => keyOf({ namespace: port.namespace, pattern: 'cache', name }, id)
    const told = (): string[] => heard.splice(0)
    const [waited, stale, refused, away] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()]
    subscribe('slotwise:cache', listen)
    try {
      const slow = heldLoad<string>()
      const both = [cache.getOrLoad(waited, slow.load), cache.getOrLoad(waited, refuse)]
      await slow.called
      await through.idle()
      slow.finish('value')
      await Promise.all(both)
      expect(told()).toEqual(['load', 'wait'])

      await cache.set(stale, 'old')
      await port.call({ key: key(stale), command: ['PEXPIRE', key(stale), 30_000] })
      await cache.getOrLoad(stale, () => 'new')
      await expect.poll(() => cache.get(stale)).toBe('new')
      expect(told()).toEqual(['write', 'stale'])

      const overtaken = heldLoad<string>()
      const loading = cache.getOrLoad(refused, overtaken.load)
      await overtaken.called
      await cache.invalidate(refused)
      overtaken.finish('old')
      await loading
      await through.idle()
      expect(told().toSorted()).toEqual(['invalidate', 'load', 'refused-fill'])

      isAway = true
      await cache.getOrLoad(away, () => 'value')
      expect(told().toSorted()).toEqual(['bypass', 'degraded', 'error'])
      const counted = {
        loads: 4,
        waits: 1,
        staleHits: 1,
        refreshes: 1,
        refusedFills: 1,
        bypasses: 1,
        errors: 1,
      }
      expect(cache.stats()).toMatchObject({ ...counted, degraded: true, pending: 0 })
    } finally {
      unsubscribe('slotwise:cache', listen)
    }
  })

  it('of a Redis that does not answer is told once, and once more when it answers again', async () => {
    const id = randomUUID()
    const name = `silent-${id.slice(0, 8)}`
    const heard: unknown[] = []
    const listen = (event: unknown): void => {
      const { name: whose, kind } = event as { name: string; kind: string }
      if (whose === name && (kind === 'degraded' || kind === 'recovered')) heard.push(kind)
    }
    let isAway = true
    const flaky = watched(port, () => {
      if (isAway) throw new RedisUnavailableError('away')
    })
    const cache = cacheOf<string>({ name }, flaky)
    subscribe('slotwise:cache', listen)
    try {
      for (let i = 0; i < 3; i++)
        expect(await cache.fetch(id, () => 'value')).toMatchObject({ how: 'bypass' })
      expect([cache.stats().degraded, heard]).toEqual([true, ['degraded']])
      isAway = false
      expect(await cache.fetch(id, () => 'value')).toMatchObject({ how: 'load' })
      expect([cache.stats().degraded, heard]).toEqual([false, ['degraded', 'recovered']])
    } finally {
      unsubscribe('slotwise:cache', listen)
    }
  })

  it('is told apart: from Redis, loaded, or waited for', async () => {
    const id = randomUUID()
    const watching = watched(port)
    const cache = cacheOf<string>({}, watching)
    const slow = heldLoad<string>()
    const loading = cache.fetch(id, slow.load)
    await slow.called
    const waiting = cache.fetch(id, refuse)
    await watching.idle()
    slow.finish('value')
    expect(await loading).toMatchObject({ value: 'value', source: 'loader', how: 'load' })
    expect(await waiting).toMatchObject({ value: 'value', how: 'wait' })
    expect(watching.sent).toEqual(['HGET', 'acquire', 'HGET', 'fill'])
    const hit = await cache.fetch(id, refuse)
    expect(hit).toMatchObject({ value: 'value', source: 'redis', how: 'hit' })
    expect(hit.durationMs).toBeGreaterThan(0)
    expect(cache.stats()).toMatchObject({ hits: 1, misses: 2, loads: 1, waits: 1, bypasses: 0, errors: 0 })
  })
})

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

describe('a loader that fails', () => {
  it('tells its own error, to everybody who waits, and is asked again at once by the next', async () => {
    const id = randomUUID()
    const [cache, elsewhere] = [cacheOf<string>(), cacheOf<string>()]
    const failure = new Error('database down')
    const called = gate()
    const fail = gate()
    const load = async (): Promise<string> => {
      called.open()
      await fail.passed
      throw failure
    }
    const both = [cache.getOrLoad(id, load), cache.getOrLoad(id, load)]
    await called.passed
    fail.open()
    for (const call of both) await expect(call).rejects.toBe(failure)
    const from = performance.now()
    expect(await elsewhere.getOrLoad(id, () => 'value')).toBe('value')
    expect(performance.now() - from).toBeLessThan(5000)
  })

  it('that throws before it returns a promise is no different', async () => {
    const failure = new TypeError('at once')
    const load = (): never => {
      throw failure
    }
    await expect(cacheOf<string>().getOrLoad(randomUUID(), load)).rejects.toBe(failure)
  })
})

describe('giving up', () => {
  it('ends one caller’s waiting and nobody else’s', async () => {
    const id = randomUUID()
    const watching = watched(port)
    const cache = cacheOf<string>({}, watching)
    const slow = heldLoad<string>()
    const impatient = new AbortController()
    let signal: AbortSignal | undefined
    const gone = cache.getOrLoad(id, { signal: impatient.signal }, (context) => {
      signal = context.signal
      return slow.load()
    })
    await slow.called
    const patient = cache.getOrLoad(id, refuse)
    await watching.idle()
    impatient.abort(new Error('enough'))
    await expect(gone).rejects.toThrow('enough')
    expect(signal?.aborted).toBe(false)
    slow.finish('value')
    expect(await patient).toBe('value')
  })

  it('in one process does not disturb the load of another, nor who waits for it there', async () => {
    const id = randomUUID()
    const watching = watched(port)
    const [loading, waiting, third] = [cacheOf<string>(), cacheOf<string>({}, watching), cacheOf<string>()]
    const slow = heldLoad<string>()
    let signal: AbortSignal | undefined
    const first = loading.getOrLoad(id, (context) => {
      signal = context.signal
      return slow.load()
    })
    await slow.called
    const impatient = new AbortController()
    const gone = waiting.getOrLoad(id, { signal: impatient.signal }, refuse)
    const patient = third.getOrLoad(id, refuse)
    await expect.poll(() => watching.sent).toContain('acquire')
    await watching.idle()
    impatient.abort(new Error('enough'))
    await expect(gone).rejects.toThrow('enough')
    slow.finish('value')
    expect([await first, await patient, signal?.aborted]).toEqual(['value', 'value', false])
    expect(loading.stats().refusedFills).toBe(0)
  })

  it('of everybody aborts the load, and the next caller starts another', async () => {
    const id = randomUUID()
    const cache = cacheOf<string>()
    const called = gate()
    const aborted = gate()
    const impatient = new AbortController()
    const gone = cache
      .getOrLoad(id, { signal: impatient.signal }, async ({ signal }) => {
        called.open()
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        return 'never'
      })
      .finally(() => aborted.open())
    await called.passed
    impatient.abort()
    await expect(gone).rejects.toBe(impatient.signal.reason)
    await aborted.passed
    expect(await cache.getOrLoad(id, () => 'next')).toBe('next')
  })

  it('is not passed on to a caller that comes to the load when everybody else has left it', async () => {
    const id = randomUUID()
    const [looked, called, ended] = [gate(), gate(), gate()]
    const reads: Call[] = []
    const cache = cacheOf<string>(
      {},
      watched(port, (call) =>
        nameOf(call) === 'HGET' && reads.push(call) === 1 ? looked.passed : undefined,
      ),
    )
    const early = cache.getOrLoad(id, () => 'value')
    const impatient = new AbortController()
    const gone = cache.getOrLoad(id, { signal: impatient.signal }, async ({ signal }) => {
      called.open()
      await ended.passed
      signal.throwIfAborted()
      return 'never'
    })
    await called.passed
    impatient.abort()
    await expect(gone).rejects.toBe(impatient.signal.reason)
    looked.open()
    await turns()
    ended.open()
    expect(await early).toBe('value')
  })

  it('can be left to a deadline', async () => {
    const id = randomUUID()
    const cache = cacheOf<string>()
    const slow = heldLoad<string>()
    const patient = cache.getOrLoad(id, slow.load)
    await slow.called
    await expect(cache.getOrLoad(id, { deadlineMs: 20 }, refuse)).rejects.toMatchObject({
      name: 'TimeoutError',
    })
    const { signal } = new AbortController()
    await expect(cache.getOrLoad(id, { deadlineMs: 20, signal }, refuse)).rejects.toMatchObject({
      name: 'TimeoutError',
    })
    slow.finish('value')
    expect(await patient).toBe('value')
    expect(await cache.read(id, { deadlineMs: 5000, signal })).toMatchObject({ value: 'value' })
    await expect(cache.read(id, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
  })

  it('before it begins asks nobody', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(cacheOf<string>().getOrLoad(randomUUID(), { signal }, refuse)).rejects.toThrow('enough')
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
