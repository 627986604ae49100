/** What cache-manager 7 documents, on a store for Keyv. */
import KeyvRedis, { createCluster } from '@keyv/redis'
import { type Cache, createCache } from 'cache-manager'
import { Keyv } from 'keyv'
import { KeyvStore } from 'slotwise/cache/keyv'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { open, patient, roots, theirs, unique } from './subject.js'

interface Source {
  readonly store: (name: string) => KeyvRedis<unknown> | KeyvStore
  readonly close: () => Promise<unknown>
}

async function source(): Promise<Source> {
  if (theirs) {
    const client = createCluster({ rootNodes: roots.map((socket) => ({ socket })) })
    await client.connect()
    return { store: () => new KeyvRedis<unknown>(client), close: () => client.close() }
  }
  const port = await open()
  return { store: (name) => new KeyvStore(port, { name, ...patient }), close: () => port.close() }
}

const { store, close } = await source()
afterAll(close)

const keyvOn = (namespace: string, ttl?: number) =>
  new Keyv({ store: store('manager'), namespace, ...(ttl === undefined ? {} : { ttl }) })

let namespace: string
let cache: Cache
beforeEach(() => {
  namespace = unique()
  cache = createCache({ stores: [keyvOn(namespace)] })
})
afterEach(async () => void (await cache.clear()))

const MANY = 60
const keys = Array.from({ length: MANY }, (_, i) => `k${i}`)
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('get and set', () => {
  it.each([['text'], [0], [false], [''], [{ deep: [1, 2] }], [[1]]])('keep %j', async (value) => {
    expect(await cache.set('a', value)).toEqual(value)
    expect(await cache.get('a')).toEqual(value)
  })

  it('give undefined for what is absent', async () => {
    expect(await cache.get('absent')).toBeUndefined()
    expect(await cache.ttl('absent')).toBeUndefined()
  })

  it('end a value after its ttl in ms, by its own or by the default', async () => {
    const shortly = createCache({ stores: [keyvOn(namespace)], ttl: 1000 })
    await shortly.set('default', 'v')
    await shortly.set('own', 'v', 60_000)
    expect(await shortly.get('default')).toBe('v')
    await expect.poll(() => shortly.get('default'), { timeout: 3000 }).toBeUndefined()
    expect(await shortly.get('own')).toBe('v')
  })

  it('tell when a value ends', async () => {
    await cache.set('ends', 'v', 60_000)
    await cache.set('stays', 'v')
    const ends = (await cache.ttl('ends')) ?? 0
    expect(ends).toBeGreaterThan(Date.now() + 50_000)
    expect(ends).toBeLessThanOrEqual(Date.now() + 60_000)
    expect(await cache.ttl('stays')).toBeUndefined()
  })

  it('remove one, and many', async () => {
    await cache.mset(keys.map((key) => ({ key, value: key })))
    await cache.del('k0')
    await cache.mdel(['k1', 'k2'])
    expect(await cache.mget(['k0', 'k1', 'k2', 'k3'])).toEqual([undefined, undefined, undefined, 'k3'])
  })
})

describe('many at once', () => {
  it('are stored and read in their order, on all nodes, absent ones as undefined', async () => {
    await cache.mset(keys.map((key) => ({ key, value: { key } })))
    expect(await cache.mget([...keys, 'absent'])).toEqual([...keys.map((key) => ({ key })), undefined])
  })

  it('have each its own ttl', async () => {
    await cache.mset([
      { key: 'short', value: 1, ttl: 300 },
      { key: 'long', value: 2, ttl: 60_000 },
    ])
    await expect.poll(() => cache.mget(['short', 'long']), { timeout: 3000 }).toEqual([undefined, 2])
  })
})

it('clear removes everything of its namespace, from all nodes, and nothing of another', async () => {
  const other = createCache({ stores: [keyvOn(unique())] })
  await other.set('k0', 'other')
  await cache.mset(keys.map((key) => ({ key, value: key })))
  await cache.clear()
  expect(await cache.mget(keys)).toEqual(keys.map(() => undefined))
  expect(await other.get('k0')).toBe('other')
  await other.clear()
})

describe('wrap', () => {
  it('calls once, and then serves what was stored', async () => {
    let calls = 0
    const load = async () => ({ calls: ++calls })
    expect(await cache.wrap('w', load, 60_000)).toEqual({ calls: 1 })
    expect(await cache.wrap('w', load, 60_000)).toEqual({ calls: 1 })
  })

  it('shares a call among those who ask at once', async () => {
    let calls = 0
    const load = async () => {
      await sleep(20)
      return ++calls
    }
    expect(await Promise.all([1, 2, 3].map(() => cache.wrap('w', load)))).toEqual([1, 1, 1])
  })

  it('takes the ttl from the value, and stores no failure', async () => {
    await expect(cache.wrap('w', () => Promise.reject(new Error('no origin')))).rejects.toThrow('no origin')
    await cache.wrap(
      'w',
      async () => 300,
      (value) => value,
    )
    expect(await cache.get('w')).toBe(300)
    await expect.poll(() => cache.get('w'), { timeout: 3000 }).toBeUndefined()
  })

  it('refreshes behind the back of a reader below refreshThreshold, and serves the older value meanwhile', async () => {
    let calls = 0
    const load = async () => ++calls
    const options = { ttl: 60_000, refreshThreshold: 59_950 }
    expect(await cache.wrap('w', load, options)).toBe(1)
    await sleep(80)
    expect(await cache.wrap('w', load, options)).toBe(1)
    await expect.poll(() => cache.get('w')).toBe(2)
  })

  it('tells the raw entry where asked', async () => {
    await cache.wrap('w', async () => 'v', 60_000)
    const entry = await cache.wrap('w', async () => 'v', { ttl: 60_000, raw: true })
    expect(entry).toMatchObject({ value: 'v', expires: expect.any(Number) })
  })

  it('fills a first level from it', async () => {
    const memory = new Keyv()
    const both = createCache({ stores: [memory, keyvOn(namespace)] })
    await cache.set('w', 'from redis', 60_000)
    expect(await both.wrap('w', async () => 'loaded', 60_000)).toBe('from redis')
    expect(await memory.get('w')).toBe('from redis')
  })
})

it('events tell what happened', async () => {
  const heard: string[] = []
  cache.on('set', ({ key }) => heard.push(`set ${key}`))
  cache.on('del', ({ key }) => heard.push(`del ${key}`))
  cache.on('clear', () => heard.push('clear'))
  await cache.set('a', 1)
  await cache.del('a')
  await cache.clear()
  expect(new Set(heard)).toEqual(new Set(['set a', 'del a', 'clear']))
})
