import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KeyvStore, type KeyvStoreOptions } from '../../../src/cache/keyv/index.js'
import { ClosedError, ConfigurationError, UncacheableValueError } from '../../../src/errors.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { counted } from './counted-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `keyv-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

/** A store as a Keyv of this namespace has it. */
function storeOf(namespace?: string, options: Partial<KeyvStoreOptions> = {}, through = port): KeyvStore {
  const store = new KeyvStore(through, { name: 'test', budgetMs: { min: 5000, max: 5000 }, ...options })
  store.namespace = namespace
  return store
}
const fresh = (): string => randomUUID().slice(0, 8)

async function everything(store: KeyvStore): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>()
  for await (const [key, value] of store.iterator(store.namespace)) {
    expect(found.has(String(key)), `${String(key)} twice`).toBe(false)
    found.set(String(key), value)
  }
  return found
}

describe('keys in all slots', () => {
  it('are stored, read, listed and removed, each call one pipeline whatever their number', async () => {
    const watching = counted(port)
    const space = fresh()
    const store = storeOf(space, {}, watching.port)
    const keys = Array.from({ length: 500 }, (_, i) => `${space}:${i}`)
    await store.setMany(keys.map((key) => ({ key, value: `value of ${key}` })))
    expect(await store.getMany([...keys, `${space}:absent`])).toEqual([
      ...keys.map((key) => `value of ${key}`),
      undefined,
    ])
    expect(await store.hasMany([`${space}:absent`, `${space}:1`])).toEqual([false, true])
    expect(watching.asked).toEqual(['pipeline', 'pipeline', 'pipeline'])
    expect(await everything(store)).toEqual(new Map(keys.map((key) => [key, `value of ${key}`])))
    watching.asked.length = 0
    expect(await store.deleteMany(keys.slice(0, 250))).toBe(true)
    expect(await store.deleteMany(keys.slice(0, 250))).toBe(false)
    expect(watching.asked).toEqual(['pipeline', 'pipeline'])
    await store.clear()
    expect(await everything(store)).toEqual(new Map())
  })

  it('are read in one round trip each', async () => {
    const watching = counted(port)
    const store = storeOf(fresh(), {}, watching.port)
    await store.get('a')
    await store.has('a')
    expect(watching.asked).toEqual(['call', 'call'])
  })

  it('that come twice in one call are stored as they come last', async () => {
    const store = storeOf(fresh())
    const stored: unknown = await store.setMany([
      { key: 'a', value: 'first' },
      { key: 'b', value: 'gone', ttl: -1 },
      { key: 'a', value: 'last' },
    ])
    expect(stored).toEqual([true, true, true])
    expect(await store.getMany(['a', 'b'])).toEqual(['last', undefined])
  })

  it('survive that every node forgets its scripts', async () => {
    const store = storeOf(fresh())
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`)
    await port.onEachPrimary(['SCRIPT', 'FLUSH'])
    await store.setMany(keys.map((key) => ({ key, value: key })))
    expect(await store.getMany(keys)).toEqual(keys)
  })
})

describe('keys of any kind', () => {
  const LONG = 'long '.repeat(4000)
  const ODD = [
    '{tag}',
    '{a}{b}',
    '}{',
    'a:b',
    ':',
    '::a',
    'a b',
    '*',
    '?',
    '[a]',
    '\\',
    '%',
    '%3a',
    '#',
    '@t:a',
    '\n',
    '\u0000',
    'ü',
    '😀',
    '\ud800',
    '\udc00x',
    'Ω'.repeat(128),
    LONG,
    `${LONG}!`,
    '__proto__',
    'undefined',
  ]

  it.each([undefined, 'ns', 'n{s}:x', LONG])(
    'are kept apart and come back as they were, in namespace %.20s',
    async (space) => {
      const store = storeOf(space, { name: fresh() })
      const keys = ODD.map((key) => (space === undefined ? key : `${space}:${key}`))
      await store.setMany(keys.map((key, i) => ({ key, value: `value ${i}` })))
      expect(await store.getMany(keys)).toEqual(keys.map((_, i) => `value ${i}`))
      expect(await everything(store)).toEqual(new Map(keys.map((key, i) => [key, `value ${i}`])))
      await store.clear()
      expect(await store.getMany(keys)).toEqual(keys.map(() => undefined))
    },
  )
})

describe('namespaces', () => {
  const PAIRS = [
    ['a', 'a:b'],
    ['a', 'ab'],
    [undefined, 'a'],
    ['*', 'a'],
    ['a', 'A'],
    ['x'.repeat(300), `${'x'.repeat(300)}y`],
  ] as const
  it.each(PAIRS)('%.10s and %.10s neither see nor clear each other', async (one, other) => {
    const name = fresh()
    const stores = [storeOf(one, { name }), storeOf(other, { name })] as const
    const inside = (space: string | undefined, key: string) => (space === undefined ? key : `${space}:${key}`)
    for (const [i, store] of stores.entries()) {
      for (const key of ['k', 'b:c', 'c', 'a:k']) await store.set(inside(store.namespace, key), `of ${i}`)
    }
    for (const [i, store] of stores.entries()) {
      expect([...new Set((await everything(store)).values())]).toEqual([`of ${i}`])
      expect((await everything(store)).size).toBe(4)
    }
    await stores[0].clear()
    expect((await everything(stores[0])).size).toBe(0)
    expect((await everything(stores[1])).size).toBe(4)
  })

  it('keep keys without a prefix apart from those with it', async () => {
    const space = fresh()
    const store = storeOf(space)
    await store.set('key', 'bare')
    await store.set(`${space}:key`, 'prefixed')
    expect(await store.getMany(['key', `${space}:key`])).toEqual(['bare', 'prefixed'])
    expect(await everything(store)).toEqual(
      new Map([
        ['key', 'bare'],
        [`${space}:key`, 'prefixed'],
      ]),
    )
    const elsewhere = storeOf(fresh())
    expect(await elsewhere.get('key')).toBeUndefined()
    await store.clear()
    expect(await everything(store)).toEqual(new Map())
  })

  it('that share one store are still read apart, and none is cleared by accident', async () => {
    const [one, other] = [fresh(), fresh()]
    const store = storeOf(one)
    await store.set(`${one}:k`, 'one')
    store.namespace = other
    await store.set(`${other}:k`, 'other')
    expect(await store.getMany([`${one}:k`, `${other}:k`])).toEqual(['one', 'other'])
    expect([...(await everything(store)).values()]).toEqual(['other'])
    await expect(store.clear()).rejects.toThrow(ConfigurationError)
    expect(await store.get(`${one}:k`)).toBe('one')
  })

  it('of another name, or another port’s namespace, are others', async () => {
    const elsewhere = await anyPort({ namespace: fresh() })
    try {
      const space = fresh()
      const store = storeOf(space)
      await store.set(`${space}:k`, 'v')
      for (const other of [storeOf(space, { name: 'other' }), storeOf(space, {}, elsewhere)]) {
        expect(await other.get(`${space}:k`)).toBeUndefined()
        await other.clear()
      }
      expect(await store.get(`${space}:k`)).toBe('v')
    } finally {
      await elsewhere.close()
    }
  })
})

describe('values', () => {
  it.each([
    ['text', 'ü😀'],
    ['no text', ''],
    ['half a surrogate pair', 'a\ud800b'],
    ['plain data', { value: [1, null, 'a'], expires: 5 }],
    ['null', null],
  ])('keep %s', async (_, value) => {
    for (const key of ['short', 'long'.repeat(100)]) {
      const store = storeOf(fresh())
      await store.set(key, value)
      expect(await store.get(key)).toEqual(value)
    }
  })

  it('keep bytes, and give each reader its own', async () => {
    const store = storeOf(fresh())
    await store.set('k', new Uint8Array([0, 255]))
    const first = await store.get<Uint8Array>('k')
    first?.fill(1)
    expect([...((await store.get<Uint8Array>('k')) ?? [])]).toEqual([0, 255])
  })

  it.each([
    ['undefined', undefined],
    ['a Blob', new Blob(['a'])],
    ['a Map', new Map()],
    ['a bigint', 1n],
  ])('that would come back as something else are refused, and what was there stays: %s', async (_, value) => {
    const store = storeOf(fresh())
    await store.set('k', 'before')
    await expect(store.set('k', value)).rejects.toThrow(UncacheableValueError)
    await expect(
      store.setMany([
        { key: 'other', value: 'v' },
        { key: 'k', value },
      ]),
    ).rejects.toThrow(UncacheableValueError)
    expect(await store.getMany(['k', 'other'])).toEqual(['before', undefined])
  })

  it('larger than allowed are refused', async () => {
    const store = storeOf(fresh(), { maxValueBytes: 1000 })
    await expect(store.set('k', 'x'.repeat(1000))).rejects.toThrow('more than maxValueBytes')
    expect(await store.set('k', 'x'.repeat(999))).toBe(true)
  })

  it('of several megabytes are stored, unless told otherwise, and compressed where that is asked for', async () => {
    const space = fresh()
    const store = storeOf(space, { compressOverBytes: 1000 })
    const value = 'compressible '.repeat(300_000)
    await store.set('k', value)
    expect(await store.get('k')).toBe(value)
    const key = keyFor(space, ['', 'k'])
    expect(await port.call({ key, command: ['HSTRLEN', key, 'v'] })).toBeLessThan(100_000)
  })
})

const keyFor = (tenant: string, id: readonly string[]): Key =>
  keyOf({ namespace: port.namespace, pattern: 'cache', name: 'test', tenant }, id)

describe('times to live', () => {
  const leftOf = async (space: string) => {
    const key = keyFor(space, ['', 'k'])
    return Number(await port.call({ key, command: ['PTTL', key] }))
  }
  const YEAR_MS = 365 * 86_400_000

  it('are those asked for, exactly', async () => {
    const space = fresh()
    await storeOf(space).set('k', 'v', 60_000)
    const left = await leftOf(space)
    expect(left).toBeGreaterThan(55_000)
    expect(left).toBeLessThanOrEqual(60_000)
  })

  it.each([[undefined], [Infinity], [1e15]])('of %s are a hundred years', async (ttl) => {
    const space = fresh()
    await storeOf(space).set('k', 'v', ttl)
    expect(await leftOf(space)).toBeGreaterThan(99 * YEAR_MS)
  })

  it('that are not asked for are the store’s own', async () => {
    const space = fresh()
    await storeOf(space, { ttlMs: 5000 }).set('k', 'v')
    expect(await leftOf(space)).toBeLessThanOrEqual(5000)
  })

  it.each([[0], [-5]])('of %s end at once, and so does what was there', async (ttl) => {
    const store = storeOf(fresh())
    await store.set('k', 'before')
    expect(await store.set('k', 'v', ttl)).toBe(true)
    expect(await store.has('k')).toBe(false)
  })

  it('that are parts of a millisecond are rounded up, and what is no number is refused', async () => {
    const store = storeOf(fresh())
    expect(await store.set('k', 'v', 5000.5)).toBe(true)
    expect(await store.has('k')).toBe(true)
    for (const ttl of [Number.NaN, '5' as unknown as number]) {
      await expect(store.set('k', 'v', ttl)).rejects.toThrow(ConfigurationError)
    }
  })
})

it('what a later format or another serializer has written counts as absent, and is cleared', async () => {
  const space = fresh()
  const store = storeOf(space)
  const key = keyFor(space, ['', 'k'])
  for (const bytes of [Buffer.from('anything'), Buffer.alloc(0)]) {
    await port.call({ key, command: ['HSET', key, 'v', bytes] })
    expect(await store.get('k')).toBeUndefined()
    expect(await everything(store)).toEqual(new Map())
  }
  await store.clear()
  expect(await port.call({ key, command: ['EXISTS', key] })).toBe(0)
})

it('disconnect ends the store and nothing else, and may come twice', async () => {
  const [store, other] = [storeOf(fresh()), storeOf(fresh())]
  await store.disconnect()
  await store.disconnect()
  await expect(store.get('k')).rejects.toThrow(ClosedError)
  await expect(store.clear()).rejects.toThrow(ClosedError)
  expect(await other.set('k', 'v')).toBe(true)
})
