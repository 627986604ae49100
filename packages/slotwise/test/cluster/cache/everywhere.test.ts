import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Cache, type CacheOptions } from '../../../src/cache/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { listening } from '../../support/listening.js'
import { portWith, withoutHearing } from '../../support/port-with.js'
import { gate } from './gate.js'
import { nameOf, watched } from './watched-port.js'

let port: RedisPort
/** Another process, as far as Redis can tell. */
let elsewhere: RedisPort
beforeAll(async () => {
  const options = { nodes: inject('clusterNodes'), namespace: `every-${randomUUID().slice(0, 8)}` }
  port = await connect(options)
  elsewhere = await connect(options)
})
afterAll(() => Promise.all([port.close(), elsewhere.close()]))

const T = 600

/** A cache whose readers and tags are its own. */
function opened(
  name = `c${randomUUID().slice(0, 8)}`,
  through = port,
  options: Partial<CacheOptions<string>> = {},
) {
  const local = { maxEntries: 100, maxStalenessMs: T }
  return new Cache<string>(through, { name, ttlMs: 60_000, budgetMs: 5000, local, ...options })
}

/** The cache serves the entry without asking. */
async function held(cache: Cache<string>, id: string, value: string): Promise<void> {
  const isHeld = async () => {
    const before = cache.stats().localHits
    return (await cache.get(id)) === value && cache.stats().localHits > before
  }
  await expect.poll(isHeld, { interval: 5, timeout: 5000 }).toBe(true)
}

const ways: Record<string, (cache: Cache<string>, id: string) => Promise<unknown>> = {
  invalidate: (cache, id) => cache.invalidate(id, { everywhere: true }),
  invalidateTags: (cache) => cache.invalidateTags(['a'], { everywhere: true }),
  mutate: (cache) => cache.mutate({ tags: ['a'], everywhere: true }, () => {}),
  writeThrough: (cache, id) => cache.writeThrough(id, { everywhere: true }, () => 'new'),
}

describe('once it has resolved, no process serves the older value', () => {
  /** A process that holds the entry, and from then on hears nothing of the server; and another that shares its cache. */
  async function scene(through: RedisPort) {
    let isHalfOpen = false
    const name = `c${randomUUID().slice(0, 8)}`
    const holder = opened(name, listening(through, { isHalfOpen: () => isHalfOpen }))
    const other = opened(name, elsewhere)
    const id = randomUUID()
    await holder.set(id, 'old', { tags: ['a'] })
    await held(holder, id, 'old')
    isHalfOpen = true
    return {
      holder,
      other,
      id,
      [Symbol.asyncDispose]: () => Promise.all([holder.close(), other.close()]).then(() => {}),
    }
  }

  it('and one that does not wait for that may find it there', async () => {
    await using scenery = await scene(port)
    await scenery.other.invalidate(scenery.id)
    expect(await scenery.holder.get(scenery.id)).toBe('old')
  })

  it.each(Object.entries(ways))('%s: as soon as all who hold it have answered', async (_, way) => {
    await using scenery = await scene(port)
    const { holder, other, id } = scenery
    const from = performance.now()
    await way(other, id)
    const tookMs = performance.now() - from
    expect(await holder.get(id)).not.toBe('old')
    expect(tookMs).toBeLessThan(T)
  })

  it.each(Object.entries(ways))('%s: after the longest time if one does not answer', async (_, way) => {
    await using scenery = await scene(withoutHearing(port))
    const { holder, other, id } = scenery
    const from = performance.now()
    await way(other, id)
    expect(performance.now() - from).toBeGreaterThan(T)
    expect(await holder.get(id)).not.toBe('old')
  })
})

describe('of several who hold it', () => {
  it('all are waited for, the one that may be behind most too, though others have answered', async () => {
    const name = `c${randomUUID().slice(0, 8)}`
    let isHalfOpen = false
    const silent = listening(withoutHearing(port), { isHalfOpen: () => isHalfOpen })
    const far = { maxEntries: 100, maxStalenessMs: 2 * T }
    await using slowest = opened(name, silent, { local: far })
    await using near = opened(name, port)
    await using other = opened(name, elsewhere)
    const id = randomUUID()
    await other.set(id, 'old')
    await held(slowest, id, 'old')
    await held(near, id, 'old')
    isHalfOpen = true
    const from = performance.now()
    await other.invalidate(id, { everywhere: true })
    expect(await slowest.get(id)).toBeUndefined()
    expect(performance.now() - from).toBeGreaterThan(far.maxStalenessMs)
  })

  it('an answer for some of very many entries is none for the others', async () => {
    const name = `c${randomUUID().slice(0, 8)}`
    const ids = Array.from({ length: 250 }, (_, n) => `${n}`)
    const lost = keyOf({ namespace: port.namespace, pattern: 'cache', name }, '249')
    let isHalfOpen = false
    const subscribe: RedisPort['subscribe'] = (channel, listener, options) => {
      const message = (payload: Buffer): void => {
        if (!payload.includes(JSON.stringify(lost))) listener.message(payload)
      }
      return port.subscribe(channel, { message }, options)
    }
    const partly = portWith(listening(port, { isHalfOpen: () => isHalfOpen }), { subscribe })
    await using holder = opened(name, partly)
    await using other = opened(name, elsewhere)
    await other.set('249', 'old')
    await held(holder, '249', 'old')
    isHalfOpen = true
    await other.invalidateMany(ids, { everywhere: true })
    expect(await holder.get('249')).toBeUndefined()
  })
})

it('who is not counted serves nothing from what it holds', async () => {
  const uncounted = watched(port, (call) => {
    if (nameOf(call) === 'enrol') throw new Error('not counted')
  })
  await using cache = opened(undefined, uncounted)
  const id = randomUUID()
  await cache.set(id, 'value')
  for (let i = 0; i < 50; i++) expect(await cache.get(id)).toBe('value')
  expect(cache.stats().localHits).toBe(0)
})

it('who is counted anew proves what it read before: nobody waited for it', async () => {
  const name = `c${randomUUID().slice(0, 8)}`
  const counted = gate()
  let isHalfOpen = false
  const late = watched(listening(port, { isHalfOpen: () => isHalfOpen }), (call) =>
    nameOf(call) === 'enrol' ? counted.passed : undefined,
  )
  // It would serve what it has read for long.
  await using holder = opened(name, late, { local: { maxEntries: 100, maxStalenessMs: 10_000 } })
  await using other = opened(name, elsewhere)
  const id = randomUUID()
  await other.set(id, 'old')
  // Nothing tells from outside when the server is listened to.
  for (const until = performance.now() + 400; performance.now() < until; await sleep(10)) {
    expect(await holder.get(id)).toBe('old')
  }
  isHalfOpen = true
  await other.invalidate(id, { everywhere: true })
  counted.open()
  const key = keyOf({ namespace: port.namespace, pattern: 'level', name }, ['readers'])
  await expect.poll(() => port.call({ key, command: ['HLEN', key] })).toBeGreaterThan(2)
  for (let i = 0; i < 20; i++) expect(await holder.get(id)).toBeUndefined()
})

it('nobody is waited for who is counted no more', async () => {
  const name = `c${randomUUID().slice(0, 8)}`
  const key = keyOf({ namespace: port.namespace, pattern: 'level', name }, ['readers'])
  // As one that has died, and whose time is over.
  await port.call({ key, command: ['HSET', key, 'edead', 1, 'bdead', 60_000] })
  await using cache = opened(name)
  const from = performance.now()
  await cache.invalidate('x', { everywhere: true })
  expect(performance.now() - from).toBeLessThan(T)
})

it('nobody is waited for who has closed', async () => {
  const name = `c${randomUUID().slice(0, 8)}`
  await using other = opened(name, elsewhere)
  const holder = opened(name)
  const id = randomUUID()
  await holder.set(id, 'old')
  await held(holder, id, 'old')
  await holder.close()
  const from = performance.now()
  await other.invalidate(id, { everywhere: true })
  expect(performance.now() - from).toBeLessThan(T)
})

it('a cache that holds nothing can invalidate everywhere as well', async () => {
  const name = `c${randomUUID().slice(0, 8)}`
  await using holder = opened(name)
  await using plain = opened(name, elsewhere, { local: undefined })
  const id = randomUUID()
  await holder.set(id, 'old')
  await held(holder, id, 'old')
  await plain.invalidate(id, { everywhere: true })
  expect(await holder.get(id)).toBeUndefined()
})
