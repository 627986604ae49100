import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { connect } from '../../../src/ioredis/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { refuse } from './caches.js'

let port: RedisPort
beforeAll(async () => {
  port = await connect({ nodes: inject('clusterNodes'), namespace: `trace-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const IDS = 300
const REQUESTS = 3000
const ENTRIES = 50
/** So long that nothing has to be proved again meanwhile: what is counted is what is held. */
const LOCAL = { maxEntries: ENTRIES, maxStalenessMs: 60_000 }

/** Some ids are asked for much more often than others, the same each time (a Lehmer generator). */
function requests(): readonly string[] {
  let state = 42
  return Array.from({ length: REQUESTS }, () => {
    state = (state * 48_271) % 2_147_483_647
    return String(Math.floor((state / 2_147_483_647) ** 3 * IDS))
  })
}

/** How many of them a list of the most recently used ones holds. */
function hitsOfLru(ids: readonly string[]): number {
  const held = new Set<string>()
  let hits = 0
  for (const id of ids) {
    if (held.delete(id)) hits++
    held.add(id)
    const [oldest] = held
    if (held.size > ENTRIES && oldest !== undefined) held.delete(oldest)
  }
  return hits
}

it('holds what was used last: no more is read from Redis than any list of that size would have to', async () => {
  const options = { name: 'trace', ttlMs: 60_000 }
  await using filler = new Cache<string>(port, options)
  for (const id of new Set(requests())) await filler.set(id, id)
  await using cache = new Cache<string>(port, {
    ...options,
    local: LOCAL,
    budgetMs: { min: 5000, max: 5000 },
  })
  const first = 'heard from the beginning'
  await filler.set(first, first)
  const hits = () => cache.stats().localHits
  await expect.poll(async () => (await cache.get(first)) && hits(), { interval: 5 }).toBeGreaterThan(0)

  const ids = requests()
  const before = hits()
  for (const id of ids) expect(await cache.getOrLoad(id, refuse)).toBe(id)
  // What was asked for first takes the place of one entry, until it goes: it is the least recently used one by then.
  expect(hits() - before).toBe(hitsOfLru(ids))
})
