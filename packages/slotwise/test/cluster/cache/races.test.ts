import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { connect } from '../../../src/ioredis/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { NaiveCache } from './naive.js'
import { loadsOfAColdEntry, type Racer, races } from './races.js'
import { type WatchedPort, watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await connect({ nodes: inject('clusterNodes'), namespace: `races-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const ours = (watching: WatchedPort) => (): Racer => new Cache(watching, { name: 'ours', ttlMs: 60_000 })
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

describe('the textbook version, by which these races are known to be real', () => {
  it.each(Object.entries(races))('fails: %s', async (_, race) => {
    const watching = watched(port)
    expect(await race(naive(watching), watching)).toBe('old')
  })

  it('loads a cold entry once in every process', async () => {
    expect(await loadsOfAColdEntry(naive(watched(port)))).toBe(5)
  })
})
