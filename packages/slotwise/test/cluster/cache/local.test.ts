import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Cache, type CacheOptions } from '../../../src/cache/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { listening } from '../../support/listening.js'
import { refuse } from './caches.js'
import { roundTripping } from './counted-port.js'
import { gate } from './gate.js'
import { nameOf, watched } from './watched-port.js'

let port: RedisPort
/** Another process, as far as Redis can tell. */
let elsewhere: RedisPort
beforeAll(async () => {
  const options = { nodes: inject('clusterNodes'), namespace: `local-${randomUUID().slice(0, 8)}` }
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

describe('what a process holds', () => {
  it('costs no round trip', async () => {
    const { port: through, roundTrips } = roundTripping(port)
    await using cache = open<string>({}, through)
    const id = randomUUID()
    await cache.set(id, 'value')
    await held(cache, id)
    const before = roundTrips()
    expect(await cache.getOrLoad(id, refuse)).toBe('value')
    expect(await cache.get(id)).toBe('value')
    expect(await cache.getMany([id, id])).toEqual(['value', 'value'])
    expect(await cache.read(id)).toMatchObject({ found: true, value: 'value', source: 'local', stale: false })
    expect(await cache.fetch(id, refuse)).toMatchObject({ value: 'value', source: 'local', how: 'hit' })
    expect(roundTrips()).toBe(before)
  })

  it('costs none with its tags checked', async () => {
    const { port: through, roundTrips } = roundTripping(port)
    await using cache = open<string>({}, through)
    const id = randomUUID()
    await cache.set(id, 'value', { tags: ['org:7/users', 'b'] })
    await held(cache, id)
    const before = roundTrips()
    expect(await cache.getOrLoad(id, { tags: ['org:7/users', 'b'] }, refuse)).toBe('value')
    expect(roundTrips()).toBe(before)
  })

  it.each([
    ['named by their reader', { tags: ['org:7/users', 'b'] }],
    ['of whom the entries tell', {}],
  ])('costs each tag of many entries once, %s', async (_, options) => {
    const ids = Array.from({ length: 20 }, () => randomUUID())
    await using other = open<string>({ local: undefined }, elsewhere)
    for (const id of ids) await other.set(id, 'value', { tags: ['org:7/users', 'b'] })
    const asked: string[] = []
    const through = watched(port, (call) => {
      if (!('script' in call) && call.key.includes(':tag:')) asked.push(call.key)
    })
    await using cache = open<string>({}, through)
    const results = await cache.getOrLoadMany(ids, options, () => refuse())
    expect(results.map((result) => result.status === 'fulfilled' && result.value)).toEqual(
      ids.map(() => 'value'),
    )
    expect(asked).toHaveLength(3)
    expect(new Set(asked).size).toBe(3)
  })

  it('is asked for anew by who wants it exact', async () => {
    const { port: through, roundTrips } = roundTripping(port)
    await using cache = open<string>({}, through)
    const id = randomUUID()
    await cache.set(id, 'value', { tags: ['a'] })
    await held(cache, id)
    const trips = async (act: () => Promise<unknown>) => {
      const before = roundTrips()
      await act()
      return roundTrips() - before
    }
    expect(await trips(() => cache.getOrLoad(id, { strict: true, tags: ['a'] }, refuse))).toBe(1)
    expect(await trips(() => cache.get(id, { strict: true }))).toBe(2)
    expect(await trips(() => cache.getMany([id], { strict: true }))).toBe(2)
    expect(await trips(() => cache.read(id, { strict: true }))).toBe(2)
  })

  it('is bounded in entries and in bytes', async () => {
    await using few = open<string>({ local: { ...local, maxEntries: 2 } })
    await using small = open<string>({ local: { ...local, maxBytes: 500 } })
    const ids = Array.from({ length: 5 }, () => randomUUID())
    for (const id of ids) await few.set(id, 'x'.repeat(200))
    for (const cache of [few, small]) {
      await expect
        .poll(async () => {
          const before = cache.stats().localHits
          for (const id of ids.toReversed()) await cache.get(id)
          for (const id of ids) await cache.get(id)
          return cache.stats().localHits - before
        }, POLL)
        .toBe(2)
    }
  })

  it('is bounded in age, by when it was read', async () => {
    await using cache = open<string>({ local: { ...local, maxStalenessMs: 10_000, maxAgeMs: 150 } })
    const id = randomUUID()
    await cache.set(id, 'value')
    await held(cache, id)
    const localHits = () => cache.stats().localHits
    let last = 0
    const from = performance.now()
    // Served again and again, which is no reason to hold it for longer.
    await expect
      .poll(async () => {
        last = localHits()
        await cache.get(id)
        return localHits() - last
      }, POLL)
      .toBe(0)
    expect(performance.now() - from).toBeLessThan(1000)
  })
})

it('every answer from the process is told to who listens', async () => {
  await using cache = open<string>()
  const id = randomUUID()
  await cache.set(id, 'value')
  await held(cache, id)
  const kinds: string[] = []
  const listen = (event: unknown) => {
    const { key, kind } = event as { key: string; kind: string }
    if (key === keyIn(id)) kinds.push(kind)
  }
  subscribe('slotwise:cache', listen)
  try {
    await cache.getOrLoad(id, refuse)
    await cache.fetch(id, refuse)
  } finally {
    unsubscribe('slotwise:cache', listen)
  }
  expect(kinds).toEqual(['local', 'local'])
})

describe('a change is seen, within maxStalenessMs at the latest', () => {
  const changes: Record<string, (id: string, key: Key) => Promise<unknown>> = {
    'an invalidation elsewhere': async (id) => {
      await using other = open<string>({ local: undefined }, elsewhere)
      await other.invalidate(id)
    },
    'a tag changed elsewhere': async () => {
      await using other = open<string>({ local: undefined }, elsewhere)
      await other.invalidateTags(['a'])
    },
    'a value written elsewhere': async (id) => {
      await using other = open<string>({ local: undefined }, elsewhere)
      await other.set(id, 'new', { tags: ['a'] })
    },
    'a key removed by any program': (_, key) => elsewhere.call({ key, command: ['DEL', key] }),
    'a key that expires': (_, key) => elsewhere.call({ key, command: ['PEXPIRE', key, 1] }),
    'all keys of a node removed': async () => {
      // Not FLUSHALL: others run on this cluster. What it does is tried on one of its own.
      await elsewhere.onEachPrimary([
        'EVAL',
        "for _, k in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', k) end",
        0,
        `${port.namespace}:*`,
      ])
    },
  }
  it.each(Object.entries(changes))('%s', async (_, change) => {
    await using cache = open<string>()
    const id = randomUUID()
    await cache.set(id, 'old', { tags: ['a'] })
    await held(cache, id)
    await change(id, keyIn(id))
    const from = performance.now()
    while ((await cache.get(id)) === 'old' && performance.now() - from <= local.maxStalenessMs) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await cache.get(id)).not.toBe('old')
  })

  it('one of this process is seen at once', async () => {
    await using cache = open<string>()
    const id = randomUUID()
    for (let round = 0; round < 20; round++) {
      await cache.set(id, `${round}`, { tags: ['a'] })
      expect(await cache.get(id)).toBe(`${round}`)
      await held(cache, id)
      await cache.invalidate(id)
      expect(await cache.get(id)).toBeUndefined()
      await cache.set(id, `${round}`, { tags: ['a'] })
      await held(cache, id)
      await cache.invalidateTags(['a'])
      expect(await cache.get(id)).toBeUndefined()
      await cache.writeThrough(id, { tags: ['a'] }, () => 'written')
      expect(await cache.get(id)).toBe('written')
      await held(cache, id)
      await cache.mutate({ tags: ['a'] }, () => {})
      expect(await cache.get(id)).toBeUndefined()
    }
  })
})

describe('one of this process is seen at once, whatever is read while it is on its way', () => {
  const own: Record<
    string,
    readonly [heldUp: string, change: (cache: Cache<string>, id: string) => unknown]
  > = {
    invalidate: ['DEL', (cache, id) => cache.invalidate(id)],
    invalidateTags: ['HDEL', (cache) => cache.invalidateTags(['a'])],
    set: ['store', (cache, id) => cache.set(id, 'new')],
    mutate: ['intend', (cache, id) => cache.mutate({ ids: [id] }, () => {})],
    'mutate of a tag': ['intend', (cache) => cache.mutate({ tags: ['a'] }, () => {})],
    writeThrough: ['intend', (cache, id) => cache.writeThrough(id, () => 'new')],
  }
  it.each(Object.entries(own))('%s', async (_, [heldUp, change]) => {
    const [asked, go] = [gate(), gate()]
    let isHeldUp = false
    let isHalfOpen = false
    const slow = watched(listening(port, { isHalfOpen: () => isHalfOpen }), async (call) => {
      if (!isHeldUp || nameOf(call) !== heldUp) return
      asked.open()
      await go.passed
    })
    await using cache = open<string>({ local: { ...local, maxStalenessMs: 10_000 } }, slow)
    const id = randomUUID()
    await cache.set(id, 'old', { tags: ['a'] })
    await held(cache, id)
    isHeldUp = true
    const changing = change(cache, id)
    await asked.passed
    await held(cache, id)
    // What the servers tell comes late, or never.
    isHalfOpen = true
    go.open()
    await changing
    expect(await cache.get(id)).not.toBe('old')
  })
})

describe('a read that a change overtakes', () => {
  const moments = {
    'while its answer is on its way': ['PTTL', []],
    'while its tags are looked at': ['HGET', ['a']],
  } as const
  it.each(Object.entries(moments))('is held by nobody: %s', async (_, [heldUp, tags]) => {
    const [asked, go] = [gate(), gate()]
    let isHeldUp = false
    // The answer is there, and whoever asked has not heard it yet.
    const slow = watched(port, undefined, async (call) => {
      if (!isHeldUp || nameOf(call) !== heldUp) return
      isHeldUp = false
      asked.open()
      await go.passed
    })
    await using cache = open<string>({}, slow)
    const [id, other] = [randomUUID(), randomUUID()]
    await cache.set(id, 'old')
    // So that there is somebody who vouches.
    await held(cache, id)
    await cache.set(other, 'old', { tags })
    isHeldUp = true
    const reading = cache.get(other)
    await asked.passed
    await elsewhere.call({ key: keyIn(other), command: ['DEL', keyIn(other)] })
    // The news has arrived once a later one has.
    await elsewhere.call({ key: keyIn(id), command: ['DEL', keyIn(id)] })
    await expect.poll(() => cache.get(id), POLL).toBeUndefined()
    await new Promise((resolve) => setTimeout(resolve, 50))
    go.open()
    expect(await reading).toBe('old')
    expect(await cache.get(other)).toBeUndefined()
  })
})

describe('values', () => {
  const value = { text: 'old', tags: ['a'], author: { name: 'A' } }

  it('are frozen, so that nobody changes them for the others', async () => {
    await using cache = open<typeof value>()
    const id = randomUUID()
    const loaded = await cache.getOrLoad(id, () => value)
    await held(cache, id)
    const again = await cache.getOrLoad(id, refuse)
    for (const one of [loaded, again]) {
      expect(() => one.tags.push('b')).toThrow(TypeError)
      expect(() => {
        one.author.name = 'B'
      }).toThrow(TypeError)
    }
    // The loader's own is the loader's.
    value.tags.pop()
    value.tags.push('a')
    expect(await cache.get(id)).toEqual(value)
  })

  it('are the own of each caller where that is wanted', async () => {
    await using cache = open<typeof value>({ local: { ...local, values: 'copied' } })
    const id = randomUUID()
    await cache.set(id, value)
    const first = await cache.getOrLoad(id, refuse)
    await held(cache, id)
    const mine = await cache.getOrLoad(id, refuse)
    for (const one of [first, mine]) {
      one.tags.push('mine')
      one.author.name = 'mine'
    }
    expect(await cache.getOrLoad(id, refuse)).toEqual(value)
  })

  it('are decoded for each caller where they cannot be frozen', async () => {
    const serializer = {
      id: 99,
      encode: (date: unknown) => Buffer.from(String((date as Date).getTime())),
      decode: (bytes: Uint8Array) => new Date(Number(Buffer.from(bytes).toString())),
    }
    await using cache = open<Date>({ serializer, name: 'dates' })
    const id = randomUUID()
    await cache.set(id, new Date(5))
    const mine = await cache.getOrLoad(id, refuse)
    await expect
      .poll(async () => {
        await cache.get(id)
        return cache.stats().localHits
      }, POLL)
      .toBeGreaterThan(0)
    mine.setTime(6)
    ;(await cache.getOrLoad(id, refuse)).setTime(7)
    expect((await cache.getOrLoad(id, refuse)).getTime()).toBe(5)
  })
})

describe('options that make no sense', () => {
  it.each([
    { maxEntries: 0, maxStalenessMs: 10 },
    { maxEntries: 10, maxStalenessMs: 0 },
    { maxEntries: 10, maxStalenessMs: Number.NaN },
    { maxEntries: 10, maxStalenessMs: 10, maxBytes: 0 },
    { maxEntries: 10, maxStalenessMs: 10, maxAgeMs: -1 },
    { maxEntries: 10, maxStalenessMs: 10, values: 'mine' as 'frozen' },
  ])('are refused: %j', (options) => {
    expect(() => open({ local: options })).toThrow(expect.objectContaining({ code: 'CONFIGURATION' }))
  })
})
