import { randomUUID } from 'node:crypto'
import * as messagePack from '@msgpack/msgpack'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Cache, msgpack } from '../../../src/cache/index.js'
import { InvalidationPendingError, UncacheableValueError } from '../../../src/errors.js'
import { refuse, testBed } from './caches.js'
import { heldLoad } from './gate.js'
import { watched } from './watched-port.js'

const bed = testBed('writes')

describe('set', () => {
  it('stores, and takes from loads under way the right to store', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    const slow = heldLoad<string>()
    const loading = cache.getOrLoad(id, slow.load)
    await slow.called
    expect(await cache.set(id, 'set')).toBe(true)
    slow.finish('loaded')
    await loading
    await expect.poll(() => cache.stats().refusedFills).toBe(1)
    expect(await cache.get(id)).toBe('set')
  })

  it('with the token of a read stores only if nothing has happened since', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    const absent = await cache.read(id)
    expect(absent.found).toBe(false)
    expect(await cache.set(id, 'one', { token: absent.token })).toBe(true)
    expect(await cache.set(id, 'again', { token: absent.token })).toBe(false)
    const one = await cache.read(id)
    expect(await cache.set(id, 'two', { token: one.token })).toBe(true)
    expect(await cache.set(id, 'late', { token: one.token })).toBe(false)
    expect(await cache.get(id)).toBe('two')
  })

  it('with the token of a read that found nothing is refused after an invalidation, though there is nothing again', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    const { token } = await cache.read(id)
    await cache.invalidate(id)
    await cache.read(id)
    expect(await cache.set(id, 'old', { token })).toBe(false)
    expect(await cache.get(id)).toBeUndefined()
  })

  it('with one token is done once, whoever has it', async () => {
    const id = randomUUID()
    const processes = Array.from({ length: 5 }, () => bed.cache<number>())
    const reads = await Promise.all(processes.map((cache) => cache.read(id)))
    const stored = await Promise.all(
      processes.map((cache, i) => cache.set(id, i, { token: reads[i]?.token })),
    )
    expect(stored.filter(Boolean)).toHaveLength(1)
  })

  it('is refused while a write is under way, and keeps that from storing', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    const writing = heldLoad<string>()
    const write = cache.writeThrough(id, writing.load)
    await writing.called
    const { token } = await cache.read(id)
    expect(await cache.set(id, 'set', { token })).toBe(false)
    expect(await cache.set(id, 'set')).toBe(false)
    writing.finish('written')
    await write
    expect(await cache.get(id)).toBeUndefined()
  })

  it.each([
    ['undefined', undefined],
    ['too large', 'x'.repeat(2000)],
  ])('of what cannot be stored changes nothing: %s', async (_, value) => {
    const id = randomUUID()
    const cache = bed.cache<string | undefined>({ maxValueBytes: 1000 })
    await cache.set(id, 'before')
    await expect(cache.set(id, value)).rejects.toThrow(UncacheableValueError)
    expect(await cache.get(id)).toBe('before')
  })

  it('that Redis does not answer becomes an invalidation, so that no older value stays', async () => {
    const id = randomUUID()
    await bed.cache<string>().set(id, 'old')
    let fails = true
    const broken = watched(bed.port, (call) => {
      if (fails && 'script' in call) throw new Error('gone')
    })
    const cache = bed.cache<string>({}, broken)
    const error = await cache.set(id, 'new').catch((reason: unknown) => reason)
    fails = false
    expect(error).toBeInstanceOf(InvalidationPendingError)
    expect(cache.stats()).toMatchObject({ pending: 1, degraded: true })
    expect(await (error as InvalidationPendingError).settled).toBe(true)
    expect(await cache.get(id)).toBeUndefined()
    expect(cache.stats()).toMatchObject({ pending: 0, degraded: false })
  })
})

describe('delete', () => {
  it.each(['delete', 'deleteMany'] as const)('is an invalidation: %s', async (name) => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    await cache.set(id, 'there')
    const other = bed.cache<string>()
    const remove = () => (name === 'delete' ? cache.delete(id) : cache.deleteMany([id]))
    await remove()
    expect(await other.get(id)).toBeUndefined()
    const slow = heldLoad<string>()
    const loading = other.getOrLoad(id, slow.load)
    await slow.called
    await remove()
    slow.finish('old')
    await loading
    await expect.poll(() => other.stats().refusedFills).toBe(1)
    expect(await cache.get(id)).toBeUndefined()
  })
})

describe('mutate', () => {
  it('keeps everybody from storing from before the change to its end, and empties what shows it', async () => {
    const [one, two] = [randomUUID(), randomUUID()]
    const cache = bed.cache<string>()
    await cache.setMany([
      { id: one, value: 'old' },
      { id: two, value: 'old' },
    ])
    const change = heldLoad<number>()
    const changing = cache.mutate({ ids: [one, two] }, change.load)
    await change.called
    // Evicted inside of the transaction, and read before its commit: the classical race.
    expect(await cache.getOrLoad(one, () => 'old')).toBe('old')
    expect(await cache.get(one)).toBeUndefined()
    change.finish(7)
    expect(await changing).toBe(7)
    expect(await cache.getOrLoad(one, () => 'new')).toBe('new')
    expect(await cache.getOrLoad(two, () => 'new')).toBe('new')
  })

  it('whose process dies after its commit leaves nothing older behind', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    await cache.set(id, 'old')
    const change = heldLoad<void>()
    void cache.mutate({ ids: [id], intentMs: 150 }, change.load).catch(() => {})
    await change.called
    // Here it dies. Whoever reads on until the intent has ended gets what the database has.
    expect(await cache.getOrLoad(id, () => 'new')).toBe('new')
    await expect.poll(() => bed.port.call({ key: bed.key(id), command: ['EXISTS', bed.key(id)] })).toBe(0)
    const watching = watched(bed.port)
    const after = bed.cache<string>({}, watching)
    expect(await after.getOrLoad(id, () => 'new')).toBe('new')
    await watching.idle()
    expect(await after.get(id)).toBe('new')
  })

  it('lets nobody store what a lagging replica of the database still shows', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    const key = bed.key(id)
    await cache.mutate({ ids: [id], replicaLagMs: 30_000 }, () => 'committed')
    expect(await cache.getOrLoad(id, () => 'old')).toBe('old')
    expect(await cache.get(id)).toBeUndefined()
    const left = Number(await bed.port.call({ key, command: ['PTTL', key] }))
    expect([left > 20_000, left <= 30_000]).toEqual([true, true])
    // Its end, and nothing else, ends it.
    await bed.port.call({ key, command: ['PEXPIRE', key, 1] })
    await expect.poll(() => bed.port.call({ key, command: ['EXISTS', key] })).toBe(0)
    expect(await cache.getOrLoad(id, () => 'new')).toBe('new')
    await expect.poll(() => cache.get(id)).toBe('new')
  })

  it('tells a change that takes too long before its cover ends', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    const from = performance.now()
    const change = cache.mutate({ ids: [id], intentMs: 1000 }, async ({ signal }) => {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    await expect(change).rejects.toThrow('about to end')
    expect(performance.now() - from).toBeLessThan(1000)
  })

  it('that fails empties the entries, for it may have been committed all the same', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    await cache.set(id, 'old')
    await expect(cache.mutate({ ids: [id] }, () => Promise.reject(new Error('lost')))).rejects.toThrow('lost')
    expect(await cache.get(id)).toBeUndefined()
    expect(await cache.getOrLoad(id, () => 'new')).toBe('new')
    await expect.poll(() => cache.get(id)).toBe('new')
  })

  it('of nothing that is cached is the change alone', async () => {
    const watching = watched(bed.port)
    expect(await bed.cache<string>({}, watching).mutate({ ids: [] }, () => 'done')).toBe('done')
    expect(watching.sent).toEqual([])
  })
})

it('a write empties what shows the same, and stores only what it wrote', async () => {
  const [id, list] = [randomUUID(), randomUUID()]
  const cache = bed.cache<string>()
  await cache.set(list, 'old list')
  const write = heldLoad<string>()
  const writing = cache.writeThrough(id, { alsoInvalidate: [list, id] }, write.load)
  await write.called
  expect(await cache.getOrLoad(list, () => 'old list')).toBe('old list')
  write.finish('new')
  await writing
  expect(await cache.getMany([id, list])).toEqual(['new', undefined])
})

describe('an invalidation that replicas are to know of', () => {
  it('resolves when they do', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>({ replicas: 1 })
    await cache.set(id, 'old')
    await cache.invalidate(id)
    expect(await cache.get(id)).toBeUndefined()
  })

  it('is pending while there are not as many', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>()
    await cache.set(id, 'old')
    const error = await cache
      .invalidate(id, { replicas: 5, deadlineMs: 200 })
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(InvalidationPendingError)
    expect(await bed.cache<string>().get(id)).toBeUndefined()
    await cache.close()
    expect(await (error as InvalidationPendingError).settled).toBe(false)
  })
})

describe('what is stored', () => {
  it('may be checked by a schema, which also says of what type it is', async () => {
    const id = randomUUID()
    const schema = z.object({ name: z.string(), since: z.coerce.date() })
    const cache = new Cache(bed.port, { name: 'test', ttlMs: 60_000, schema })
    const loaded = await cache.getOrLoad(id, () => ({ name: 'x', since: new Date(0) }))
    expect(loaded.since.getTime()).toBe(0)
    await expect.poll(() => cache.get(id)).toEqual(loaded)
    const newer = new Cache(bed.port, {
      name: 'test',
      ttlMs: 60_000,
      schema: z.object({ title: z.string() }),
    })
    expect(await newer.get(id)).toBeUndefined()
    expect(await newer.getOrLoad(id, () => ({ title: 'y' }))).toEqual({ title: 'y' })
    await expect.poll(() => newer.get(id)).toEqual({ title: 'y' })
    await expect(newer.getOrLoad(randomUUID(), () => ({ title: 7 }) as never)).rejects.toThrow(
      UncacheableValueError,
    )
  })

  it('has keys of its own for each version', async () => {
    const id = randomUUID()
    const [first, second] = [bed.cache<string>({ version: 1 }), bed.cache<string>({ version: 2 })]
    await first.set(id, 'one')
    expect(await second.get(id)).toBeUndefined()
    expect(await bed.cache<string>().get(id)).toBeUndefined()
    expect(await first.get(id)).toBe('one')
    // During an upgrade either version changes the database, and hears of the other's changes by tags alone.
    const tag = randomUUID()
    for (const cache of [first, second]) await cache.set(id, 'tagged', { tags: [tag] })
    await first.invalidate(id)
    expect([await first.get(id), await second.get(id)]).toEqual([undefined, 'tagged'])
    await first.set(id, 'tagged', { tags: [tag] })
    await first.invalidateTags([tag])
    expect([await first.get(id), await second.get(id)]).toEqual([undefined, undefined])
  })

  it('is as small as it is told to be, by whichever serializer, and read whatever the size asked for', async () => {
    const [plain, small, packed] = [randomUUID(), randomUUID(), randomUUID()]
    const value = { words: 'slot '.repeat(2000), at: [1, 2, 3] }
    const sizeOf = async (id: string) =>
      Number(await bed.port.call({ key: bed.key(id), command: ['HSTRLEN', bed.key(id), 'v'] }))
    await bed.cache<unknown>().set(plain, value)
    await bed.cache<unknown>({ compressOverBytes: 1000 }).set(small, value)
    expect(await sizeOf(plain)).toBeGreaterThan(10_000)
    expect(await sizeOf(small)).toBeLessThan(1000)
    expect(await bed.cache<unknown>().get(small)).toEqual(value)

    const rich = { since: new Date(5), bytes: new Uint8Array([1, 2]) }
    const serializer = msgpack(messagePack)
    const first = await bed.cache<typeof rich>({ serializer }).getOrLoad(packed, () => rich)
    await expect.poll(() => sizeOf(packed)).toBeGreaterThan(0)
    expect([first, await bed.cache<typeof rich>({ serializer }).get(packed)]).toEqual([rich, rich])
    // Bytes of another serializer are a miss, whatever they are.
    expect(await bed.cache<unknown>().get(packed)).toBeUndefined()
  })

  it('lives as long as its kind: null shorter, and as its loader says', async () => {
    const [none, own, kept] = [randomUUID(), randomUUID(), randomUUID()]
    const watching = watched(bed.port)
    const cache = bed.cache<string | null>({ negativeTtlMs: 2000 }, watching)
    await cache.getOrLoad(none, () => null)
    await cache.getOrLoad(own, ({ setTtlMs }) => {
      setTtlMs(3000)
      return 'own'
    })
    await cache.getOrLoad(kept, ({ skipStore }) => {
      skipStore()
      return 'not kept'
    })
    await watching.idle()
    const left = await Promise.all(
      [none, own, kept].map((id) => bed.port.call({ key: bed.key(id), command: ['PTTL', bed.key(id)] })),
    )
    expect(Number(left[0])).toBeGreaterThan(1500)
    expect(Number(left[0])).toBeLessThanOrEqual(2000)
    expect(Number(left[1])).toBeGreaterThan(2500)
    expect(Number(left[1])).toBeLessThanOrEqual(3000)
    expect(left[2]).toBe(-2)
    expect(await cache.getOrLoad(none, refuse)).toBeNull()
  })

  it('is not what is too large; its callers get it all the same, and onError hears of it', async () => {
    const id = randomUUID()
    const errors: string[] = []
    const watching = watched(bed.port)
    const cache = bed.cache<string>(
      { maxValueBytes: 100, onError: (error) => errors.push(error.message) },
      watching,
    )
    expect(await cache.getOrLoad(id, () => 'x'.repeat(200))).toHaveLength(200)
    await watching.idle()
    expect(errors).toEqual([expect.stringContaining('more than maxValueBytes')])
    expect(await cache.get(id)).toBeUndefined()
    expect(await cache.writeThrough(id, () => 'y'.repeat(200))).toHaveLength(200)
    expect(await cache.get(id)).toBeUndefined()
  })
})
