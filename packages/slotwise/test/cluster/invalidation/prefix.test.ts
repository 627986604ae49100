import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { removePrefix, TagVersions } from '../../../src/invalidation/index.js'
import type { Key, RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { nameOf, watched } from '../cache/watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `prefix-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const set = (keys: readonly Key[]) => port.pipeline(keys.map((key) => ({ key, command: ['SET', key, 'x'] })))
const left = async (keys: readonly Key[]) => {
  const all = await port.pipeline(keys.map((key) => ({ key, command: ['EXISTS', key] })))
  return keys.filter((_, i) => all[i]?.status === 'fulfilled' && all[i].value === 1)
}
const many = (prefix: string) =>
  Array.from({ length: 40 }, (_, n) => `${port.namespace}:${prefix}${n}` as Key)

it('every key that begins like this goes, from every primary, and no other', async () => {
  const [those, others] = [many('price:'), many('prices:')]
  await set([...those, ...others])
  expect(await removePrefix(port, `${port.namespace}:price:`)).toBe(40)
  expect(await left(those)).toEqual([])
  expect(await left(others)).toEqual(others)
  expect(await removePrefix(port, `${port.namespace}:price:`)).toBe(0)
})

it('what is special in a pattern is not in a prefix', async () => {
  const odd = ['a*', 'b?', '[c]', 'd\\', '^e-'].map((prefix) => many(prefix))
  const others = ['abc', 'b1', 'c', 'd', 'e-'].map((prefix) => many(prefix))
  await set([...odd, ...others].flat())
  for (const prefix of ['a*', 'b?', '[c]', 'd\\', '^e-']) {
    expect(await removePrefix(port, `${port.namespace}:${prefix}`)).toBe(40)
  }
  expect(await left(others.flat())).toEqual(others.flat())
})

it('a whole cache is emptied, and what is being loaded for it is not stored', async () => {
  const name = `c${randomUUID().slice(0, 8)}`
  await using cache = new Cache<string>(port, { name, ttlMs: 60_000, budgetMs: 5000 })
  await cache.set('a', 'old')
  const loaded = await cache.getOrLoad('b', async () => {
    await removePrefix(port, `${port.namespace}:cache:${name}:`)
    return 'old'
  })
  expect(loaded).toBe('old')
  expect(await cache.getOrLoad('b', () => 'new')).toBe('new')
  expect(await cache.get('a')).toBeUndefined()
})

it('all tags of a name change', async () => {
  const name = `t${randomUUID().slice(0, 8)}`
  await using tags = new TagVersions(port, { name })
  const snapshot = await tags.snapshot(['org:7/users', 'b'])
  await removePrefix(port, `${port.namespace}:tag:${name}:`)
  expect(await tags.changedSince(snapshot)).toEqual(['b', 'org:7', 'org:7/users'])
})

it('what could not be removed is an error, and goes when it is asked for again', async () => {
  const those = many('again:')
  await set(those)
  let isRefused = true
  const refusing = watched(port, (call) => {
    if (isRefused && nameOf(call) === 'UNLINK' && 'key' in call && call.key === those[7])
      throw new Error('refused')
  })
  await expect(removePrefix(refusing, `${port.namespace}:again:`)).rejects.toThrow('refused')
  isRefused = false
  await removePrefix(refusing, `${port.namespace}:again:`)
  expect(await left(those)).toEqual([])
})

it.each(['', 7 as unknown as string, undefined as unknown as string])('%j is no prefix', async (prefix) => {
  await expect(removePrefix(port, prefix)).rejects.toMatchObject({ code: 'CONFIGURATION' })
})
