import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Warmed } from '../../../src/cache/index.js'
import { RedisUnavailableError } from '../../../src/errors.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { portWith } from '../../support/port-with.js'
import { testBed } from './caches.js'
import { watched } from './watched-port.js'

const bed = testBed('warm')
const ids = (count: number): string[] => Array.from({ length: count }, () => randomUUID())
const upper = (all: readonly string[]): string[] => all.map((id) => id.toUpperCase())

describe('a function that is wrapped', () => {
  it('reads through the cache, by its arguments', async () => {
    const cache = bed.cache<string>()
    const calls: unknown[] = []
    const salt = randomUUID()
    const price = cache.wrap(async (product: string, size: number) => {
      calls.push([product, size])
      return `${product}/${size}`
    })
    expect(await price(salt, 7)).toBe(`${salt}/7`)
    await expect.poll(() => cache.get([salt, 7])).toBeDefined()
    expect(await price(salt, 7)).toBe(`${salt}/7`)
    expect(await price(salt, 8)).toBe(`${salt}/8`)
    expect(calls).toEqual([
      [salt, 7],
      [salt, 8],
    ])
  })

  it('may say what its arguments are called', async () => {
    const cache = bed.cache<string>()
    const user = cache.wrap(
      async ({ id }: { id: string }) => id.toUpperCase(),
      ({ id }) => ['user', id],
    )
    const id = randomUUID()
    expect(await user({ id })).toBe(id.toUpperCase())
    await expect.poll(() => cache.get(['user', id])).toBe(id.toUpperCase())
  })
})

describe('warming', () => {
  it('loads what is not there, and says how far it has come', async () => {
    const all = ids(25)
    const cache = bed.cache<string>()
    await cache.setMany(all.slice(0, 5).map((id) => ({ id, value: 'there' })))
    const progress: number[] = []
    async function* source(): AsyncGenerator<string> {
      yield* all
    }
    const warmed = await cache.warm(
      source(),
      { batchSize: 10, onProgress: ({ done }) => progress.push(done) },
      (missing) => missing.map((id) => (id === all[24] ? new Error('bad row') : id)),
    )
    expect(warmed).toEqual({ done: 25, failed: 1, present: 5 })
    expect(progress.at(-1)).toBe(25)
    await expect.poll(() => cache.getMany(all.slice(0, 24))).not.toContain(undefined)
    expect(cache.stats().errors).toBe(1)
  })

  it('says so after each batch', async () => {
    const cache = bed.cache<string>()
    const told: Warmed[] = []
    const options = {
      batchSize: 10,
      concurrency: 1,
      onProgress: (progress: Warmed) => void told.push(progress),
    }
    await cache.warm(ids(25), options, (missing) => [...missing])
    expect(told).toEqual([10, 20, 25].map((done) => ({ done, failed: 0, present: 0 })))
  })

  it('fills entries that bear tags, so that a change of one takes them away', async () => {
    const all = ids(20)
    const cache = bed.cache<string>()
    const [tag, watching] = [randomUUID(), watched(bed.port)]
    await bed.cache<string>({}, watching).warm(all, { tags: [tag] }, upper)
    await watching.idle()
    expect(await cache.getMany(all)).toEqual(upper(all))
    await cache.invalidateTags([tag])
    expect(await cache.getMany(all)).toEqual(Array(20).fill(undefined))
  })

  it('waits for a Redis that is slow for a moment, rather than load past it', async () => {
    const all = ids(20)
    // As a server that answers after 700 ms does to whoever waits for it, and to whoever does not.
    const pipeline: RedisPort['pipeline'] = async (calls, options) => {
      const ms = Math.min(700, options?.deadlineMs ?? 700)
      await sleep(ms)
      if (ms === 700) return await bed.port.pipeline(calls, options)
      return calls.map(() => ({ status: 'rejected', reason: new RedisUnavailableError('too slow') }))
    }
    const slow = watched(portWith(bed.port, { pipeline }))
    const warmed = await bed.cache<string>({ budgetMs: 100 }, slow).warm(all, {}, upper)
    expect(warmed).toEqual({ done: 20, failed: 0, present: 0 })
    await slow.idle()
    expect(await bed.cache<string>().getMany(all)).toEqual(upper(all))
  })

  it('counts what was loaded and could not be stored as failed, and tells of it', async () => {
    const all = ids(20)
    const told: unknown[] = []
    const port = watched(bed.port, (call) => {
      const key = 'key' in call ? call.key : call.keys[0]
      if (key.includes(all[7] ?? '')) throw new RedisUnavailableError('away')
    })
    const cache = bed.cache<string>({ onError: (error) => void told.push(error) }, port)
    expect(await cache.warm(all, {}, upper)).toEqual({ done: 20, failed: 1, present: 0 })
    expect(told).toContainEqual(
      new RedisUnavailableError('it was loaded, and not stored: Redis did not answer'),
    )
  })

  it('can be stopped, and then calls no loader any more', async () => {
    const stop = new AbortController()
    const cache = bed.cache<string>()
    let calls = 0
    const warming = cache.warm(ids(30), { batchSize: 10, concurrency: 1, signal: stop.signal }, (missing) => {
      calls++
      stop.abort(new Error('enough'))
      return [...missing]
    })
    await expect(warming).rejects.toThrow('enough')
    expect(calls).toBe(1)
  })
})
