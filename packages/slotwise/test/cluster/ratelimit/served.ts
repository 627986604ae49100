import { randomUUID } from 'node:crypto'
import { connect as connectTcp } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeList } from 'structured-field-values'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { HttpLimiter, ProtectSettings } from '../../../src/ratelimit/http/index.js'
import { concurrency, RateLimiter, type Tier, tokenBucket } from '../../../src/ratelimit/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

/** A limit, and the settings of its middleware. */
export interface Limit {
  readonly limiter: HttpLimiter<'requests', string>
  readonly settings: ProtectSettings<unknown, 'requests'> & {
    readonly key?: (request: unknown, client: () => string) => string
  }
}

/**
 * A server whose routes `/` (200), `/broken` (500) and `/thrown` (an error) are behind the limits; `reached` is called by each
 * of their handlers. On `/hung` it never answers.
 */
export type Serve = (
  limits: readonly Limit[],
  reached: (path: string) => void,
) => Promise<{ readonly port: number; close(): Promise<unknown> }>

interface Subject {
  readonly serve: Serve
  /** A header of what the framework calls a request. */
  readonly header: (request: unknown, name: string) => string | undefined
  /** Where the framework decides about the form of errors. */
  readonly problemType?: RegExp
  readonly ownBody?: readonly [type: RegExp, body: string]
}

/** Makes limiters on a Redis of the tests' own. */
function limitingByRedis() {
  let redis: RedisPort
  beforeAll(async () => {
    redis = await anyPort({ namespace: `http-${randomUUID().slice(0, 8)}` })
  })
  afterAll(() => redis.close())

  return (requests: Tier) =>
    new RateLimiter<'requests', string>(redis, {
      name: 'http',
      tiers: { requests },
      whenUnavailable: 'deny',
      deadlineMs: 5000,
    })
}

/** What the tests of one framework stand on. */
function staged({ serve, header }: Subject) {
  const limiting = limitingByRedis()
  const limiterOf = (capacity: number) => limiting(tokenBucket({ capacity, refillPerSecond: 0.001 }))
  const unavailable: HttpLimiter<'requests', string> = {
    consume: async () => ({ allowed: false, reason: 'unavailable', cause: new Error('away') }),
    describe: () => [],
    refund: async () => false,
  }

  const opened: { close(): Promise<unknown> }[] = []
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((one) => one.close()))
  })
  const open = async (...limits: readonly Limit[]) => {
    const reached: string[] = []
    const server = await serve(limits, (path) => reached.push(path))
    opened.push(server)
    const get = async (path = '/', headers: Record<string, string> = {}) =>
      await fetch(`http://127.0.0.1:${server.port}${path}`, { headers })
    return { get, reached, port: server.port }
  }
  /** Counts whom the request says that it is of. */
  const byUser = (prefix = randomUUID()): Pick<Limit['settings'], 'key'> => ({
    key: (request) => `${prefix} ${header(request, 'x-user') ?? 'nobody'}`,
  })
  const leftOf = (response: Response) => {
    const list = decodeList(response.headers.get('ratelimit') ?? '') as { params: { r: number } }[]
    return list.map(({ params }) => params.r)
  }
  return { limiting, limiterOf, unavailable, open, byUser, leftOf }
}

/** What every middleware promises, whatever the framework. */
export function serving(name: string, subject: Subject): void {
  const {
    header,
    problemType = /^application\/problem\+json/,
    ownBody = [/^text\/plain/, 'not now'],
  } = subject

  describe(`${name} as a middleware`, () => {
    const { limiterOf, unavailable, open, byUser, leftOf } = staged(subject)

    it('passes what is allowed, and tells the client where it stands', async () => {
      const { get, reached } = await open({ limiter: limiterOf(2), settings: byUser() })
      const response = await get()
      expect([response.status, await response.text(), reached]).toEqual([200, 'hello', ['/']])
      expect(response.headers.get('ratelimit-policy')).toBe('"requests";q=2;w=2000')
      expect(response.headers.get('ratelimit')).toBe('"requests";r=1;t=1000')
      expect(response.headers.get('retry-after')).toBeNull()
    })

    it('answers what is refused, with the problem, and reaches no handler', async () => {
      const { get, reached } = await open({ limiter: limiterOf(1), settings: byUser() })
      await get()
      const response = await get()
      expect([response.status, reached]).toEqual([429, ['/']])
      expect(response.headers.get('content-type')).toMatch(problemType)
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(900)
      expect(response.headers.get('ratelimit')).toMatch(/^"requests";r=0;t=\d+$/)
      expect(await response.json()).toEqual({
        type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
        title: 'Quota exceeded',
        status: 429,
        'violated-policies': ['requests'],
      })
    })

    it('counts each by the key of its request, takes what the cost says, and leaves alone what is skipped', async () => {
      const settings: Limit['settings'] = {
        ...byUser(),
        cost: (request) => Number(header(request, 'x-cost') ?? 1),
        skip: (request) => header(request, 'x-user') === 'health',
      }
      const { get } = await open({ limiter: limiterOf(5), settings })
      expect(leftOf(await get('/', { 'x-user': 'ada', 'x-cost': '3' }))).toEqual([2])
      expect(leftOf(await get('/', { 'x-user': 'ada' }))).toEqual([1])
      expect(leftOf(await get('/', { 'x-user': 'bob' }))).toEqual([4])
      expect((await get('/', { 'x-user': 'ada', 'x-cost': '6' })).status).toBe(429)
      const skipped = await get('/', { 'x-user': 'health' })
      expect([skipped.status, skipped.headers.get('ratelimit')]).toEqual([200, null])
    })

    it('gives back what requests took that failed, once they have, and nothing else', async () => {
      const limiter = limiterOf(10)
      const prefix = randomUUID()
      const { get } = await open({ limiter, settings: { ...byUser(prefix), refund: 'failed' } })
      const left = async () => (await limiter.peek(`${prefix} nobody`))[0]?.remaining
      expect((await get('/broken')).status).toBe(500)
      await expect.poll(left).toBe(10)
      expect((await get('/thrown')).status).toBe(500)
      await expect.poll(left).toBe(10)
      expect((await get('/')).status).toBe(200)
      expect((await get('/broken')).status).toBe(500)
      await expect.poll(left).toBe(9)
    })

    it('is a 503 where no decision could be had', async () => {
      const { get, reached } = await open({ limiter: unavailable, settings: byUser() })
      const response = await get()
      expect([response.status, response.headers.get('retry-after'), reached]).toEqual([503, '5', []])
      expect(await response.json()).toMatchObject({ status: 503, 'violated-policies': [] })
    })

    it('speaks beside another limit of the same request, and a refusal speaks for itself alone', async () => {
      const [wide, narrow] = [limiterOf(9), limiterOf(1)]
      const { get } = await open(
        { limiter: wide, settings: byUser() },
        { limiter: narrow, settings: byUser() },
      )
      expect(leftOf(await get()).toSorted((a, b) => a - b)).toEqual([0, 8])
      const refused = await get()
      expect([refused.status, leftOf(refused)]).toEqual([429, [0]])
    })

    it('answers with the body of one’s own', async () => {
      const body = () => ({ contentType: 'text/plain', text: 'not now' })
      const { get } = await open({ limiter: limiterOf(1), settings: { ...byUser(), body } })
      await get()
      const response = await get()
      expect([response.status, await response.text()]).toEqual([429, ownBody[1]])
      expect(response.headers.get('content-type')).toMatch(ownBody[0])
    })

    it('knows clients behind as many proxies as are trusted, and believes no header of their own', async () => {
      const settings: Limit['settings'] = { proxies: { trust: 1 } }
      const { get } = await open({ limiter: limiterOf(2), settings })
      const network = `2001:db8:${Math.floor(Math.random() * 65_536).toString(16)}`
      for (const [before, expected] of [
        ['', 200],
        ['1.1.1.1, ', 200],
        ['2.2.2.2, ', 429],
      ] as const) {
        expect((await get('/', { 'x-forwarded-for': `${before}${network}::7` })).status).toBe(expected)
      }
      expect((await get('/', { 'x-forwarded-for': `${network}:0:0:ffff::8` })).status).toBe(429)
    })

    it('hands on what a key fails with, and goes on serving', async () => {
      const key = (request: unknown): string => {
        if (header(request, 'x-user') === 'none') throw new Error('no user')
        return randomUUID()
      }
      const { get, reached } = await open({ limiter: limiterOf(2), settings: { key } })
      const failing = await get('/', { 'x-user': 'none' }).then(
        ({ status }) => status,
        () => 500,
      )
      expect([failing, reached]).toEqual([500, []])
      expect((await get()).status).toBe(200)
    })
  })
}

/** What those promise besides that know of connections. */
export function servingConnections(name: string, subject: Subject): void {
  const { header } = subject

  describe(`${name} with connections of its own`, () => {
    const { limiting, limiterOf, open, byUser, leftOf } = staged(subject)

    it('gives nothing back to a client that hangs up, unless it is told to', async () => {
      const limiter = limiterOf(10)
      const prefix = randomUUID()
      const left = async (who: string) => (await limiter.peek(`${prefix} ${who}`))[0]?.remaining
      const settings: Limit['settings'] = {
        ...byUser(prefix),
        refund: ({ status }, request) => {
          told.push(status)
          return header(request, 'x-user') === 'kind'
        },
      }
      const told: (number | undefined)[] = []
      const { reached, port } = await open({ limiter, settings })
      for (const who of ['kind', 'strict']) {
        const socket = connectTcp(port, '127.0.0.1')
        socket.on('error', () => {})
        socket.write(`GET /hung HTTP/1.1\r\nHost: a\r\nX-User: ${who}\r\n\r\n`)
        const before = reached.length
        await expect.poll(() => reached.length).toBe(before + 1)
        socket.destroy()
        await expect.poll(() => told.length).toBe(before + 1)
      }
      expect(told).toEqual([undefined, undefined])
      await expect.poll(() => left('kind')).toBe(10)
      expect(await left('strict')).toBe(9)
    })

    it('counts a request for as long as it is answered, and no longer, where so many at once are allowed', async () => {
      const limiter = limiting(concurrency({ max: 1, ttlMs: 1000 }))
      const prefix = randomUUID()
      const { get, reached, port } = await open({ limiter, settings: byUser(prefix) })
      // A place is free a moment after the client has its answer.
      for (const [path, status] of [
        ['/', 200],
        ['/broken', 500],
        ['/', 200],
      ] as const) {
        await expect.poll(async () => (await get(path)).status).toBe(status)
      }
      await expect.poll(async () => (await limiter.peek(`${prefix} nobody`))[0]?.remaining).toBe(1)
      const socket = connectTcp(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write('GET /hung HTTP/1.1\r\nHost: a\r\n\r\n')
      await expect.poll(() => reached.at(-1)).toBe('/hung')
      const from = performance.now()
      // Longer than it counts by itself.
      while (performance.now() - from < 1500) {
        await sleep(100)
        const response = await get()
        expect([response.status, response.headers.get('ratelimit')]).toEqual([429, '"requests";r=0'])
      }
      socket.destroy()
      await expect.poll(async () => (await get()).status).toBe(200)
    })

    it('counts a client by its address without being told whose requests are counted', async () => {
      const { get } = await open({ limiter: limiterOf(1000), settings: {} })
      const [first = 0] = leftOf(await get('/', { 'x-forwarded-for': '1.2.3.4' }))
      const [second] = leftOf(await get('/', { 'x-forwarded-for': '5.6.7.8' }))
      expect(second).toBe(first - 1)
    })
  })
}

/** A server without connections: from a request to its response, `handler` behind the limit. */
export type Answering = (
  limit: Limit,
  handler: (request: Request) => Response | Promise<Response>,
) => (request: Request) => Promise<Response>

/** What those promise that know of a response only what becomes of its body. */
export function servingBodies(name: string, answering: Answering): void {
  describe(`${name} with bodies that are read`, () => {
    const limiting = limitingByRedis()

    /** One place for all, and what tells whether it is free. */
    const behind = (handler: (request: Request) => Response | Promise<Response>) => {
      const limiter = limiting(concurrency({ max: 1, ttlMs: 1000 }))
      const user = randomUUID()
      const answer = answering({ limiter, settings: { key: () => user } }, handler)
      return {
        ask: (method = 'GET') => answer(new Request('http://localhost/', { method })),
        free: async () => (await limiter.peek(user))[0]?.remaining,
      }
    }
    const streamed = () => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
      return { response: new Response(readable), writer: writable.getWriter() }
    }

    it('counts a request until its body has been read, longer than it counts by itself, and refuses others meanwhile', async () => {
      const { response, writer } = streamed()
      const { ask, free } = behind(() => response)
      const first = await ask()
      expect(first.headers.get('ratelimit')).toBe('"requests";r=0')
      const text = first.text()
      const from = performance.now()
      while (performance.now() - from < 1500) {
        await writer.write(new TextEncoder().encode('.'))
        await sleep(100)
        expect((await ask()).status).toBe(429)
      }
      await writer.close()
      expect(await text).toMatch(/^\.+$/)
      await expect.poll(free).toBe(1)
    })

    it('counts a request until its body is cancelled', async () => {
      const { response, writer } = streamed()
      const { ask, free } = behind(() => response)
      const first = await ask()
      expect(await free()).toBe(0)
      await first.body?.cancel()
      await expect.poll(free).toBe(1)
      await expect(writer.closed, 'the handler hears of it').rejects.toBeUndefined()
    })

    it('counts a request until its body fails', async () => {
      const { response, writer } = streamed()
      const { ask, free } = behind(() => response)
      const text = (await ask()).text()
      expect(await free()).toBe(0)
      await writer.abort(new Error('broken'))
      await expect(text).rejects.toThrow('broken')
      await expect.poll(free).toBe(1)
    })

    it.each([
      ['that answers without a body', 'GET', () => new Response(null, { status: 204 })],
      ['for the head alone', 'HEAD', () => new Response('hello')],
    ])('counts a request no longer than its handler %s', async (_, method, handler) => {
      const { ask, free } = behind(handler)
      const kept = await ask(method)
      await expect.poll(free).toBe(1)
      expect(kept.ok, 'and is not forgotten meanwhile').toBe(true)
    })

    it('counts a request no longer than its handler that fails, and the answer to that', async () => {
      const { ask, free } = behind(() => Promise.reject(new Error('failed')))
      await ask().then(
        (response) => response.text(),
        () => undefined,
      )
      await expect.poll(free).toBe(1)
    })
  })
}
