import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { TagVersions } from '../../../src/invalidation/index.js'
import { keyOf } from '../../../src/redis/index.js'
import { refuse, testBed } from './caches.js'
import { roundTripping } from './counted-port.js'
import { gate } from './gate.js'
import { nameOf, watched } from './watched-port.js'

const bed = testBed('cache-tags')

describe('a tag that changes', () => {
  it('takes away every entry that bears it or a tag below it, and no other', async () => {
    await using cache = bed.cache<string>()
    const run = randomUUID()
    const load = async (id: string, tags: readonly string[], value: string) => {
      const found = await cache.getOrLoad([id, run], { tags }, () => value)
      await expect.poll(() => cache.get([id, run])).toBe(found)
      return found
    }
    await load('users', ['org:7/users'], 'old')
    await load('both', ['org:8', 'org:7/invoices'], 'old')
    await load('other', ['org:8/users'], 'old')
    await cache.invalidateTags(['org:7'])
    expect(await cache.get(['users', run])).toBeUndefined()
    expect(await load('users', ['org:7/users'], 'new')).toBe('new')
    expect(await load('both', ['org:8', 'org:7/invoices'], 'new')).toBe('new')
    expect(await load('other', ['org:8/users'], 'new')).toBe('old')
  })

  it('is seen by whoever does not name it', async () => {
    await using cache = bed.cache<string>()
    const id = randomUUID()
    await cache.getOrLoad(id, { tags: ['a'] }, () => 'old')
    await expect.poll(() => cache.get(id)).toBe('old')
    expect(await cache.getMany([id, 'nothing'])).toEqual(['old', undefined])
    expect(await cache.read(id)).toMatchObject({ found: true, value: 'old' })
    await cache.invalidateTags(['a'])
    expect(await cache.get(id)).toBeUndefined()
    expect(await cache.getMany([id])).toEqual([undefined])
    expect(await cache.read(id)).toMatchObject({ found: false })
    expect(await cache.getOrLoad(id, () => 'new')).toBe('new')
  })

  it('while a load runs: what it brings goes to those who asked before, and to nobody else', async () => {
    const watching = watched(bed.port)
    await using cache = bed.cache<string>({}, watching)
    const id = randomUUID()
    const [loading, go] = [gate(), gate()]
    const first = cache.getOrLoad(id, { tags: ['a'] }, async () => {
      loading.open()
      await go.passed
      return 'old'
    })
    await loading.passed
    await cache.invalidateTags(['a'])
    const later = cache.getOrLoad(id, { tags: ['a'] }, () => 'new')
    const plain = cache.getOrLoad(id, () => 'new')
    await watching.idle()
    go.open()
    expect(await first).toBe('old')
    expect(await later).toBe('new')
    expect(await plain).toBe('new')
    expect(await cache.getOrLoad(id, { tags: ['a'] }, refuse)).toBe('new')
  })

  it('while the load of another process runs: who waits for that gets the new value', async () => {
    await using one = bed.cache<string>()
    await using two = bed.cache<string>()
    const id = randomUUID()
    const [loading, go] = [gate(), gate()]
    const first = one.getOrLoad(id, { tags: ['a'] }, async () => {
      loading.open()
      await go.passed
      return 'old'
    })
    await loading.passed
    await two.invalidateTags(['a'])
    const later = two.getOrLoad(id, { tags: ['a'] }, () => 'new')
    go.open()
    expect(await first).toBe('old')
    expect(await later).toBe('new')
  })

  it('and whose load fails holds nobody up: there is no older value to be served meanwhile', async () => {
    await using cache = bed.cache<string>({ staleRetryMs: 10_000 })
    const id = randomUUID()
    await cache.set(id, 'old', { tags: ['a'] })
    await cache.invalidateTags(['a'])
    const failing = cache.getOrLoad(id, { tags: ['a'] }, () => Promise.reject(new Error('no database')))
    await expect(failing).rejects.toThrow('no database')
    const from = performance.now()
    expect(await cache.getOrLoad(id, { tags: ['a'] }, () => 'new')).toBe('new')
    expect(performance.now() - from).toBeLessThan(2000)
  })

  it.each([{ tags: ['a'] }, {}])('is something that has happened to what was read: %j', async (options) => {
    await using cache = bed.cache<string>()
    const id = randomUUID()
    await cache.set(id, 'old', { tags: ['a'] })
    const { token } = await cache.read(id)
    await cache.invalidateTags(['a'])
    expect(await cache.set(id, 'made of the old one', { ...options, token })).toBe(false)
    expect(await cache.get(id)).toBeUndefined()
  })

  it('takes away what was stored again without naming it', async () => {
    await using cache = bed.cache<string>()
    const id = randomUUID()
    await cache.set(id, 'old', { tags: ['a'] })
    const { token } = await cache.read(id)
    expect(await cache.set(id, 'made of the old one', { token })).toBe(true)
    expect(await cache.get(id)).toBe('made of the old one')
    await cache.invalidateTags(['a'])
    expect(await cache.get(id)).toBeUndefined()
  })

  it('belongs to its tenant', async () => {
    await using cache = bed.cache<string>()
    const id = randomUUID()
    const [acme, other] = [cache.forTenant('acme'), cache.forTenant('other')]
    await acme.set(id, 'of acme', { tags: ['a'] })
    await other.set(id, 'of other', { tags: ['a'] })
    await acme.invalidateTags(['a'])
    expect(await acme.get(id)).toBeUndefined()
    expect(await other.get(id)).toBe('of other')
  })

  it('is shared with caches of the same tag space, and with whoever has no cache at all', async () => {
    const tagSpace = `s${randomUUID().slice(0, 8)}`
    await using threads = bed.cache<string>({ name: 'threads', tagSpace })
    await using comments = bed.cache<string>({ name: 'comments', tagSpace, version: 2 })
    await using tags = new TagVersions(bed.port, { name: tagSpace })
    const id = randomUUID()
    const fill = async () => {
      await threads.forTenant('t').set(id, 'thread', { tags: ['org:7'] })
      await comments.forTenant('t').set(id, 'comment', { tags: ['org:7/x'] })
    }
    const both = async () => [await threads.forTenant('t').get(id), await comments.forTenant('t').get(id)]
    await fill()
    await threads.forTenant('t').invalidateTags(['org:7'])
    expect(await both()).toEqual([undefined, undefined])
    await fill()
    expect(await both()).toEqual(['thread', 'comment'])
    await tags.forTenant('t').bump(['org:7'])
    expect(await both()).toEqual([undefined, undefined])
  })

  it('takes a stale value away as well, but from who allows one', async () => {
    await using cache = bed.cache<string>({ ttlMs: 60_000, staleMs: 60_000 })
    const id = randomUUID()
    await cache.getOrLoad(id, { tags: ['a'] }, () => 'old')
    await bed.age(id, 70_000)
    await cache.invalidateTags(['a'])
    const failing = () => {
      throw new Error('the database is away')
    }
    await expect(cache.getOrLoad(id, { tags: ['a'] }, failing)).rejects.toThrow('away')
    expect(await cache.getOrLoad(id, { tags: ['a'], allowStale: true }, failing)).toBe('old')
  })
})

describe('a change of the database under tags', () => {
  it('leaves nothing that was loaded before it, or while it was under way', async () => {
    await using cache = bed.cache<string>()
    const id = randomUUID()
    let truth = 'old'
    const load = () => cache.getOrLoad(id, { tags: ['a'] }, () => truth)
    await load()
    await cache.mutate({ tags: ['a'] }, async () => {
      // Nothing may be stored under a tag that is being changed.
      expect(await load()).toBe('old')
      expect(await cache.get(id)).toBeUndefined()
      truth = 'new'
    })
    expect(await load()).toBe('new')
    expect(await cache.get(id)).toBe('new')
  })

  it('by a process that dies after its commit leaves the new value as well', async () => {
    await using cache = bed.cache<string>()
    const id = randomUUID()
    let truth = 'old'
    const load = () => cache.getOrLoad(id, { tags: ['a'] }, () => truth)
    await load()
    const committed = gate()
    void cache.mutate({ tags: ['a'], intentMs: 80 }, () => {
      truth = 'new'
      committed.open()
      return new Promise(() => {})
    })
    await committed.passed
    await expect.poll(load).toBe('new')
    await expect.poll(() => load().then(() => cache.get(id))).toBe('new')
  })

  it('writes an entry that bears tags, unless they change meanwhile', async () => {
    await using cache = bed.cache<string>()
    const id = randomUUID()
    await cache.writeThrough(id, { tags: ['a'] }, () => 'written')
    expect(await cache.get(id)).toBe('written')
    await cache.writeThrough(id, { tags: ['a'] }, async () => {
      await cache.invalidateTags(['a'])
      return 'written before the tag changed'
    })
    expect(await cache.get(id)).toBeUndefined()
    await cache.set(id, 'set', { tags: ['a'] })
    expect(await cache.get(id)).toBe('set')
    await cache.writeThrough('other', { alsoInvalidateTags: ['a'] }, () => 'x')
    expect(await cache.get(id)).toBeUndefined()
  })
})

it('a change that its server forgets makes nothing valid that was loaded after it, nor does the next change', async () => {
  await using cache = bed.cache<string>({ tagSpace: 'forgetful' })
  const tag = randomUUID()
  const key = keyOf({ namespace: bed.port.namespace, pattern: 'tag', name: 'forgetful' }, tag)
  const loaded = (id: string, value: string) => cache.getOrLoad([id, tag], { tags: [tag] }, () => value)
  await loaded('before', 'old')
  const replica = await bed.port.call({ key, command: ['HGETALL', key] }, { binary: true })
  await cache.invalidateTags([tag])
  await loaded('between', 'loaded after the change that will be lost')
  // Another server than the entry's: it is replaced by one that has not heard of the change.
  await bed.port.call({ key, command: ['DEL', key] })
  await bed.port.call({ key, command: ['HSET', key, ...(replica as readonly Buffer[])] })
  expect(await cache.get(['between', tag])).toBeUndefined()
  // A number that is counted up would now be given out again, and this would be valid once more.
  await cache.invalidateTags([tag])
  await loaded('after', 'new')
  // It is handed out before it is stored.
  await expect.poll(() => cache.get(['after', tag])).toBe('new')
  expect(await cache.getMany(['before', 'between', 'after'].map((id) => [id, tag]))).toEqual([
    undefined,
    undefined,
    'new',
  ])
})

describe('what tags cost', () => {
  it('a hit whose tags are named is one round trip, one whose are not is two, a change is one', async () => {
    const { port, roundTrips } = roundTripping(bed.port)
    await using cache = bed.cache<string>({}, port)
    const id = randomUUID()
    await cache.set(id, 'value', { tags: ['a', 'b'] })
    const trips = async (act: () => Promise<unknown>) => {
      const before = roundTrips()
      await act()
      return roundTrips() - before
    }
    expect(await trips(() => cache.getOrLoad(id, { tags: ['a', 'b'] }, refuse))).toBe(1)
    expect(await trips(() => cache.get(id))).toBe(2)
    expect(await trips(() => cache.getMany([id, id]))).toBe(2)
    expect(await trips(() => cache.invalidateTags(['a', 'b']))).toBe(1)
  })
})

describe('Redis away', () => {
  it('an entry of whose tags nothing is known is not served', async () => {
    let refused = false
    const refusing = watched(bed.port, (call) => {
      if (refused && 'command' in call && nameOf(call) === 'HGET' && call.key.includes(':tag:'))
        throw new Error('refused')
    })
    await using cache = bed.cache<string>({}, refusing)
    const id = randomUUID()
    await cache.getOrLoad(id, { tags: ['a'] }, () => 'old')
    refused = true
    expect(await cache.get(id)).toBeUndefined()
    expect(await cache.getOrLoad(id, { tags: ['a'] }, () => 'from the database')).toBe('from the database')
    refused = false
    expect(await cache.get(id)).toBe('old')
  })

  it('a change that Redis did not take goes on being tried, and this process serves nothing that bears the tag', async () => {
    let refused = false
    const refusing = watched(bed.port, (call) => {
      if (refused && nameOf(call) === 'HDEL') throw new Error('refused')
    })
    await using cache = bed.cache<string>({}, refusing)
    const id = randomUUID()
    await cache.getOrLoad(id, { tags: ['a'] }, () => 'old')
    refused = true
    const error: unknown = await cache.invalidateTags(['a']).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'INVALIDATION_PENDING' })
    expect(cache.stats()).toMatchObject({ pending: 1, degraded: true })
    expect(await cache.get(id)).toBeUndefined()
    expect(await cache.getOrLoad(id, { tags: ['a'] }, () => 'new')).toBe('new')
    refused = false
    await expect((error as { settled: Promise<boolean> }).settled).resolves.toBe(true)
    expect(await bed.cache<string>().get(id)).toBeUndefined()
  })
})
