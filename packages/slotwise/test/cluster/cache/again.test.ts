import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { removalOf } from '../../../src/cache/invalidate.js'
import { RedisUnavailableError } from '../../../src/errors.js'
import { PendingInvalidations } from '../../../src/invalidation/pending.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { nameOf, watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `again-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

/** A cache, how often it has removed something, and a way to take Redis from it. */
function counting() {
  const state = { removals: 0, isCut: false }
  const through = watched(port, (call) => {
    if (nameOf(call) !== 'DEL') return
    state.removals++
    if (state.isCut) throw new RedisUnavailableError('cut off by the test')
  })
  const errors: string[] = []
  const cache = new Cache<string>(through, {
    name: 'test',
    ttlMs: 60_000,
    onError: ({ message }) => errors.push(message),
  })
  return { state, cache, errors }
}

/** What is stored by who asserts that it is the newest, and is wrong. */
const storeBehind = async (id: string) => {
  await using elsewhere = new Cache<string>(port, { name: 'test', ttlMs: 60_000 })
  await elsewhere.set(id, 'older')
}

describe('an invalidation that is to be repeated', () => {
  it('removes what somebody stored behind its back, once, and without a caller who waits', async () => {
    const { state, cache } = counting()
    const id = randomUUID()
    await cache.invalidate(id, { again: { afterMs: 400 } })
    await storeBehind(id)
    expect(await cache.get(id)).toBe('older')
    await expect.poll(() => cache.get(id), { interval: 5, timeout: 5000 }).toBeUndefined()
    await sleep(50)
    expect(state.removals).toBe(2)
    await cache.close()
  })

  it('leaves in peace what is stored later, and without the option everything', async () => {
    const { state, cache } = counting()
    const [once, twice] = [randomUUID(), randomUUID()]
    await cache.invalidate(once)
    await storeBehind(once)
    await cache.invalidateMany([twice], { again: { afterMs: 5 } })
    await expect.poll(() => state.removals).toBe(3)
    // Its answer as well.
    await cache.get(twice)
    await storeBehind(twice)
    await sleep(50)
    expect(await cache.getMany([once, twice])).toEqual(['older', 'older'])
    await cache.close()
  })

  it('keeps no other answer from this process until then', async () => {
    const { cache } = counting()
    const id = randomUUID()
    await cache.invalidate(id, { again: { afterMs: 60_000 } })
    expect(await cache.getOrLoad(id, () => 'new')).toBe('new')
    await expect.poll(() => cache.get(id)).toBe('new')
    expect(cache.stats()).toMatchObject({ pending: 0, degraded: false })
    await cache.close()
  })

  it('goes on being tried when Redis does not take it then', async () => {
    const { state, cache, errors } = counting()
    const id = randomUUID()
    await cache.invalidate(id, { again: { afterMs: 10 } })
    state.isCut = true
    await storeBehind(id)
    await expect.poll(() => errors.length).toBeGreaterThan(1)
    expect(cache.stats().pending).toBe(1)
    state.isCut = false
    await expect.poll(() => cache.stats().pending).toBe(0)
    expect(await cache.read(id)).toMatchObject({ found: false })
    await cache.close()
  })

  it('changes tags once more as well', async () => {
    const changes: string[] = []
    const through = watched(port, (call) => void (nameOf(call) === 'HDEL' && changes.push('tag')))
    const cache = new Cache<string>(through, { name: 'test', ttlMs: 60_000 })
    const [id, tag] = [randomUUID(), randomUUID()]
    await cache.invalidateTags([tag], { again: { afterMs: 300 } })
    expect(await cache.getOrLoad(id, { tags: [tag] }, () => 'older')).toBe('older')
    await expect.poll(() => changes, { timeout: 5000 }).toEqual(['tag', 'tag'])
    await expect.poll(() => cache.getOrLoad(id, { tags: [tag] }, () => 'newer')).toBe('newer')
    await cache.close()
  })

  it('is given up when the cache is closed', async () => {
    const { state, cache } = counting()
    const id = randomUUID()
    await cache.invalidate(id, { again: { afterMs: 20 } })
    await cache.close()
    await sleep(60)
    expect(state.removals).toBe(1)
  })

  it('is bounded: beyond 100,000 entries that wait it is told that they are not removed again', () => {
    const errors: string[] = []
    const pending = new PendingInvalidations(port, {
      callOf: removalOf(0),
      report: (error) => errors.push(String(error)),
      changed: () => {},
    })
    const key = keyOf({ namespace: port.namespace, pattern: 'cache', name: 'test' }, 'x')
    const many = Array.from({ length: 60_000 }, () => key)
    pending.again(many, 60_000)
    expect(errors).toEqual([])
    pending.again(many, 60_000)
    expect(errors[0]).toContain('more than 100000 entries wait to be removed once more; 60000 are not')
    pending.close()
  })

  it.each([0, -1, 1.5, 86_400_001])('refuses to be repeated after %s ms', async (afterMs) => {
    const { state, cache } = counting()
    await expect(cache.invalidate('x', { again: { afterMs } })).rejects.toThrow('again.afterMs')
    expect(state.removals).toBe(0)
    await cache.close()
  })
})
