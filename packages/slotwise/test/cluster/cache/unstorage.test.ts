import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type UnstorageDriverOptions, unstorageDriver } from '../../../src/cache/unstorage/index.js'
import { ClosedError, ConfigurationError, UncacheableValueError } from '../../../src/errors.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { counted } from './counted-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `unstorage-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const driverOf = (options: Partial<UnstorageDriverOptions> = {}, through = port) =>
  unstorageDriver(through, {
    name: randomUUID().slice(0, 8),
    budgetMs: { min: 5000, max: 5000 },
    ...options,
  })
const LONG = `long:${'long '.repeat(100)}`

it('reads and stores many over all slots in one call each', async () => {
  const watching = counted(port)
  const driver = driverOf({}, watching.port)
  const items = Array.from({ length: 300 }, (_, i) => ({ key: `a:${i}`, value: `value ${i}` }))
  await driver.setItems(items)
  expect(await driver.getItems(items)).toEqual(items)
  expect(watching.asked).toEqual(['pipeline', 'pipeline'])
  expect((await driver.getKeys('a:')).length).toBe(300)
})

it('lists and clears long keys below their base, as they were', async () => {
  const driver = driverOf()
  const keys = [LONG, `${LONG}:${LONG}`, 'long:a', 'longer:a', 'other:{a}:ü']
  for (const key of keys) await driver.setItem(key, 'v')
  expect((await driver.getKeys()).toSorted()).toEqual(keys.toSorted())
  expect((await driver.getKeys('long:')).toSorted()).toEqual(keys.slice(0, 3).toSorted())
  await driver.clear('long:')
  expect((await driver.getKeys('')).toSorted()).toEqual(keys.slice(3).toSorted())
})

it('keeps drivers with different bases apart, whatever the bases are made of', async () => {
  const name = randomUUID().slice(0, 8)
  const drivers = ['a', 'a:b', '*', '', LONG].map((base) => driverOf({ name, base }))
  for (const [i, driver] of drivers.entries()) await driver.setItem('b:k', `of ${i}`)
  for (const [i, driver] of drivers.entries()) {
    expect(await driver.getItem('b:k')).toBe(`of ${i}`)
    expect(await driver.getKeys()).toEqual(['b:k'])
  }
  await drivers[0]?.clear()
  expect(await Promise.all(drivers.map((driver) => driver.hasItem('b:k')))).toEqual([
    false,
    true,
    true,
    true,
    true,
  ])
})

it.each([
  ['an ArrayBuffer', new Uint8Array([1, 0, 255]).buffer],
  ['a view that is not of bytes', new Uint16Array(new Uint8Array([1, 0, 255, 3]).buffer)],
])('keeps the bytes of %s', async (_, value) => {
  const driver = driverOf()
  await driver.setItemRaw('raw', value)
  const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer)
  expect(await driver.getItemRaw('raw')).toEqual(Buffer.from(bytes))
  expect(await driver.getItem('raw')).toBe(`base64:${Buffer.from(bytes).toString('base64')}`)
})

it('refuses what it could not give back, and a ttl that is none', async () => {
  const driver = driverOf()
  await expect(driver.setItemRaw('raw', new Blob(['a']))).rejects.toThrow(UncacheableValueError)
  await expect(driver.setItem('a', 'v', { ttl: Number.NaN })).rejects.toThrow(ConfigurationError)
  expect(await driver.getKeys()).toEqual([])
})

it('tells the age of an entry by the server’s clock, and of its end only where it has one', async () => {
  const driver = driverOf()
  await driver.setItem('ends', 'v', { ttl: 100 })
  await driver.setItem('stays', 'v', { ttl: 0 })
  expect(await driver.getMeta('stays')).toEqual({ mtime: expect.any(Date) })
  const { ttl = 0 } = (await driver.getMeta('ends')) ?? {}
  expect(ttl).toBeGreaterThan(90)
  expect(ttl).toBeLessThanOrEqual(100)
  expect(await driver.getMeta('absent')).toBeNull()
  expect(await driver.getKeys()).toHaveLength(2)
})

it('leaves no trace of what is only looked for', async () => {
  const driver = driverOf()
  await driver.hasItem('a')
  await driver.getItem('b')
  await driver.getItemRaw('c')
  await driver.getMeta('d')
  expect(await driver.getKeys()).toEqual([])
})

it('ends when it is disposed of, more than once too, and leaves the port', async () => {
  const driver = driverOf()
  await driver.dispose()
  await driver.dispose()
  await expect(driver.getItem('a')).rejects.toThrow(ClosedError)
  await driverOf().setItem('a', 'v')
})

it('has no watch, so that unstorage itself tells of what its process changes', () => {
  expect('watch' in driverOf()).toBe(false)
})
