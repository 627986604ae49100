import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type BentocacheDriver,
  type BentocacheDriverOptions,
  bentocacheDriver,
} from '../../../src/cache/bentocache/index.js'
import { ClosedError } from '../../../src/errors.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { counted } from './counted-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `bento-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const fresh = (): string => randomUUID().slice(0, 8)
const driverOf = (
  prefix: string | undefined,
  options: Partial<BentocacheDriverOptions> = {},
  through = port,
): BentocacheDriver => {
  const { factory } = bentocacheDriver(through, {
    name: 'test',
    budgetMs: { min: 5000, max: 5000 },
    ...options,
  })
  return factory({ prefix })
}
const LONG = 'long '.repeat(100)

describe('pull', () => {
  it('gives a value to one of those who ask at the same time, in one round trip', async () => {
    const watching = counted(port)
    const driver = driverOf(fresh(), {}, watching.port)
    for (const key of ['k', LONG]) {
      await driver.set(key, 'once')
      watching.asked.length = 0
      const pulled = await Promise.all(Array.from({ length: 20 }, () => driver.pull(key)))
      expect(pulled.filter((value) => value !== undefined)).toEqual(['once'])
      expect(watching.asked).toHaveLength(20)
      expect(await driver.get(key)).toBeUndefined()
    }
  })
})

describe('namespaces', () => {
  it('are cleared with those within them, long keys too, and nothing that only begins alike', async () => {
    const root = driverOf(fresh())
    const users = root.namespace('users')
    const posts = users.namespace('posts')
    const stays = ['users', 'usersx', `usersx:${LONG}`, 'user:a', LONG]
    for (const key of stays) await root.set(key, 'stays')
    for (const driver of [users, posts]) {
      for (const key of ['a', LONG, '{a}', 'ü']) await driver.set(key, 'goes')
    }
    await posts.clear()
    expect(await posts.get(LONG)).toBeUndefined()
    expect(await users.get(LONG)).toBe('goes')
    await users.clear()
    for (const key of ['a', LONG, '{a}', 'ü']) expect(await root.get(`users:${key}`)).toBeUndefined()
    for (const key of stays) expect(await root.get(key)).toBe('stays')
    await root.clear()
    for (const key of stays) expect(await root.get(key)).toBeUndefined()
  })

  it('named after several are those within each other, with a colon at the end or not', async () => {
    const root = driverOf(fresh())
    await root.namespace('a:b').set('k', 'v')
    expect(await root.namespace('a:').namespace('b').get('k')).toBe('v')
    expect(await root.get('a:b:k')).toBe('v')
  })
})

it.each([
  ['a', 'a:b'],
  ['a', 'ab'],
  [undefined, 'a'],
])('prefixes %s and %s share nothing', async (one, other) => {
  const name = fresh()
  const drivers = [driverOf(one, { name }), driverOf(other, { name })] as const
  const keys = ['b:k', 'k', 'a:k', 'a:b:k', LONG]
  for (const [i, driver] of drivers.entries()) for (const key of keys) await driver.set(key, `of ${i}`)
  for (const [i, driver] of drivers.entries())
    for (const key of keys) expect(await driver.get(key)).toBe(`of ${i}`)
  await drivers[0].clear()
  for (const key of keys) {
    expect(await drivers[0].get(key)).toBeUndefined()
    expect(await drivers[1].get(key)).toBe('of 1')
  }
})

it('removes many over all slots in one call, and a time to live of 0 is none', async () => {
  const watching = counted(port)
  const driver = driverOf(fresh(), {}, watching.port)
  const keys = Array.from({ length: 300 }, (_, i) => `k${i}`)
  await Promise.all(keys.map((key) => driver.set(key, 'v', 0)))
  expect(await driver.get('k1')).toBe('v')
  watching.asked.length = 0
  expect(await driver.deleteMany(keys)).toBe(true)
  expect(watching.asked).toEqual(['pipeline'])
  expect(await Promise.all(keys.map((key) => driver.get(key)))).toEqual(keys.map(() => undefined))
})

it('disconnect of a namespace leaves its parent, that of the root ends both and leaves the port', async () => {
  const root = driverOf(fresh())
  const users = root.namespace('users')
  await users.disconnect()
  expect(await users.set('k', 'v')).toBe(true)
  await root.disconnect()
  await expect(users.get('k')).rejects.toThrow(ClosedError)
  expect(await driverOf(fresh()).set('k', 'v')).toBe(true)
})
