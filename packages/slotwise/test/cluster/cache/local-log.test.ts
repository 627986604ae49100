import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache, type CacheOptions } from '../../../src/cache/index.js'
import { ReplyError } from '../../../src/errors.js'
import { TagVersions } from '../../../src/invalidation/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { withoutBorrowing } from '../../support/port-with.js'
import { refuse } from './caches.js'
import { roundTripping } from './counted-port.js'
import { gate } from './gate.js'
import { nameOf, watched } from './watched-port.js'

let port: RedisPort
/** A user who may not use CLIENT TRACKING. */
let forbidden: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `log-${randomUUID().slice(0, 8)}` })
  forbidden = withoutBorrowing(port)
})
afterAll(() => port.close())

const T = 400
const POLL = { interval: 5, timeout: 5000 }

function opened(name: string, options: Partial<CacheOptions<string>> = {}, through = forbidden) {
  const local = { maxEntries: 100, maxStalenessMs: T }
  return new Cache<string>(through, {
    name,
    ttlMs: 60_000,
    jitter: 0,
    budgetMs: 5000,
    local,
    coherence: 'log',
    ...options,
  })
}
const fresh = () => `c${randomUUID().slice(0, 8)}`

async function held(cache: Cache<string>, id: string): Promise<void> {
  const isHeld = async () => {
    const before = cache.stats().localHits
    await cache.get(id)
    return cache.stats().localHits > before
  }
  await expect.poll(isHeld, POLL).toBe(true)
}

it('what is held costs no round trip, with its tags checked', async () => {
  const { port: through, roundTrips } = roundTripping(forbidden)
  await using cache = opened(fresh(), {}, through)
  await cache.set('a', 'value', { tags: ['org:7/x'] })
  await held(cache, 'a')
  // The log is read on and on; between two readings nobody is asked.
  await expect
    .poll(async () => {
      const before = roundTrips()
      const value = await cache.getOrLoad('a', { tags: ['org:7/x'] }, refuse)
      return value === 'value' && roundTrips() === before
    }, POLL)
    .toBe(true)
})

describe('a change by another process, with a level or without, is seen within maxStalenessMs', () => {
  const changes: Record<string, (cache: Cache<string>) => Promise<unknown>> = {
    invalidate: (cache) => cache.invalidate('a'),
    invalidateTags: (cache) => cache.invalidateTags(['org:7']),
    set: (cache) => cache.set('a', 'new', { tags: ['org:7'] }),
    writeThrough: (cache) => cache.writeThrough('a', () => 'new'),
    'mutate of an entry': (cache) => cache.mutate({ ids: ['a'] }, () => {}),
    'mutate of a tag': (cache) => cache.mutate({ tags: ['org:7'] }, () => {}),
    'everywhere, which waits for it': (cache) => cache.invalidate('a', { everywhere: true }),
  }
  it.each(Object.entries(changes))('%s', async (what, change) => {
    const name = fresh()
    await using holder = opened(name)
    await using other = opened(name, { local: undefined })
    await holder.set('a', 'old', { tags: ['org:7/x'] })
    await held(holder, 'a')
    await change(other)
    const from = performance.now()
    if (what.startsWith('everywhere')) expect(await holder.get('a')).not.toBe('old')
    while ((await holder.get('a')) === 'old' && performance.now() - from <= T) {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(await holder.get('a')).not.toBe('old')
  })
})

describe('a change of the database that never ends here, as by a process that dies after its commit', () => {
  const begun: Record<string, (cache: Cache<string>, change: () => Promise<string>) => Promise<unknown>> = {
    'mutate of an entry': (cache, change) => cache.mutate({ ids: ['a'] }, change),
    'mutate of a tag': (cache, change) => cache.mutate({ tags: ['org:7'] }, change),
    writeThrough: (cache, change) => cache.writeThrough('a', change),
  }
  it.each(Object.entries(begun))('is seen from its beginning: %s', async (_, begin) => {
    const name = fresh()
    await using holder = opened(name)
    const other = opened(name, { local: undefined })
    await holder.set('a', 'old', { tags: ['org:7/x'] })
    await held(holder, 'a')
    const [committed, never] = [gate(), gate()]
    const changing = begin(other, async () => {
      committed.open()
      await never.passed
      return 'new'
    })
    await committed.passed
    await expect.poll(() => holder.get('a'), { ...POLL, timeout: T }).toBeUndefined()
    never.open()
    await changing
    await other.close()
  })
})

it('what a refresh has stored before the end of what is held is seen', async () => {
  const name = fresh()
  await using holder = opened(name)
  await using other = opened(name, { local: undefined, earlyRefresh: 1000 })
  await other.getOrLoad('a', async () => {
    await new Promise((resolve) => setTimeout(resolve, 60))
    return 'old'
  })
  await held(holder, 'a')
  const refreshed = async () => {
    await other.getOrLoad('a', () => 'new')
    return await other.get('a')
  }
  await expect.poll(refreshed, POLL).toBe('new')
  await expect.poll(() => holder.get('a'), { ...POLL, timeout: T }).toBe('new')
})

describe('a change of a tag by whoever has no cache, is seen within maxStalenessMs', () => {
  const changes: Record<string, (tags: TagVersions) => Promise<unknown>> = {
    bump: (tags) => tags.bump(['org:7']),
    'mutate, from its beginning': async (tags) => {
      const [committed, never] = [gate(), gate()]
      const changing = tags.mutate(['org:7'], {}, async () => {
        committed.open()
        await never.passed
      })
      await committed.passed
      return { changing, never }
    },
  }
  it.each(Object.entries(changes))('%s', async (_, change) => {
    const name = fresh()
    await using holder = opened(name)
    await using tags = new TagVersions(forbidden, { name, coherence: 'log' })
    await holder.set('a', 'old', { tags: ['org:7/x'] })
    await held(holder, 'a')
    await change(tags)
    await expect.poll(() => holder.get('a'), { ...POLL, timeout: T }).toBeUndefined()
  })

  it('one that could not be told is pending until it is', async () => {
    const name = fresh()
    let isRefused = true
    const refusing = watched(forbidden, (call) => {
      if (isRefused && nameOf(call) === 'append') throw new Error('refused')
    })
    await using holder = opened(name)
    await using tags = new TagVersions(refusing, { name, coherence: 'log' })
    await holder.set('a', 'old', { tags: ['org:7'] })
    await held(holder, 'a')
    const error: unknown = await tags.bump(['org:7']).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'INVALIDATION_PENDING' })
    isRefused = false
    await expect((error as { settled: Promise<boolean> }).settled).resolves.toBe(true)
    await expect.poll(() => holder.get('a'), { ...POLL, timeout: T }).toBeUndefined()
  })
})

it('a mutation whose end a server without memory refuses, and that removes the entry instead, is seen', async () => {
  const name = fresh()
  const full = watched(forbidden, (call) => {
    if (nameOf(call) === 'settle') throw new ReplyError('OOM command not allowed')
  })
  await using holder = opened(name)
  await using other = opened(name, { local: undefined }, full)
  // Told to nobody: what the log says of it later would have the holder look again.
  await using silent = opened(name, { local: undefined, coherence: undefined })
  await silent.set('a', 'old')
  await held(holder, 'a')
  await other.mutate({ ids: ['a'] }, () => {})
  await expect.poll(() => holder.get('a'), { ...POLL, timeout: T }).toBeUndefined()
})

it('what Redis has refuted is not served again, though nothing is told of it', async () => {
  const name = fresh()
  await using holder = opened(name)
  await holder.set('a', 'old')
  await held(holder, 'a')
  const key = keyOf({ namespace: port.namespace, pattern: 'cache', name }, ['a'])
  await port.call({ key, command: ['DEL', key] })
  expect(await holder.get('a', { strict: true })).toBeUndefined()
  expect(await holder.get('a')).toBeUndefined()
})

it('an answer of the log that was long on its way vouches for no more than when it was asked', async () => {
  const name = fresh()
  let until: Promise<void> | undefined
  let underWay = 0
  const slow = watched(
    forbidden,
    (call) => {
      if (nameOf(call) === 'read') underWay++
    },
    async (call) => {
      if (nameOf(call) !== 'read') return
      await until
      underWay--
    },
  )
  await using holder = opened(name, {}, slow)
  await using other = opened(name, { local: undefined })
  await other.set('a', 'old')
  await held(holder, 'a')
  const [answer, end] = [gate(), gate()]
  until = answer.passed
  // One of each log is on its way.
  await expect.poll(async () => (await holder.get('a')) === 'old' && underWay, POLL).toBe(8)
  await other.set('a', 'new')
  const from = performance.now()
  await new Promise((resolve) => setTimeout(resolve, 0.7 * T))
  until = end.passed
  answer.open()
  let last = from
  while (performance.now() - from < 2 * T) {
    const at = performance.now()
    if ((await holder.get('a')) === 'old') last = at
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  end.open()
  expect(last - from).toBeLessThan(T)
})

describe('a change that could not be told', () => {
  it('is pending until it is, and then seen', async () => {
    const name = fresh()
    let isRefused = false
    const refusing = watched(forbidden, (call) => {
      if (isRefused && nameOf(call) === 'append') throw new Error('refused')
    })
    await using holder = opened(name)
    await using other = opened(name, { local: undefined }, refusing)
    await holder.set('a', 'old')
    await held(holder, 'a')
    isRefused = true
    const error: unknown = await other.invalidate('a').catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'INVALIDATION_PENDING' })
    isRefused = false
    await expect((error as { settled: Promise<boolean> }).settled).resolves.toBe(true)
    await expect.poll(() => holder.get('a'), POLL).toBeUndefined()
  })

  it('because the log was lost leaves nothing that is vouched for', async () => {
    const name = fresh()
    await using holder = opened(name)
    await using other = opened(name, { local: undefined })
    const ids = Array.from({ length: 20 }, (_, n) => `${n}`)
    for (const id of ids) await holder.set(id, 'old')
    for (const id of ids) await held(holder, id)
    const log = (n: number) => keyOf({ namespace: port.namespace, pattern: 'changes', name }, [n])
    for (const id of ids) await other.invalidate(id)
    for (let n = 0; n < 8; n++) await port.call({ key: log(n), command: ['DEL', log(n)] })
    const from = performance.now()
    const stale = async () => (await holder.getMany(ids)).filter((value) => value !== undefined)
    while ((await stale()).length > 0 && performance.now() - from <= T + 100) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(await stale()).toEqual([])
  })
})
