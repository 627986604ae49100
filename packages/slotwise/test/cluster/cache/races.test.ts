import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { gate, turns } from './gate.js'
import { NaiveCache } from './naive.js'
import { loadsOfAColdEntry, type Racer, races } from './races.js'
import { nameOf, type WatchedPort, watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `races-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const ours = (watching: WatchedPort) => (): Racer =>
  new Cache(watching, { name: 'ours', ttlMs: 60_000, budgetMs: 5000 })
const naive = (watching: WatchedPort) => (): Racer => new NaiveCache(watching, { name: 'naive' })

describe('whatever overtakes whom', () => {
  it.each(Object.entries(races))('%s', async (_, race) => {
    const watching = watched(port)
    expect(await race(ours(watching), watching)).toBe('new')
  })

  it('one load answers fifteen callers in five processes', async () => {
    expect(await loadsOfAColdEntry(ours(watched(port)))).toBe(1)
  })
})

it('a caller that begins after an invalidation is not handed a value whose storing was confirmed late', async () => {
  const id = randomUUID()
  const [stored, confirmed] = [gate(), gate()]
  const late = watched(
    port,
    () => {},
    async (call) => {
      if (nameOf(call) !== 'fill') return
      stored.open()
      await confirmed.passed
    },
  )
  const reader = new Cache<string>(late, { name: 'ours', ttlMs: 60_000, budgetMs: 5000 })
  const writer = new Cache<string>(port, { name: 'ours', ttlMs: 60_000 })
  await reader.getOrLoad(id, () => 'old')
  await stored.passed
  await writer.invalidate(id)
  const after = reader.getOrLoad(id, () => 'new')
  await expect.poll(() => reader.stats().misses).toBe(2)
  await turns()
  confirmed.open()
  expect(await after).toBe('new')
})

describe('the textbook version, by which these races are known to be real', () => {
  it.each(Object.entries(races))('fails: %s', async (_, race) => {
    const watching = watched(port)
    expect(await race(naive(watching), watching)).toBe('old')
  })

  it('loads a cold entry once in every process', async () => {
    expect(await loadsOfAColdEntry(naive(watched(port)))).toBe(5)
  })
})
