/** What unstorage 1 documents of a driver and of a storage that stands on one. */

import { unstorageDriver } from 'slotwise/cache/unstorage'
import { createStorage, type Driver, prefixStorage, restoreSnapshot, type Storage, snapshot } from 'unstorage'
import redisDriver from 'unstorage/drivers/redis'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { open, patient, roots, theirs, unique } from './subject.js'

const port = theirs ? undefined : await open()
afterAll(async () => await port?.close())

const name = unique()
const driverFor = (base: string): Driver =>
  port === undefined
    ? redisDriver({ cluster: roots, base, clusterOptions: {} })
    : unstorageDriver(port, { name, base, ...patient })

let driver: Driver
let storage: Storage
beforeEach(() => {
  driver = driverFor(unique())
  storage = createStorage({ driver })
})
afterEach(async () => await storage.dispose())

/** As many as lie on every primary. */
const MANY = 60
const many = (base: string) => Array.from({ length: MANY }, (_, i) => `${base}:${i}`)
const fill = async (keys: readonly string[]) => {
  for (const key of keys) await storage.setItem(key, `value of ${key}`)
}
const sorted = (keys: readonly string[]) => keys.toSorted()

describe('items', () => {
  it('are absent at first: null, false and no keys', async () => {
    expect(await storage.hasItem('s1:a')).toBe(false)
    expect(await storage.getItem('s2:a')).toBeNull()
    expect(await storage.getItemRaw('s2:a')).toBeNull()
    expect(await storage.getKeys()).toEqual([])
  })

  it('are there once they are set, without what follows a question mark', async () => {
    await storage.setItem('s1:a', 'text')
    await storage.setItem('s3:a?q=1', 'asked')
    expect(await storage.hasItem('s1:a')).toBe(true)
    expect(await storage.getItem('s1:a')).toBe('text')
    expect(await storage.getItem('s3:a?q=2')).toBe('asked')
  })

  it.each([[0], [false], [true], [''], [null], [{ deep: [1, { a: 'ü' }] }], [[1, 2]], ['plain text']])(
    'keep %j',
    async (value) => {
      await storage.setItem('value', value)
      expect(await storage.getItem('value')).toEqual(value)
      expect(await storage.hasItem('value')).toBe(true)
    },
  )

  it('are stored as toJSON says, and refused where nothing says how', async () => {
    class Told {
      toJSON = () => ({ told: true })
    }
    class Untold {
      n = 1
    }
    await storage.setItem('told', new Told() as unknown as object)
    expect(await storage.getItem('told')).toEqual({ told: true })
    await expect(storage.setItem('untold', new Untold())).rejects.toThrow('Cannot stringify')
  })

  it('are removed, one by one, also by undefined', async () => {
    await fill(['a', 'b', 'c'])
    await storage.removeItem('a')
    await storage.setItem('b', undefined as unknown as string)
    expect(await storage.getKeys()).toEqual(['c'])
    expect(await storage.getItem('a')).toBeNull()
  })

  it('end after their ttl, which is in seconds', async () => {
    await storage.setItem('short', 'v', { ttl: 1 })
    await storage.setItem('long', 'v', { ttl: 60 })
    expect(await storage.getItem('short')).toBe('v')
    await expect.poll(() => storage.getItem('short'), { timeout: 3000 }).toBeNull()
    expect(await storage.getItem('long')).toBe('v')
  })
})

describe('raw values', () => {
  it.each([
    ['a Uint8Array', new Uint8Array([0, 1, 2, 255, 128])],
    ['a Buffer', Buffer.from([0, 1, 2, 255, 128])],
    ['no bytes at all', new Uint8Array(0)],
    ['a part of a larger buffer', new Uint8Array([9, 0, 1, 2, 9]).subarray(1, 4)],
  ])('keep %s byte for byte', async (_, value) => {
    await storage.setItemRaw('raw.bin', value)
    const read = await storage.getItemRaw<Uint8Array>('raw.bin')
    expect.assert(read instanceof Uint8Array)
    expect([...read]).toEqual([...value])
  })

  it('keep text', async () => {
    await storage.setItemRaw('raw.txt', 'text ü😀')
    expect(await storage.getItemRaw('raw.txt')).toBe('text ü😀')
  })

  it('have a ttl as well', async () => {
    await storage.setItemRaw('raw.bin', new Uint8Array([1]), { ttl: 1 })
    await expect.poll(() => storage.getItemRaw('raw.bin'), { timeout: 3000 }).toBeNull()
  })
})

describe('many at once', () => {
  it('are read in the order asked for, each with its key, absent ones as null', async () => {
    const keys = many('t')
    await fill(keys)
    const read = await storage.getItems([...keys, 't:absent'])
    expect(read).toEqual([
      ...keys.map((key) => ({ key, value: `value of ${key}` })),
      { key: 't:absent', value: null },
    ])
  })

  it('are set, each with its own ttl', async () => {
    const items = many('t').map((key) => ({ key, value: `set ${key}` }))
    await storage.setItems([...items, { key: 't:short', value: 'v', options: { ttl: 1 } }])
    expect(await storage.getItem('t:59')).toBe('set t:59')
    expect(await storage.getItem('t:0')).toBe('set t:0')
    await expect.poll(() => storage.hasItem('t:short'), { timeout: 3000 }).toBe(false)
    expect((await storage.getKeys('t')).length).toBe(MANY)
  })
})

describe('keys', () => {
  it('are listed from all primaries, each once', async () => {
    await fill(many('t'))
    expect(sorted(await storage.getKeys())).toEqual(sorted(many('t')))
  })

  it('are listed below a base, which ends at a colon', async () => {
    await fill(['s1:a', 's1:b:c', 's10:a', 's2:s1:a', 's1'])
    expect(sorted(await storage.getKeys('s1'))).toEqual(['s1:a', 's1:b:c'])
    expect(await storage.getKeys('s1:b')).toEqual(['s1:b:c'])
    expect(await storage.getKeys('s3')).toEqual([])
  })

  it('are listed down to a depth', async () => {
    await fill(['a0', 'a:b0', 'a:b:c0', 'a:b:c1'])
    expect(await storage.getKeys(undefined, { maxDepth: 0 })).toEqual(['a0'])
    expect(sorted(await storage.getKeys(undefined, { maxDepth: 1 }))).toEqual(['a0', 'a:b0'])
    expect(sorted(await storage.getKeys('a', { maxDepth: 2 }))).toEqual(['a:b0', 'a:b:c0', 'a:b:c1'])
  })

  it.each([
    'with space',
    'with{brace}',
    'star*',
    'mark[1]',
    'back\\slash',
    'ü😀',
    '%25',
    '#',
    '@',
    'quo\'te"',
  ])('may hold %j', async (part) => {
    const key = `odd:${part}`
    await storage.setItem(key, 'v')
    expect(await storage.getItem(key)).toBe('v')
    const [listed = ''] = await storage.getKeys('odd')
    expect(await storage.getItem(listed)).toBe('v')
  })
})

describe('clear', () => {
  it('removes everything from all primaries, and nothing is also something to clear', async () => {
    await fill(many('t'))
    await storage.clear()
    expect(await storage.getKeys()).toEqual([])
    await storage.clear()
    expect(await storage.getItem('t:0')).toBeNull()
  })

  // A storage asks it of what is mounted below the base alone.
  it('of a driver removes what is below a base, and leaves the rest', async () => {
    await fill([...many('gone'), ...many('gone2'), 'gone'])
    await driver.clear?.('gone:', {})
    expect(sorted(await storage.getKeys())).toEqual(sorted(['gone', ...many('gone2')]))
  })

  it('leaves what a driver with another base holds, also one that begins alike', async () => {
    const base = unique()
    const [one, other] = [driverFor(base), driverFor(`${base}:more`)].map((made) =>
      createStorage({ driver: made }),
    )
    expect.assert(one !== undefined && other !== undefined)
    await one.setItem('a', 'one')
    await other.setItem('a', 'other')
    expect(await one.getKeys()).toEqual(['a'])
    await one.clear()
    expect(await other.getItem('a')).toBe('other')
    await Promise.all([one.dispose(), other.dispose()])
  })
})

describe('meta', () => {
  it('of ones own is kept beside the item, unlisted, and removed with it where asked', async () => {
    await storage.setItem('a', 'v')
    await storage.setMeta('a', { flag: 1 })
    expect(await storage.getMeta('a')).toMatchObject({ flag: 1 })
    expect(await storage.getKeys()).toEqual(['a'])
    await storage.removeItem('a', { removeMeta: true })
    expect(await storage.getMeta('a')).toEqual({})
  })

  it('of the driver tells when it was stored, and when it ends', async () => {
    const from = Date.now()
    await storage.setItem('ends', 'v', { ttl: 60 })
    await storage.setItem('stays', 'v')
    const ends = await storage.getMeta('ends', { nativeOnly: true })
    expect.assert(ends.mtime instanceof Date && ends.ttl !== undefined)
    expect(Math.abs(ends.mtime.getTime() - from)).toBeLessThan(5000)
    expect(ends.ttl).toBeGreaterThan(50)
    expect(ends.ttl).toBeLessThanOrEqual(60)
    const stays = await storage.getMeta('stays', { nativeOnly: true })
    expect(stays.mtime).toBeInstanceOf(Date)
    expect(stays.ttl).toBeUndefined()
    expect(await storage.getMeta('absent')).toEqual({})
  })
})

describe('a storage on it', () => {
  it('tells of the changes of its own process', async () => {
    const heard: string[] = []
    const unwatch = await storage.watch((event, key) => heard.push(`${event} ${key}`))
    await storage.setItem('a', 'v')
    await storage.removeItem('a')
    await unwatch()
    await storage.setItem('a', 'v')
    expect(heard).toEqual(['update a', 'remove a'])
  })

  it('is seen through a prefix', async () => {
    const prefixed = prefixStorage(storage, 'pre')
    await storage.setItem('a', 'outside')
    await prefixed.setItem('a', 'inside')
    expect(await storage.getItem('pre:a')).toBe('inside')
    expect(await prefixed.getKeys()).toEqual(['a'])
    await prefixed.removeItem('a')
    expect(await storage.getKeys()).toEqual(['a'])
  })

  it('is mounted below a base, and unmounted again', async () => {
    const mounted = driverFor(unique())
    storage.mount('deep', mounted)
    await storage.setItem('deep:x:y', 'v')
    await storage.setItem('other', 'v')
    expect(await createStorage({ driver: mounted }).getKeys()).toEqual(['x:y'])
    expect(sorted(await storage.getKeys())).toEqual(['deep:x:y', 'other'])
    expect(await storage.getKeys('deep:x')).toEqual(['deep:x:y'])
    await storage.clear('deep')
    expect(await storage.getKeys()).toEqual(['other'])
    await storage.unmount('deep')
  })

  it('is saved and restored, bytes too', async () => {
    const bytes = new Uint8Array([0, 200, 3])
    await storage.setItem('s:a', { n: 1 })
    await storage.setItem('s:b', 'text')
    await storage.setItemRaw('s:c', bytes)
    const saved = await snapshot(storage, 's')
    await storage.clear()
    await restoreSnapshot(storage, saved, 's')
    expect(await storage.getItem('s:a')).toEqual({ n: 1 })
    expect(await storage.getItem('s:b')).toBe('text')
    const read = await storage.getItemRaw<Uint8Array>('s:c')
    expect([...(read ?? [])]).toEqual([...bytes])
  })

  it('may be disposed of twice', async () => {
    await storage.setItem('a', 'v')
    await storage.dispose()
    await expect(storage.dispose()).resolves.toBeUndefined()
  })
})
