import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { NextCache, type NextCacheOptions, type UseCacheEntry } from '../../../src/cache/next/index.js'
import {
  ClosedError,
  ConfigurationError,
  OutcomeUnknownError,
  RedisUnavailableError,
  UncacheableValueError,
} from '../../../src/errors.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'
import { counted } from './counted-port.js'
import { gate } from './gate.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `next-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())
afterEach(() => vi.unstubAllEnvs())

const fresh = (): string => randomUUID().slice(0, 8)
/** A render that takes longer than what times are rounded by. */
const renderTime = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 25))
const now = (): number => performance.timeOrigin + performance.now()

/** Instances of one application, each as its process would have it. */
function instances(options: Partial<NextCacheOptions> = {}, through = port) {
  const name = fresh()
  const make = (more: Partial<NextCacheOptions> = {}) =>
    new NextCache(through, { name, buildId: 'b1', budgetMs: 5000, ...options, ...more })
  return { make, a: make(), b: make() }
}

interface Rendered extends Partial<Omit<UseCacheEntry, 'value'>> {
  readonly chunks?: readonly string[]
  /** The stream fails behind its chunks. */
  readonly error?: Error
}

/** An entry as Next makes it. */
function rendered({ chunks = ['v'], error, ...about }: Rendered = {}): UseCacheEntry {
  const left = chunks.map((chunk) => new TextEncoder().encode(chunk))
  const value = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = left.shift()
      if (chunk !== undefined) controller.enqueue(chunk)
      else if (error !== undefined) controller.error(error)
      else controller.close()
    },
  })
  return { value, tags: [], stale: 300, timestamp: now(), expire: 3600, revalidate: 900, ...about }
}

const store = (cache: NextCache, key: string, entry: Rendered = {}): Promise<void> =>
  cache.useCache.set(key, Promise.resolve(rendered(entry)))

/** The text of what is served, or what is served instead. */
async function textOf(cache: NextCache, key: string, softTags: string[] = []): Promise<string | undefined> {
  const entry = await cache.useCache.get(key, softTags)
  return entry && (await new Response(entry.value).text())
}

describe('use cache', () => {
  it('gives every reader in every instance what was rendered, in a stream of its own', async () => {
    const { a, b } = instances()
    const large = 'x'.repeat(200_000)
    const timestamp = now() - 500
    await store(a, 'k', { chunks: ['one ', '', large], tags: ['t'], timestamp, stale: 7 })
    for (const cache of [a, b, b]) expect(await textOf(cache, 'k')).toBe(`one ${large}`)
    const entry = await b.useCache.get('k')
    expect(entry).toMatchObject({ tags: ['t'], stale: 7, expire: 3600, revalidate: 900 })
    expect(Math.abs((entry?.timestamp ?? 0) - timestamp)).toBeLessThan(400)
    // Nobody need read all of it.
    await entry?.value.cancel()
  })

  it('ends at once in every instance what bears a tag that was revalidated, and nothing else', async () => {
    const { a, b } = instances()
    const [tag, other] = [fresh(), fresh()]
    for (const key of ['k1', 'k2']) await store(a, key, { tags: [tag, 'common'] })
    await store(a, 'other', { tags: [other] })
    expect(await textOf(b, 'k1')).toBe('v')
    await a.useCache.updateTags([tag])
    expect(await Promise.all([a, b].flatMap((c) => [textOf(c, 'k1'), textOf(c, 'k2')]))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ])
    expect(await textOf(b, 'other')).toBe('v')
    await b.useCache.expireTags(other, 'more')
    expect(await textOf(a, 'other')).toBeUndefined()
  })

  it.each([
    ['of a tag that nobody has seen yet', false],
    ['of a tag that other entries bear', true],
  ])('never serves what was begun before a revalidation %s', async (_, isKnown) => {
    const { a, b } = instances()
    const tag = fresh()
    if (isKnown) await store(b, 'other', { tags: [tag] })
    const rendering = gate<UseCacheEntry>()
    const setting = a.useCache.set('k', rendering.passed)
    const entry = rendered({ chunks: ['of before'], tags: [tag] })
    await b.useCache.updateTags([tag])
    await renderTime()
    rendering.open(entry)
    await setting
    expect(await textOf(a, 'k')).toBeUndefined()
    // What is begun after it is kept, as soon as the two can be told apart.
    await expect
      .poll(async () => {
        await store(a, 'k', { chunks: ['of after'], tags: [tag] })
        return await textOf(b, 'k')
      })
      .toBe('of after')
  })

  it.each([
    ['ends', undefined],
    ['makes stale', { expire: 600 }],
  ])('stores nothing that may hold a render which a change %s, though it was begun later', async (_, how) => {
    const { a, b } = instances()
    const tag = fresh()
    // Next gives what it renders to another request, which begins after the change and renders a page of it.
    const inner = { tags: [tag], timestamp: now() }
    await renderTime()
    await b.useCache.updateTags([tag], how)
    await renderTime()
    const [timestamp, request] = [now(), new a.CacheHandler()]
    await store(a, 'inner', inner)
    await renderTime()
    await store(a, 'outer', { tags: [tag], timestamp })
    await request.set('/p', page('p', tag))
    expect(await textOf(b, 'outer')).toBeUndefined()
    expect(await new b.CacheHandler().get('/p', asked)).toBeNull()
    await store(a, 'outer', { tags: [tag] })
    expect((await b.useCache.get('outer'))?.revalidate).toBe(900)
  })

  it('minds the soft tags of whoever reads, which the entry does not bear', async () => {
    const { a, b } = instances()
    const [page, other] = [`_N_T_/${fresh()}`, `_N_T_/${fresh()}`]
    await store(a, 'k')
    await a.useCache.updateTags([page])
    expect(await textOf(b, 'k', [other, page])).toBeUndefined()
    expect(await textOf(b, 'k', [other])).toBe('v')
    await expect
      .poll(async () => {
        await store(a, 'k', { chunks: ['of after'] })
        return await textOf(b, 'k', [other, page])
      })
      .toBe('of after')
    // One that is older than the change, however late it was stored.
    await store(a, 'late', { timestamp: now() - 60_000 })
    expect(await textOf(b, 'late')).toBe('v')
    expect(await textOf(b, 'late', [page])).toBeUndefined()
  })

  it.each([
    ['what was stored', 'cache/next/stamp', undefined],
    ['what was made stale', 'cache/next/soften', { expire: 300 }],
  ])('a call that comes late brings nothing back: %s', async (_, script, profile) => {
    const late: (() => Promise<unknown>)[] = []
    const lossy = portWith(port, {
      pipeline: async (...[calls, options]: Parameters<RedisPort['pipeline']>) => {
        const at =
          late.length > 0 ? -1 : calls.findIndex((one) => 'script' in one && one.script.name === script)
        const held = calls[at]
        if (held === undefined) return await port.pipeline(calls, options)
        late.push(() => port.call(held))
        // Sent again as it is, where that is said to be harmless; else nobody knows.
        if (held.repeat === 'safe') return await port.pipeline(calls, options)
        const results = await port.pipeline(calls.toSpliced(at, 1), options)
        const reason = new OutcomeUnknownError('no answer', { node: 'test' })
        return results.toSpliced(at, 0, { status: 'rejected', reason })
      },
    })
    const tag = fresh()
    const { a } = instances({ name: tag })
    const { a: losing } = instances({ name: tag }, lossy)
    if (profile === undefined) await store(losing, 'k', { tags: [tag] })
    else {
      await store(a, 'before', { tags: [tag] })
      await losing.useCache.updateTags([tag], profile)
      await renderTime()
      await store(a, 'k', { tags: [tag] })
    }
    expect(await textOf(a, 'k')).toBe('v')
    await a.useCache.updateTags([tag])
    expect(late).toHaveLength(1)
    await late[0]?.()
    expect(await textOf(a, 'k')).toBeUndefined()
  })

  it('serves what is stale while the next is made, for as long as the profile says', async () => {
    const { a, b } = instances()
    const tag = fresh()
    await store(a, 'k', { tags: [tag] })
    await a.useCache.updateTags([tag], { expire: 60 })
    const stale = await b.useCache.get('k')
    expect(stale?.revalidate).toBe(-1)
    await expect
      .poll(async () => {
        await store(b, 'k', { tags: [tag], chunks: ['next'] })
        return (await a.useCache.get('k'))?.revalidate
      })
      .toBe(900)
    expect(await textOf(a, 'k')).toBe('next')
    await a.useCache.updateTags([tag], { expire: 1 })
    expect((await b.useCache.get('k'))?.revalidate).toBe(-1)
    await expect.poll(() => textOf(b, 'k'), { timeout: 3000 }).toBeUndefined()
    await a.useCache.updateTags([tag], {})
    expect(await textOf(b, 'k')).toBeUndefined()
  })

  it('serves what was begun before such a change as stale, and what ended earlier not again', async () => {
    const { a, b } = instances()
    const tag = fresh()
    const from = now()
    // Nobody has seen the tag yet.
    await a.useCache.updateTags([tag], { expire: 60 })
    await store(a, 'k', { tags: [tag], timestamp: from })
    expect((await a.useCache.get('k'))?.revalidate).toBe(-1)
    await a.useCache.updateTags([tag], { expire: 60 })
    await store(b, 'k2', { tags: [tag], timestamp: from })
    expect((await a.useCache.get('k2'))?.revalidate).toBe(-1)
    await a.useCache.updateTags([tag], { expire: 0 })
    await a.useCache.updateTags([tag], { expire: 60 })
    expect(await textOf(a, 'k')).toBeUndefined()
    expect(await textOf(a, 'k2')).toBeUndefined()
    // A shorter time counts for what an earlier change made stale, a longer one does not.
    await store(a, 'k', { tags: [tag] })
    const both = [{ expire: 600 }, { expire: 1 }, { expire: 600 }]
    for (const durations of both) await a.useCache.updateTags([tag], durations)
    await expect.poll(() => textOf(a, 'k'), { timeout: 3000 }).toBeUndefined()
  })

  it('forgets the oldest of very many such changes rather than keep all', async () => {
    const { a } = instances()
    const tag = fresh()
    await store(a, 'k', { tags: [tag] })
    for (let i = 0; i < 32; i++) await a.useCache.updateTags([tag], { expire: 600 })
    expect((await a.useCache.get('k'))?.revalidate).toBe(-1)
    await a.useCache.updateTags([tag], { expire: 600 })
    expect(await textOf(a, 'k')).toBeUndefined()
  })

  it('keeps what is made right after a change by this process, which knows that it was after', async () => {
    const { a, b } = instances()
    for (const durations of [undefined, { expire: 60 }]) {
      const tag = fresh()
      for (let i = 0; i < 20; i++) {
        await a.useCache.updateTags([tag], durations)
        await store(a, 'k', { chunks: [String(i)], tags: [tag] })
        expect(await textOf(b, 'k')).toBe(String(i))
        expect((await b.useCache.get('k'))?.revalidate).toBe(900)
      }
      // Only of its own change is that known.
      const from = now()
      await b.useCache.updateTags([tag])
      await store(a, 'k', { tags: [tag], timestamp: from })
      expect(await textOf(b, 'k')).toBeUndefined()
    }
  })

  it('makes a reader in the same process wait for what is being rendered', async () => {
    const { a } = instances()
    const rendering = gate<UseCacheEntry>()
    const setting = a.useCache.set('k', rendering.passed)
    let isThere = false
    const reading = textOf(a, 'k').finally(() => {
      isThere = true
    })
    await renderTime()
    expect(isThere).toBe(false)
    rendering.open(rendered())
    expect(await reading).toBe('v')
    await setting
  })

  it('stores nothing of a render or a stream that failed, and fails nobody', async () => {
    const { a } = instances()
    await a.useCache.set('k', Promise.reject(new Error('rendering')))
    await store(a, 'k', { chunks: ['half'], error: new Error('streaming') })
    expect(await textOf(a, 'k')).toBeUndefined()
    await store(a, 'k', { expire: 0 })
    expect(await textOf(a, 'k')).toBeUndefined()
  })

  it('stops gathering what is too large, and says so', async () => {
    const errors: Error[] = []
    const { a } = instances({ maxValueBytes: 100_000, onError: (error) => errors.push(error) })
    let isCancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(10_000)),
      cancel: () => {
        isCancelled = true
      },
    })
    await a.useCache.set('k', Promise.resolve({ ...rendered(), value: endless }))
    expect(isCancelled).toBe(true)
    expect(errors).toEqual([expect.any(UncacheableValueError)])
    expect(await textOf(a, 'k')).toBeUndefined()
  })

  it('keeps keys and tags apart, whatever they are made of and however long', async () => {
    const { a, b } = instances()
    const odd = ['["b1","id",[{}]]', 'ü{a}:*', 'long '.repeat(300), `${'long '.repeat(300)}!`]
    for (const key of odd) await store(a, key, { chunks: [key], tags: [`_N_T_/${key}`] })
    for (const key of odd) expect(await textOf(b, key)).toBe(key)
    await a.useCache.updateTags([`_N_T_/${odd[2] ?? ''}`])
    expect(await Promise.all(odd.map((key) => textOf(b, key)))).toEqual([odd[0], odd[1], undefined, odd[3]])
  })

  it('costs a hit two round trips and says that it minds soft tags itself', async () => {
    const watching = counted(port)
    const { a } = instances({}, watching.port)
    await store(a, 'k', { tags: ['t1', 't2'] })
    watching.asked.length = 0
    await textOf(a, 'k', ['_N_T_/layout', '_N_T_/page'])
    expect(watching.asked).toEqual(['call', 'pipeline'])
    await a.useCache.refreshTags()
    expect(await a.useCache.getExpiration()).toBe(Infinity)
    expect(watching.asked).toHaveLength(2)
  })
})

/** A page as Next stores it. */
const page = (html: string, tags = '') => ({
  kind: 'APP_PAGE',
  html,
  rscData: Buffer.from('rsc\u0000\u00ff', 'latin1'),
  status: 200,
  postponed: undefined,
  headers: { 'x-next-cache-tags': tags, vary: ['a', 'b'] },
  segmentData: new Map([
    ['/_tree', Buffer.from('tree')],
    ['/page', Buffer.from('')],
  ]),
})
const asked = { kind: 'APP_PAGE', isFallback: false }

describe('cacheHandler', () => {
  it('gives back pages, route handlers, fetches and what was not found, as they were', async () => {
    const { a, b } = instances()
    const control = { cacheControl: { revalidate: 60, expire: 3600 } }
    const [writer, reader] = [new a.CacheHandler(), new b.CacheHandler()]
    await writer.set('/p', page('<p>ü</p>', 't'), control)
    const found = await reader.get('/p', asked)
    const { postponed: _, ...there } = page('<p>ü</p>', 't')
    expect(found?.value).toEqual(there)
    expect.assert(found !== null)
    const { segmentData, rscData } = found.value as ReturnType<typeof page>
    expect(segmentData).toBeInstanceOf(Map)
    expect(Buffer.isBuffer(rscData)).toBe(true)
    expect(found.cacheControl).toEqual(control.cacheControl)
    expect(Math.abs(Date.now() - found.lastModified)).toBeLessThan(5000)
    const route = { kind: 'APP_ROUTE', body: Buffer.from([0, 255]), status: 201, headers: {} }
    await writer.set('/r', route, control)
    expect((await reader.get('/r', { kind: 'APP_ROUTE' }))?.value).toEqual(route)
    const data = { headers: { a: 'b' }, body: 'aGk=', status: 200, url: 'http://x' }
    const fetched = { kind: 'FETCH', data, revalidate: 10, tags: ['t'] }
    await writer.set('hash', fetched, { fetchCache: true, tags: ['t'] })
    expect((await reader.get('hash', { kind: 'FETCH' }))?.value).toEqual(fetched)
    await writer.set('/gone', null, control)
    expect(await reader.get('/gone', asked)).toMatchObject({ value: null })
    expect(await reader.get('/never', asked)).toBeNull()
    expect(await reader.get('hash', asked)).toBeNull()
  })

  it('ends pages by the tags that they name, and fetches by those of whoever reads, too', async () => {
    const { a, b } = instances()
    const [tag, path] = [fresh(), `_N_T_/${fresh()}`]
    const [writer, reader] = [new a.CacheHandler(), new b.CacheHandler()]
    await writer.set('/p', page('p', `_N_T_/layout,${path},${tag}`))
    const fetched = { kind: 'FETCH', data: {}, revalidate: 10 }
    for (const key of ['f1', 'f2']) await writer.set(key, fetched, { fetchCache: true, tags: [tag] })
    await writer.revalidateTag(path)
    expect(await reader.get('/p', asked)).toBeNull()
    expect(await reader.get('f1', { kind: 'FETCH', tags: [tag], softTags: [path] })).toBeNull()
    expect(await reader.get('f1', { kind: 'FETCH', tags: [tag], softTags: [] })).not.toBeNull()
    await writer.revalidateTag([tag])
    expect(await reader.get('f2', { kind: 'FETCH' })).toBeNull()
    reader.resetRequestCache()
  })

  it('never serves a page that was begun before a revalidation', async () => {
    const { a, b } = instances()
    const tag = fresh()
    const request = new a.CacheHandler()
    expect(await request.get('/p', asked)).toBeNull()
    await new b.CacheHandler().revalidateTag(tag)
    await renderTime()
    await request.set('/p', page('of before', tag))
    // A fetch that is made anew is not asked for first.
    await request.set('f', { kind: 'FETCH', data: {} }, { fetchCache: true, tags: [tag] })
    expect(await new b.CacheHandler().get('/p', asked)).toBeNull()
    expect(await new b.CacheHandler().get('f', { kind: 'FETCH' })).toBeNull()
    await expect
      .poll(async () => {
        const next = new a.CacheHandler()
        await next.get('/p', asked)
        await next.set('/p', page('of after', tag))
        return (await new b.CacheHandler().get('/p', asked))?.value
      })
      .toMatchObject({ html: 'of after' })
  })

  it('tells Next in its own words what is stale', async () => {
    const { a } = instances()
    const tag = fresh()
    const handler = new a.CacheHandler()
    await handler.set('/timed', page('p', tag), { cacheControl: { revalidate: 60 } })
    await handler.set('/ever', page('p', tag), { cacheControl: { revalidate: false } })
    await handler.set('f', { kind: 'FETCH', data: {} }, { fetchCache: true, tags: [tag] })
    await handler.revalidateTag([tag], { expire: 600 })
    const timed = await handler.get('/timed', asked)
    expect(timed?.cacheControl).toEqual({ revalidate: 60 })
    expect(Date.now() - (timed?.lastModified ?? 0)).toBeGreaterThan(60_000)
    expect((await handler.get('/ever', asked))?.lastModified).toBe(-1)
    const lastModified = (await handler.get('f', { kind: 'FETCH', tags: [tag] }))?.lastModified ?? 0
    expect(Date.now() - lastModified).toBeGreaterThan(0xffff_ffff * 1000)
    await handler.revalidateTag([tag], { expire: 0 })
    expect(await handler.get('/timed', asked)).toBeNull()
  })

  it('does not make a former page current when Next stores it again after a failed render', async () => {
    const { a, b } = instances()
    const tag = fresh()
    await new a.CacheHandler().set('/p', page('former', tag), { cacheControl: { revalidate: 60 } })
    await a.revalidateTags([tag], { staleMs: 600_000 })
    await renderTime()
    const request = new b.CacheHandler()
    const former = await request.get('/p', asked)
    await request.set('/p', former?.value, { cacheControl: { revalidate: 5 } })
    const again = await request.get('/p', asked)
    expect(again).toMatchObject({ value: { html: 'former' }, cacheControl: { revalidate: 5 } })
    expect(Date.now() - (again?.lastModified ?? 0)).toBeGreaterThan(5000)
    await a.revalidateTags([tag])
    expect(await request.get('/p', asked)).toBeNull()
  })
})

describe('builds', () => {
  it('do not read the entries of each other, and share what is revalidated', async () => {
    const { make } = instances()
    const [old, next] = [make({ buildId: 'old' }), make({ buildId: 'next' })]
    const tag = fresh()
    for (const cache of [old, next]) {
      expect(await textOf(cache, 'k')).toBeUndefined()
      await store(cache, 'k', { tags: [tag] })
    }
    await old.useCache.updateTags([tag])
    expect(await textOf(next, 'k')).toBeUndefined()
    await store(old, 'k2')
    await store(next, 'k2')
    await next.clear('old')
    expect(await textOf(old, 'k2')).toBeUndefined()
    expect(await textOf(next, 'k2')).toBe('v')
    await next.clear()
    expect(await textOf(next, 'k2')).toBeUndefined()
  })

  it('need no Redis while they are made', async () => {
    vi.stubEnv('NEXT_PHASE', 'phase-production-build')
    let isAsked = false
    const connecting = (): Promise<RedisPort> => {
      isAsked = true
      return Promise.resolve(port)
    }
    const cache = new NextCache(connecting, { name: fresh() })
    const handler = new cache.CacheHandler({ serverDistDir: '/nowhere/.next/server' })
    await store(cache, 'k')
    await handler.set('/p', page('p'))
    await handler.revalidateTag('t')
    expect(await textOf(cache, 'k')).toBeUndefined()
    expect(await handler.get('/p', asked)).toBeNull()
    expect(isAsked).toBe(false)
  })

  it('are known by what Next has written beside them, to both handlers', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'next-'))
    writeFileSync(join(folder, 'BUILD_ID'), 'of the file\n')
    const name = fresh()
    const written = new NextCache(port, { name, budgetMs: 5000 })
    const handler = new written.CacheHandler({ serverDistDir: join(folder, 'server') })
    await handler.set('/p', page('p'))
    await store(written, 'k')
    const told = new NextCache(port, { name, budgetMs: 5000, buildId: 'of the file' })
    expect(await new told.CacheHandler().get('/p', asked)).not.toBeNull()
    expect(await textOf(told, 'k')).toBe('v')
    rmSync(folder, { recursive: true })
  })

  it('that cannot be found are said to be, and nothing is cached', async () => {
    const errors: Error[] = []
    const cache = new NextCache(port, { name: fresh(), onError: (error) => errors.push(error) })
    const handler = new cache.CacheHandler({ serverDistDir: '/nowhere/.next/server' })
    await handler.set('/p', page('p'))
    expect(await handler.get('/p', asked)).toBeNull()
    expect(errors).toEqual([expect.any(ConfigurationError)])
    expect(String(errors[0])).toContain('/nowhere/.next/BUILD_ID')
  })
})

describe('the connection', () => {
  it('is made once, when it is first needed, and closed with the cache', async () => {
    let made = 0
    let isClosed = false
    const own = portWith(port, {
      close: () => {
        isClosed = true
        return Promise.resolve()
      },
    })
    const connecting = () => {
      made++
      return own
    }
    const cache = new NextCache(connecting, { name: fresh(), buildId: 'b', budgetMs: 5000 })
    expect(made).toBe(0)
    await Promise.all([store(cache, 'k1'), store(cache, 'k2')])
    expect(await textOf(cache, 'k1')).toBe('v')
    expect(made).toBe(1)
    await cache.close()
    await cache[Symbol.asyncDispose]()
    expect(isClosed).toBe(true)
    expect(await textOf(cache, 'k1')).toBeUndefined()
    await store(cache, 'k1')
    await expect(cache.useCache.updateTags(['t'])).rejects.toThrow(ClosedError)
    await expect(cache.clear()).rejects.toThrow(ClosedError)
    expect(made).toBe(1)
  })

  it('that is given is left open', async () => {
    const { a, b } = instances()
    await a.close()
    await store(b, 'k')
    expect(await textOf(b, 'k')).toBe('v')
  })

  it('that cannot be made is tried again, costs a page its budget at most, and fails a revalidation', async () => {
    const errors: Error[] = []
    let isUp = false
    const connecting = () => {
      if (isUp) return port
      throw new Error('no Redis here')
    }
    const cache = new NextCache(connecting, {
      name: fresh(),
      buildId: 'b',
      budgetMs: 5000,
      onError: (error) => errors.push(error),
    })
    expect(await textOf(cache, 'k')).toBeUndefined()
    await store(cache, 'k')
    const cause = expect.objectContaining({ message: 'no Redis here' }) as unknown
    await expect(cache.useCache.updateTags(['t'])).rejects.toMatchObject({
      name: RedisUnavailableError.name,
      cause,
    })
    expect(errors.length).toBeGreaterThan(0)
    isUp = true
    await expect
      .poll(
        async () => {
          await store(cache, 'k')
          return await textOf(cache, 'k')
        },
        { timeout: 5000 },
      )
      .toBe('v')
    const hanging = new NextCache(() => new Promise(() => {}), { name: fresh(), buildId: 'b', budgetMs: 100 })
    const from = performance.now()
    for (let i = 0; i < 50; i++) expect(await textOf(hanging, `k${i}`)).toBeUndefined()
    expect(performance.now() - from).toBeLessThan(2000)
    await hanging.close()
  })
})

it.each([
  [{ name: 'a b' }, /name/],
  [{ ttlMs: 0 }, /ttlMs/],
  [{ budgetMs: -1 }, /budgetMs/],
  [{ buildId: '' }, /buildId/],
  [{ maxValueBytes: 0.5 }, /maxValueBytes/],
])('refuses %j', (options, message) => {
  expect(() => new NextCache(port, { name: 'n', ...options })).toThrow(message)
})
