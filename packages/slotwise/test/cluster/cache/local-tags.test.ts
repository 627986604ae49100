import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Cache, type CacheOptions } from '../../../src/cache/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { listening } from '../../support/listening.js'
import { refuse } from './caches.js'
import { gate, turns } from './gate.js'
import { nameOf, watched } from './watched-port.js'

let port: RedisPort
/** Another process, as far as Redis can tell. */
let elsewhere: RedisPort
beforeAll(async () => {
  const options = { nodes: inject('clusterNodes'), namespace: `ltags-${randomUUID().slice(0, 8)}` }
  port = await connect(options)
  elsewhere = await connect(options)
})
afterAll(() => Promise.all([port.close(), elsewhere.close()]))

const BUDGET = { min: 5000, max: 5000 }
const local = { maxEntries: 100, maxStalenessMs: 1000 }

function open<T>(options: Partial<CacheOptions<T>> = {}, through = port) {
  return new Cache<T>(through, {
    name: 'test',
    ttlMs: 60_000,
    jitter: 0,
    budgetMs: BUDGET,
    local,
    ...options,
  })
}

const keyIn = (id: string): Key => keyOf({ namespace: port.namespace, pattern: 'cache', name: 'test' }, id)

/** The cache holds the entry, and what holds it is vouched for. */
async function held<T>(cache: Cache<T>, id: string): Promise<void> {
  const before = () => cache.stats().localHits
  await expect
    .poll(async () => {
      const hits = before()
      await cache.get(id)
      return before() - hits
    }, POLL)
    .toBe(1)
}
const POLL = { interval: 5, timeout: 5000 }

describe('what a tag is found to be', () => {
  it('is known to its reader, though the level has no room for it', async () => {
    await using cache = open<string>({ local: { ...local, maxEntries: 1 } })
    const id = randomUUID()
    // So many more than there is room for.
    await cache.set(id, 'value', { tags: ['a', 'b', 'c', 'd', 'e', 'f'] })
    for (let i = 0; i < 20; i++) expect(await cache.getOrLoad(id, refuse)).toBe('value')
  })

  it('stays known while others load what bears it', async () => {
    await using cache = open<string>()
    await using other = open<string>({ local: undefined }, elsewhere)
    const [id, tag] = [randomUUID(), randomUUID()]
    await other.set(id, 'value', { tags: [tag] })
    await held(cache, id)
    const before = cache.stats().localHits
    for (let i = 0; i < 20; i++) {
      await other.getOrLoad(randomUUID(), { tags: [tag] }, () => 'another')
      // What is told of a change by then has been told.
      await elsewhere.call({ key: keyIn(id), command: ['EXISTS', keyIn(id)] })
      await turns()
      await cache.get(id)
    }
    expect(cache.stats().localHits - before).toBeGreaterThan(15)
  })

  it('is not taken back by an answer to who had asked before', async () => {
    const [id, tag] = [randomUUID(), randomUUID()]
    const holding: { tag?: Promise<void> | undefined; entry?: Promise<void> | undefined } = {}
    let tagsAnswered = 0
    const through = watched(port, undefined, async (call) => {
      const key = 'command' in call ? String(call.command[1]) : ''
      const kind = key.includes(':tag:') ? 'tag' : nameOf(call) === 'HMGET' ? 'entry' : undefined
      if (kind === undefined) return
      const until = holding[kind]
      holding[kind] = undefined
      await until
      if (kind === 'tag') tagsAnswered++
    })
    await using cache = open<string>({}, through)
    await using other = open<string>({ local: undefined }, elsewhere)
    await other.set(id, 'old', { tags: [tag] })
    const [late, entry] = [gate(), gate()]
    holding.tag = late.passed
    const before = cache.get(id, { strict: true })
    await expect.poll(() => holding.tag === undefined, POLL).toBe(true)
    await other.invalidateTags([tag])
    holding.entry = entry.passed
    const after = cache.getOrLoad(id, { tags: [tag], strict: true }, () => 'new')
    await expect.poll(() => holding.entry === undefined, POLL).toBe(true)
    await expect.poll(() => tagsAnswered, POLL).toBe(1)
    await turns()
    late.open()
    expect(await before).toBe('old')
    entry.open()
    expect(await after).toBe('new')
  })

  it('is heard of for as long as an entry bears it, though others have taken its place in the level', async () => {
    await using cache = open<string>({ local: { maxEntries: 2, maxStalenessMs: 1000 } })
    await using other = open<string>({ local: undefined }, elsewhere)
    const [id, tag] = [randomUUID(), randomUUID()]
    await other.set(id, 'old', { tags: [tag] })
    await held(cache, id)
    // More tags than there is room for, one entry after the other, while this one goes on being read.
    for (let n = 0; n < 4; n++) {
      const beside = randomUUID()
      await other.set(beside, 'value', { tags: Array.from({ length: 4 }, () => randomUUID()) })
      await held(cache, beside)
      await cache.get(id)
    }
    await held(cache, id)
    await other.invalidateTags([tag])
    await expect.poll(() => cache.get(id), { interval: 5, timeout: local.maxStalenessMs }).toBeUndefined()
  })

  it('is asked of Redis before a load, whatever is held of it: what is stored under it counts for others', async () => {
    let isHalfOpen = false
    const deaf = listening(port, { isHalfOpen: () => isHalfOpen })
    await using cache = open<string>({ local: { maxEntries: 100, maxStalenessMs: 10_000 } }, deaf)
    await using other = open<string>({ local: undefined }, elsewhere)
    const [id, beside, tag] = [randomUUID(), randomUUID(), randomUUID()]
    await other.set(beside, 'value', { tags: [tag] })
    await held(cache, beside)
    isHalfOpen = true
    await other.invalidateTags([tag])
    // It does not know of the change, as far as it may.
    expect(await cache.get(beside)).toBe('value')
    expect(await cache.getOrLoad(id, { tags: [tag] }, () => 'loaded')).toBe('loaded')
    await expect.poll(() => other.get(id), POLL).toBe('loaded')
  })
})
