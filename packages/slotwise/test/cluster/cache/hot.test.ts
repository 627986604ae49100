import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Cache, type CacheOptions, type HotKey } from '../../../src/cache/index.js'
import { connect } from '../../../src/ioredis/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { rounds } from '../../support/budget.js'
import { measuring } from '../../support/staleness.js'
import { refuse } from './caches.js'
import { gate } from './gate.js'
import { nameOf, watched } from './watched-port.js'

let port: RedisPort
/** Another process, as far as Redis can tell. */
let elsewhere: RedisPort
beforeAll(async () => {
  const options = { nodes: inject('clusterNodes'), namespace: `hot-${randomUUID().slice(0, 8)}` }
  port = await connect(options)
  elsewhere = await connect(options)
})
afterAll(() => Promise.all([port.close(), elsewhere.close()]))

const local = { maxEntries: 10, maxStalenessMs: 1000, holds: 'hot' } as const
const POLL = { interval: 5, timeout: 5000 }

function open<T>(options: Partial<CacheOptions<T>> = {}, through = port) {
  const budgetMs = { min: 5000, max: 5000 }
  return new Cache<T>(through, { name: 'test', ttlMs: 60_000, jitter: 0, budgetMs, local, ...options })
}

/** The cache holds the entry, so its key is hot. */
async function held<T>(cache: Cache<T>, id: string): Promise<void> {
  await expect
    .poll(async () => {
      const hits = cache.stats().localHits
      await cache.get(id)
      return cache.stats().localHits - hits
    }, POLL)
    .toBe(1)
}

const isOf = ({ id: named }: HotKey, id: string) => !named.hashed && named.words[0] === id

/** Of what is read of Redis, the first is held up after its answer, until the gate is opened. */
function slowPort() {
  const [asked, go] = [gate(), gate()]
  const state = { isHeldUp: false, reads: 0 }
  const through = watched(port, undefined, async (call) => {
    if (nameOf(call) !== 'PTTL') return
    state.reads++
    if (!state.isHeldUp) return
    state.isHeldUp = false
    asked.open()
    await go.passed
  })
  return { through, asked, go, state }
}

/** A hot entry that the process does not hold any more: it was replaced by another process. */
async function coldAgain<T>(cache: Cache<T>, id: string, value: T): Promise<void> {
  await cache.set(id, value)
  await held(cache, id)
  await using other = open<T>({ local: undefined }, elsewhere)
  await other.set(id, value)
  await expect.poll(() => cache.hotKeys().find((key) => isOf(key, id))?.isHeld, POLL).toBe(false)
}

describe('a level for what is hot', () => {
  it('holds nothing that is read now and then, and what is read often', async () => {
    await using cache = open<string>()
    const cold = Array.from({ length: 50 }, () => randomUUID())
    const hot = randomUUID()
    for (const id of [...cold, hot]) await cache.set(id, 'value')
    await held(cache, hot)
    const before = cache.stats()
    for (let round = 0; round < 3; round++) for (const id of cold) await cache.getOrLoad(id, refuse)
    expect(cache.stats()).toMatchObject({ localHits: before.localHits, hits: before.hits + 150 })
    await held(cache, hot)
  })

  it('tells which keys are hot to who asks, with their tenants, and only their number in its statistics', async () => {
    await using cache = open<string>()
    const [acme, id] = [cache.forTenant('acme'), randomUUID()]
    for (let i = 0; i < 20; i++) await acme.getOrLoad(['user', id], () => 'value')
    for (let i = 0; i < 10; i++) await cache.getOrLoad(`${'x'.repeat(200)}${id}`, () => 'value')
    await cache.getOrLoad('rare', () => 'value')
    expect(cache.stats().hotKeys).toBe(2)
    const [first, second, ...rest] = cache.hotKeys()
    expect(rest).toEqual([])
    expect(first).toMatchObject({
      tenant: { hashed: false, words: 'acme' },
      id: { hashed: false, words: ['user', id] },
    })
    expect(second).toMatchObject({ id: { hashed: true } })
    // Who finds a load that has just ended looks twice.
    for (const [key, reads] of [[first, 20] as const, [second, 10] as const]) {
      expect(key?.atLeast).toBeGreaterThanOrEqual(reads)
      expect(key?.atMost).toBeLessThanOrEqual(reads + 2)
    }
    expect(second).not.toHaveProperty('tenant')
    expect(cache.hotKeys({ top: 1 })).toHaveLength(1)
    expect(() => cache.hotKeys({ top: 0 })).toThrow('top')
    await using everything = open<string>({ local: { maxEntries: 10, maxStalenessMs: 1000 } })
    await held(everything, 'rare')
    expect([everything.hotKeys(), everything.stats().hotKeys]).toEqual([[], 0])
  })

  it('refuses more entries than it can count for', () => {
    expect(() => open({ local: { ...local, maxEntries: 10_001 } })).toThrow('local.maxEntries')
    expect(() => open({ local: { ...local, holds: 'cold' as 'hot' } })).toThrow('local.holds')
  })
})

describe('reads of a hot key that are under way', () => {
  it.each(['frozen', 'copied'] as const)('are one read of Redis (%s)', async (values) => {
    const { through, asked, go, state } = slowPort()
    await using cache = open<{ at: Date | string }>({ local: { ...local, values } }, through)
    const id = randomUUID()
    await coldAgain(cache, id, { at: 'now' })
    const { reads } = state
    const { sharedReads } = cache.stats()
    state.isHeldUp = true
    const first = cache.get(id)
    await asked.passed
    const others = Array.from({ length: 20 }, () => cache.getOrLoad(id, refuse))
    await sleep(20)
    go.open()
    const all = await Promise.all([first, ...others])
    expect(all).toEqual(all.map(() => ({ at: 'now' })))
    expect(state.reads).toBe(reads + 1)
    expect(cache.stats().sharedReads).toBe(sharedReads + 20)
    expect(new Set(all).size).toBe(values === 'frozen' ? 1 : 21)
  })

  it('are not joined by who wants it exact, nor by who reads a cold key', async () => {
    const { through, asked, go, state } = slowPort()
    await using cache = open<string>({}, through)
    const [id, cold] = [randomUUID(), randomUUID()]
    await cache.set(cold, 'value')
    await coldAgain(cache, id, 'old')
    state.isHeldUp = true
    const first = cache.get(id)
    await asked.passed
    const { reads } = state
    expect(await cache.get(id, { strict: true })).toBe('old')
    expect(await Promise.all([cache.get(cold), cache.get(cold)])).toEqual(['value', 'value'])
    expect(state.reads).toBe(reads + 3)
    go.open()
    await first
    expect(cache.stats().sharedReads).toBe(0)
  })

  it('are not joined by who begins after a change of this process, or after the news of one', async () => {
    for (const change of [
      (cache: Cache<string>, id: string) => cache.set(id, 'new'),
      (cache: Cache<string>, id: string) => cache.writeThrough(id, () => 'new'),
      async (cache: Cache<string>, id: string) => {
        await using other = open<string>({ local: undefined }, elsewhere)
        // Whoever reads this one has heard of what was changed before.
        const later = randomUUID()
        await cache.set(later, 'there')
        await held(cache, later)
        await other.set(id, 'new')
        await other.invalidate(later)
        await expect.poll(() => cache.get(later), POLL).toBeUndefined()
        await sleep(50)
      },
    ]) {
      const { through, asked, go, state } = slowPort()
      await using cache = open<string>({}, through)
      const id = randomUUID()
      await coldAgain(cache, id, 'old')
      state.isHeldUp = true
      const first = cache.get(id)
      await asked.passed
      await change(cache, id)
      expect(await cache.get(id)).toBe('new')
      go.open()
      expect(await first).toBe('old')
      expect(await cache.get(id)).toBe('new')
    }
  })

  it('are not joined by who begins more than maxStalenessMs after they were sent', async () => {
    const { through, asked, go, state } = slowPort()
    await using cache = open<string>({ local: { ...local, maxStalenessMs: 100 } }, through)
    const id = randomUUID()
    await coldAgain(cache, id, 'value')
    state.isHeldUp = true
    const first = cache.get(id)
    await asked.passed
    await sleep(110)
    const { reads } = state
    expect(await cache.get(id)).toBe('value')
    expect(state.reads).toBe(reads + 1)
    go.open()
    await first
  })

  it('look at their tags each for itself, so that a change of a tag is not missed', async () => {
    const { through, asked, go, state } = slowPort()
    await using cache = open<string>({}, through)
    const [id, tag] = [randomUUID(), randomUUID()]
    await coldAgain(cache, id, 'old')
    await using other = open<string>({ local: undefined }, elsewhere)
    await other.set(id, 'old', { tags: [tag] })
    state.isHeldUp = true
    const first = cache.get(id)
    await asked.passed
    await cache.invalidateTags([tag])
    const joined = cache.get(id)
    await sleep(20)
    go.open()
    await first
    expect(await joined).toBeUndefined()
  })

  it('fail for who sent them, and not for who had joined', async () => {
    const [asked, go] = [gate(), gate()]
    let fails = false
    const failing = watched(port, async (call) => {
      if (!fails || nameOf(call) !== 'PTTL') return
      fails = false
      asked.open()
      await go.passed
      throw new Error('the connection broke')
    })
    await using cache = open<string>({}, failing)
    const id = randomUUID()
    await coldAgain(cache, id, 'value')
    fails = true
    const first = cache.get(id)
    await asked.passed
    const joined = cache.get(id)
    await sleep(20)
    go.open()
    expect(await first).toBeUndefined()
    expect(await joined).toBe('value')
  })
})

describe('under a skewed load', () => {
  const ROWS = 3000
  const HELD = 60
  const MAX_STALENESS_MS = 200
  /** Zipf's law: the n-th is read 1/n times as often as the first. */
  const sums = Array.from({ length: ROWS }, (_, i) => 1 / (i + 1)).reduce<number[]>(
    (all, weight) => [...all.slice(-ROWS), (all.at(-1) ?? 0) + weight],
    [],
  )
  const zipf = (): number => {
    const at = Math.random() * (sums.at(-1) ?? 0)
    let [low, high] = [0, ROWS - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((sums[middle] ?? 0) < at) low = middle + 1
      else high = middle
    }
    return low
  }

  it('three processes answer many reads of a few keys, hold only those, and are behind by what is allowed', async () => {
    const third = await connect({ nodes: inject('clusterNodes'), namespace: port.namespace })
    const measured = measuring({
      readers: [port, elsewhere, third],
      writer: elsewhere,
      local: { holds: 'hot', maxEntries: HELD, maxStalenessMs: MAX_STALENESS_MS },
      rows: ROWS,
      replicas: 0,
      pick: zipf,
    })
    await expect
      .poll(() => measured.seen().localHits, { timeout: 20_000 })
      .toBeGreaterThan(rounds(1000, 20_000))
    const before = measured.seen()
    const most = rounds(3000, 60_000)
    await expect.poll(() => measured.seen().reads, { timeout: 20_000 }).toBeGreaterThan(before.reads + most)
    const hot = measured.caches.map((cache) => cache.hotKeys({ top: 1000 }))
    const seen = await measured.stop()
    await third.close()
    const share = (seen.localHits - before.localHits) / (seen.reads - before.reads)
    console.log(
      `${(share * 100).toFixed(0)} % of ${seen.reads - before.reads} reads answered in the process by ${HELD} of ${ROWS} entries, ` +
        `at most ${seen.worstMs.toFixed(0)} ms behind ${seen.changes} changes`,
    )
    for (const keys of hot) {
      expect(keys.length).toBeLessThanOrEqual(HELD)
      // The one that is read most is found by every process.
      expect(keys.slice(0, 3).some((key) => isOf(key, '0'))).toBe(true)
    }
    // By Zipf's law 0.55 of all reads are of that many; every change costs a read in each process.
    expect(share).toBeGreaterThan(0.35)
    expect(seen.worstMs).toBeLessThan(MAX_STALENESS_MS + seen.stoodStillMs + 5)
  })
})
