import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { refuse, testBed } from './caches.js'
import { heldLoad } from './gate.js'
import { watched } from './watched-port.js'

const bed = testBed('stale')
const minute = { ttlMs: 60_000, staleMs: 60_000 }

describe('a stale value', () => {
  it('is served at once while one caller’s loader brings the next', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>(minute)
    await cache.getOrLoad(id, () => 'old')
    await bed.age(id, 61_000)
    const next = heldLoad<string>()
    const stale = await Promise.all([1, 2, 3].map(() => cache.fetch(id, next.load)))
    expect(stale.map(({ value, how }) => `${value} ${how}`)).toEqual(Array(3).fill('old stale'))
    await next.called
    next.finish('new')
    await expect.poll(() => cache.get(id)).toBe('new')
    expect(cache.stats()).toMatchObject({ loads: 2, refreshes: 1, staleHits: 3, errors: 0 })
  })

  it('is refreshed by one process of all, and the others neither wait nor load', async () => {
    const id = randomUUID()
    await bed.cache<string>(minute).getOrLoad(id, () => 'old')
    await bed.age(id, 61_000)
    const processes = Array.from({ length: 5 }, () => bed.cache<string>(minute))
    const next = heldLoad<string>()
    let loads = 0
    const load = (): Promise<string> => {
      loads++
      return next.load()
    }
    const values = await Promise.all(processes.map((cache) => cache.getOrLoad(id, load)))
    expect(values).toEqual(Array(5).fill('old'))
    await next.called
    // Their refusals have come back before anything else is answered on the same connection.
    expect(await Promise.all(processes.map((cache) => cache.getOrLoad(id, load)))).toEqual(
      Array(5).fill('old'),
    )
    next.finish('new')
    await expect.poll(() => processes[0]?.get(id)).toBe('new')
    expect(loads).toBe(1)
  })

  it('is waited past for the soft time-out, and served when that is over', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>({ ...minute, softTimeoutMs: 5000 })
    await cache.getOrLoad(id, () => 'old')
    await bed.age(id, 61_000)
    expect(await cache.fetch(id, () => 'new')).toMatchObject({ value: 'new', how: 'load' })
    await expect.poll(() => cache.get(id)).toBe('new')
    await bed.age(id, 61_000)
    const slow = heldLoad<string>()
    expect(await cache.fetch(id, { softTimeoutMs: 20 }, slow.load)).toMatchObject({
      value: 'new',
      how: 'stale',
    })
    slow.finish('newest')
    // It went on behind the caller's back.
    await expect.poll(() => cache.get(id)).toBe('newest')
  })

  it('is served when loading fails, and nobody tries again for a while', async () => {
    const id = randomUUID()
    const errors: unknown[] = []
    const cache = bed.cache<string>({
      ...minute,
      softTimeoutMs: 5000,
      onError: (error) => errors.push(error),
    })
    await cache.getOrLoad(id, () => 'old')
    await bed.age(id, 61_000)
    const down = new Error('the database is down')
    const load = (): Promise<string> => Promise.reject(down)
    expect(await cache.fetch(id, load)).toMatchObject({ value: 'old', how: 'stale' })
    await expect.poll(() => errors).toEqual([down])
    // The value, and until when nobody tries again.
    const fields = () => bed.port.call({ key: bed.key(id), command: ['HKEYS', bed.key(id)] })
    await expect.poll(fields).toEqual(['v', 'd'])
    expect(await cache.getOrLoad(id, refuse)).toBe('old')
    expect(await bed.cache<string>(minute).getOrLoad(id, refuse)).toBe('old')
    expect(errors).toEqual([down])
  })

  it('ends when it is over, also for a load that is still under way then', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>({ ttlMs: 60_000, staleMs: 1000, leaseMs: 30_000 })
    await cache.getOrLoad(id, () => 'old')
    await bed.age(id, 60_700)
    const slow = heldLoad<string>()
    expect(await cache.getOrLoad(id, slow.load)).toBe('old')
    await slow.called
    // Its key lives on for the lease's sake, and it does not.
    const lives = async () =>
      Number(await bed.port.call({ key: bed.key(id), command: ['PTTL', bed.key(id)] }))
    expect(await lives()).toBeGreaterThan(20_000)
    await expect.poll(() => cache.read(id)).toMatchObject({ found: false })
    const waiting = cache.fetch(id, refuse)
    slow.finish('new')
    expect(await waiting).toMatchObject({ value: 'new' })
    expect(await lives()).toBeGreaterThan(60_000)
  })

  it('is none after it was invalidated, nor is what was loaded in its place', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>(minute)
    await cache.getOrLoad(id, () => 'old')
    await bed.age(id, 61_000)
    const slow = heldLoad<string>()
    await cache.getOrLoad(id, slow.load)
    await slow.called
    await cache.invalidate(id)
    slow.finish('older')
    expect(await cache.getOrLoad(id, () => 'new')).toBe('new')
    await expect.poll(() => cache.stats().refusedFills).toBe(1)
    expect(await cache.getOrLoad(id, refuse)).toBe('new')
  })

  it('counts as absent for whoever looks without loading', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>(minute)
    await cache.getOrLoad(id, () => 'old')
    await bed.age(id, 61_000)
    expect(await cache.get(id)).toBeUndefined()
    expect(await cache.getMany([id])).toEqual([undefined])
    const read = await cache.read(id)
    expect(read).toMatchObject({ found: true, value: 'old', stale: true })
    if (read.found) expect(read.ageMs).toBeGreaterThanOrEqual(61_000)
  })

  it('is known as such to a process that knows of no stale values, so that settings can be changed one by one', async () => {
    const id = randomUUID()
    await bed.cache<string>(minute).getOrLoad(id, () => 'old')
    const plain = bed.cache<string>()
    expect(await plain.getOrLoad(id, refuse)).toBe('old')
    await bed.age(id, 61_000)
    const { how } = await plain.fetch(id, () => 'new')
    expect(how).toBe('stale')
    await expect.poll(() => plain.get(id)).toBe('new')
  })
})

describe('early refresh', () => {
  it('brings the next value before the present one ends, the likelier the nearer its end', async () => {
    const watching = watched(bed.port)
    const cache = bed.cache<string>({ ttlMs: 60_000, earlyRefresh: 1 }, watching)
    let loads = 0
    const load = async (): Promise<string> => {
      loads++
      await new Promise((resolve) => setTimeout(resolve, 50))
      return 'value'
    }
    const refreshed = async (leftMs: number): Promise<number> => {
      const ids = Array.from({ length: 150 }, () => randomUUID())
      await Promise.all(ids.map((id) => cache.getOrLoad(id, load)))
      await expect.poll(() => cache.getMany(ids)).not.toContain(undefined)
      await Promise.all(ids.map((id) => bed.leave(id, leftMs)))
      loads = 0
      await Promise.all(ids.map((id) => cache.getOrLoad(id, load)))
      await watching.idle()
      return loads
    }
    // A load takes 50 ms, so the chance is exp(-500) at 25 s before the end, and about exp(-2) for each of 150 at 0.1 s.
    expect(await refreshed(25_000)).toBe(0)
    expect(await refreshed(100)).toBeGreaterThan(0)
  })

  it('is one load in the whole cluster, and its readers get the present value meanwhile', async () => {
    const id = randomUUID()
    const eager = { ttlMs: 60_000, earlyRefresh: 1000 }
    await bed.cache<string>(eager).getOrLoad(id, async () => {
      await new Promise((resolve) => setTimeout(resolve, 100))
      return 'present'
    })
    // With loads of 100 ms three of four readers would refresh it now: some of a hundred for certain.
    await bed.leave(id, 30_000)
    const processes = Array.from({ length: 5 }, () => bed.cache<string>(eager))
    const next = heldLoad<string>()
    let loads = 0
    const load = (): Promise<string> => {
      loads++
      return next.load()
    }
    for (let i = 0; i < 20; i++) {
      const answers = await Promise.all(processes.map((cache) => cache.fetch(id, load)))
      expect(answers).toMatchObject(answers.map(() => ({ value: 'present', how: 'hit' })))
    }
    await next.called
    next.finish('next')
    await expect.poll(() => bed.cache<string>().get(id)).toBe('next')
    expect(loads).toBe(1)
  })
})

describe('an invalidated value', () => {
  const kept = { keepInvalidatedMs: 60_000 }

  it('is served to who allows it, and to nobody else', async () => {
    const id = randomUUID()
    const cache = bed.cache<string>(kept)
    await cache.getOrLoad(id, () => 'old')
    await cache.invalidate(id)
    expect(await cache.get(id)).toBeUndefined()
    expect(await cache.read(id)).toMatchObject({ found: false })
    const slow = heldLoad<string>()
    const allowed = await cache.fetch(id, { allowStale: true }, slow.load)
    expect(allowed).toMatchObject({ value: 'old', how: 'stale' })
    await slow.called
    const strict = cache.fetch(id, () => 'new')
    slow.finish('new')
    expect(await strict).toMatchObject({ value: 'new' })
    await expect.poll(() => cache.get(id)).toBe('new')
    expect(await cache.fetch(id, { allowStale: true }, refuse)).toMatchObject({ value: 'new', how: 'hit' })
  })

  it('is kept through a write as well, and not beyond its time', async () => {
    const id = randomUUID()
    const watching = watched(bed.port)
    const cache = bed.cache<string>({ keepInvalidatedMs: 30_000, leaseMs: 10_000 }, watching)
    await cache.getOrLoad(id, () => 'old')
    await watching.idle()
    const writing = heldLoad<string>()
    const write = cache.writeThrough(id, writing.load)
    await writing.called
    expect(await cache.getOrLoad(id, { allowStale: true }, () => 'loaded')).toBe('old')
    expect(await cache.getOrLoad(id, () => 'loaded')).toBe('loaded')
    writing.finish('new')
    await write
    expect(await cache.getOrLoad(id, { allowStale: true }, refuse)).toBe('new')
    await cache.invalidate(id)
    const lives = Number(await bed.port.call({ key: bed.key(id), command: ['PTTL', bed.key(id)] }))
    expect(lives).toBeLessThanOrEqual(30_000)
  })
})
