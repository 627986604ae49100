import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { fastifyRateLimit } from '@fastify/rate-limit'
import express from 'express'
import { type Options, rateLimit } from 'express-rate-limit'
import { type FastifyInstance, fastify } from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import { ExpressRateLimitStore } from '../../../src/ratelimit/express/index.js'
import { fastifyRateLimitStore } from '../../../src/ratelimit/fastify/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

let port: RedisPort
const namespace = `hits-${randomUUID().slice(0, 8)}`
beforeAll(async () => {
  port = await anyPort({ namespace })
})
afterAll(() => port.close())

const fresh = () => randomUUID().slice(0, 8)
const opened: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((close) => close()))
})

/** What the server holds at a key, and how long it lasts: -2 where there is none. */
async function stored(name: string, id: string) {
  const key = keyOf({ namespace, pattern: 'hits', name }, id)
  return {
    hits: await port.call({ key, command: ['GET', key] }),
    leftMs: Number(await port.call({ key, command: ['PTTL', key] })),
  }
}

describe('the store for express-rate-limit', () => {
  const storeOf = (windowMs: number, name = fresh()) => {
    const store = new ExpressRateLimitStore(port, { name, deadlineMs: 5000 })
    store.init({ windowMs })
    return Object.assign(store, { name })
  }

  it('counts up, tells when the window ends, and looks without counting', async () => {
    const store = storeOf(60_000)
    expect(await store.get('a')).toBeUndefined()
    const first = await store.increment('a')
    expect(first.totalHits).toBe(1)
    expect(first.resetTime.getTime() - Date.now()).toBeGreaterThan(50_000)
    expect(first.resetTime.getTime() - Date.now()).toBeLessThanOrEqual(60_000)
    expect((await store.increment('a')).totalHits).toBe(2)
    expect((await store.increment('b')).totalHits).toBe(1)
    expect((await store.get('a'))?.totalHits).toBe(2)
    expect((await store.get('a'))?.totalHits).toBe(2)
  })

  it('counts every hit of many at once, in one window', async () => {
    const store = storeOf(60_000)
    const counted = await Promise.all(Array.from({ length: 100 }, () => store.increment('a')))
    expect(counted.map(({ totalHits }) => totalHits).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 100 }, (_, i) => i + 1),
    )
  })

  it('begins a window with its first hit and does not lengthen it by others', async () => {
    const store = storeOf(400)
    const from = performance.now()
    await store.increment('a')
    await expect
      .poll(async () => (await store.increment('a')).totalHits, { interval: 20, timeout: 3000 })
      .toBe(1)
    expect(performance.now() - from).toBeGreaterThanOrEqual(395)
  })

  it('keeps windows below a second to the millisecond', async () => {
    const store = storeOf(90)
    await store.increment('a')
    const { leftMs } = await stored(store.name, 'a')
    expect(leftMs).toBeGreaterThanOrEqual(0)
    expect(leftMs).toBeLessThanOrEqual(90)
    await expect.poll(() => store.get('a'), { interval: 10 }).toBeUndefined()
  })

  it('takes a hit back, down to none and no further', async () => {
    const store = storeOf(60_000)
    await store.increment('a')
    await store.increment('a')
    await store.decrement('a')
    expect((await store.get('a'))?.totalHits).toBe(1)
    for (let i = 0; i < 3; i++) await store.decrement('a')
    expect(await store.get('a')).toBeUndefined()
    expect((await stored(store.name, 'a')).leftMs).toBeGreaterThan(0)
    expect((await store.increment('a')).totalHits).toBe(1)
  })

  it('leaves nothing behind when a hit is taken back after its window, neither a key without an end nor a debt', async () => {
    const store = storeOf(40)
    await store.increment('a')
    await expect.poll(() => store.get('a'), { interval: 10 }).toBeUndefined()
    await store.decrement('a')
    await store.decrement('never seen')
    expect(await stored(store.name, 'a')).toEqual({ hits: null, leftMs: -2 })
    expect(await stored(store.name, 'never seen')).toEqual({ hits: null, leftMs: -2 })
    expect((await store.increment('a')).totalHits).toBe(1)
  })

  it('gives an end to a counter that has none, whoever made it', async () => {
    const store = storeOf(60_000)
    const key = keyOf({ namespace, pattern: 'hits', name: store.name }, 'a')
    await port.call({ key, command: ['SET', key, '-1'] })
    await store.increment('a')
    expect((await stored(store.name, 'a')).leftMs).toBeGreaterThan(0)
  })

  it('forgets a key when told to', async () => {
    const store = storeOf(60_000)
    await store.increment('a')
    await store.increment('b')
    await store.resetKey('a')
    expect((await store.increment('a')).totalHits).toBe(1)
    expect((await store.increment('b')).totalHits).toBe(2)
  })

  it('shares counts with stores of its name, and with no other; keys may hold anything', async () => {
    const [one, same, other] = [storeOf(60_000, 'one'), storeOf(60_000, 'one'), storeOf(60_000, 'two')]
    for (const key of ['a', '{a}', '}{', 'a:b', '', ' ', 'x'.repeat(5000), '2001:db8::/64', '\ud800']) {
      expect([await one.increment(key), await same.increment(key), await other.increment(key)]).toMatchObject(
        [{ totalHits: 1 }, { totalHits: 2 }, { totalHits: 1 }],
      )
    }
  })

  it('survives that every node forgets its scripts', async () => {
    const store = storeOf(60_000)
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`)
    await port.onEachPrimary(['SCRIPT', 'FLUSH'])
    const counted = await Promise.all(keys.map((key) => store.increment(key)))
    expect(counted.every(({ totalHits }) => totalHits === 1)).toBe(true)
  })

  it('is refused where the window is no whole number of milliseconds, or was never told', async () => {
    await expect(storeOf(0).increment('a')).rejects.toThrow(ConfigurationError)
    await expect(storeOf(1.5).increment('a')).rejects.toThrow(ConfigurationError)
    await expect(new ExpressRateLimitStore(port, { name: 'a' }).increment('a')).rejects.toThrow('rateLimit')
    expect(() => new ExpressRateLimitStore(port, { name: 'a b' })).toThrow(ConfigurationError)
  })

  const serve = async (options: Partial<Options>) => {
    const warnings: unknown[] = []
    const logger = { error: (one: unknown) => warnings.push(one), warn: (one: unknown) => warnings.push(one) }
    const app = express()
    const store = new ExpressRateLimitStore(port, { name: fresh(), deadlineMs: 5000 })
    app.use(rateLimit({ windowMs: 60_000, limit: 2, standardHeaders: 'draft-8', store, logger, ...options }))
    app.get('/', (_, response) => void response.send('hello'))
    app.get('/broken', (_, response) => void response.sendStatus(500))
    const server = app.listen(0, '127.0.0.1')
    opened.push(() => new Promise((done) => server.close(done)))
    await new Promise((done) => server.once('listening', done))
    const get = async (path = '/') =>
      await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, {
        headers: { connection: 'close' },
      })
    return { get, warnings, store }
  }

  it('makes the package refuse what is over the limit, and the package finds nothing to complain about', async () => {
    const { get, warnings } = await serve({})
    const statuses = []
    for (let i = 0; i < 3; i++) statuses.push((await get()).status)
    expect(statuses).toEqual([200, 200, 429])
    expect((await get()).headers.get('ratelimit')).toMatch(/r=0; t=(60|59|58|57)/)
    expect(warnings).toEqual([])
  })

  it('lets the package take back what failed', async () => {
    const { get } = await serve({ skipFailedRequests: true })
    for (let i = 0; i < 6; i++) expect((await get('/broken')).status).toBe(500)
    expect([(await get()).status, (await get()).status, (await get()).status]).toEqual([200, 200, 429])
  })
})

describe('the store for @fastify/rate-limit', () => {
  type Settings = Parameters<FastifyInstance['register']>[1]
  const serve = async (settings: object, name = fresh()) => {
    const app = fastify()
    const store = fastifyRateLimitStore(port, { name, deadlineMs: 5000 })
    await app.register(fastifyRateLimit, { store, max: 2, timeWindow: 60_000, ...settings } as Settings)
    app.get('/', async () => 'hello')
    app.get('/other', async () => 'other')
    app.get('/own', { config: { rateLimit: { max: 1, timeWindow: 60_000 } } }, async () => 'own')
    app.get(
      '/grouped',
      { config: { rateLimit: { max: 1, timeWindow: 60_000, groupId: 'g' } } },
      async () => 'grouped',
    )
    opened.push(() => app.close())
    const get = async (url = '/') => await app.inject({ url })
    const statuses = async (count: number, url = '/') => {
      const all = []
      for (let i = 0; i < count; i++) all.push((await get(url)).statusCode)
      return all
    }
    return { app, get, statuses, name }
  }

  it('makes the package refuse what is over the limit, and tell when the window ends', async () => {
    const { get, statuses } = await serve({})
    expect(await statuses(3)).toEqual([200, 200, 429])
    const { headers } = await get()
    expect(headers['x-ratelimit-limit']).toBe('2')
    expect(Number(headers['retry-after'])).toBeGreaterThan(50)
    expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60)
  })

  it('counts routes together, and apart where they have limits of their own', async () => {
    const { statuses } = await serve({})
    expect(await statuses(1)).toEqual([200])
    expect(await statuses(2, '/other')).toEqual([200, 429])
    expect(await statuses(2, '/own')).toEqual([200, 429])
    expect(await statuses(2, '/grouped')).toEqual([200, 429])
  })

  it('shares counts between processes', async () => {
    const name = fresh()
    const [one, other] = [await serve({}, name), await serve({}, name)]
    expect([...(await one.statuses(1)), ...(await other.statuses(2))]).toEqual([200, 200, 429])
  })

  it('keeps windows below a second', async () => {
    const { get, statuses } = await serve({ timeWindow: 200 })
    expect(await statuses(3)).toEqual([200, 200, 429])
    await expect.poll(async () => (await get()).statusCode, { interval: 20, timeout: 3000 }).toBe(200)
  })

  const stay = { id: '127.0.0.1' }
  it('begins the window anew with each hit that is too many, where it is told to', async () => {
    const { statuses, name } = await serve({ max: 1, timeWindow: 300, continueExceeding: true })
    const from = performance.now()
    expect(await statuses(1)).toEqual([200])
    while (performance.now() - from < 700) {
      expect(await statuses(1)).toEqual([429])
      const { leftMs } = await stored(name, stay.id)
      expect(leftMs).toBeGreaterThan(100)
    }
  })

  it('doubles the window with each hit that is too many, where it is told to, and stops at a year', async () => {
    const { get, statuses, name } = await serve({ max: 1, timeWindow: 1000, exponentialBackoff: true })
    await statuses(1)
    for (const seconds of [1, 2, 4, 8]) {
      const { headers } = await get()
      expect(Number(headers['retry-after'])).toBe(seconds)
    }
    await statuses(40)
    const { leftMs } = await stored(name, stay.id)
    expect(leftMs).toBeGreaterThan(364 * 86_400_000)
    expect(leftMs).toBeLessThanOrEqual(365 * 86_400_000)
  })

  it('tells without counting', async () => {
    const { app, name } = await serve({})
    const look = app.createRateLimit()
    app.get(
      '/look',
      { config: { rateLimit: false } },
      async (request) => await look(request, { increment: false }),
    )
    app.get('/count', { config: { rateLimit: false } }, async (request) => await look(request))
    const at = async (url: string) => (await app.inject({ url })).json<{ remaining: number; ttl: number }>()
    expect(await at('/look')).toMatchObject({ remaining: 2, ttl: 0 })
    expect(await at('/count')).toMatchObject({ remaining: 1 })
    const { remaining, ttl } = await at('/look')
    expect(remaining).toBe(1)
    expect(ttl).toBeGreaterThan(50_000)
    expect(await at('/look')).toMatchObject({ remaining: 1 })
    expect((await stored(name, stay.id)).hits).toBe('1')
  })

  it('hands failures to the package, which answers with them or lets the request pass', async () => {
    const broken = new Proxy(port, {
      get: (target, what) =>
        what === 'call' ? () => Promise.reject(new Error('away')) : (Reflect.get(target, what) as unknown),
    })
    for (const [skipOnError, status] of [
      [false, 500],
      [true, 200],
    ] as const) {
      const { statuses } = await serve({
        store: fastifyRateLimitStore(broken, { name: fresh() }),
        skipOnError,
      })
      expect(await statuses(1)).toEqual([status])
    }
  })
})
