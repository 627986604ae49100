import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { connect } from 'slotwise/ioredis'
import { keyOf } from 'slotwise/redis'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type Service, startService } from '../src/compose.js'
import { problemOf } from '../src/problems.js'
import { CommentRepository } from '../src/repositories/comments.js'
import { Caches } from '../src/services/caches.js'
import type { Answer, Api } from './support/api.js'
import { SlowLink } from './support/proxy.js'
import { useService } from './support/service.js'

const service = useService()
let link: SlowLink
let slow: Service

beforeAll(async () => {
  link = await SlowLink.to(service.config.databaseUrl)
  // The same database, the same caches; what Postgres says to this one can be held back.
  slow = await startService(
    { ...service.config, databaseUrl: link.url },
    { logger: pino({ level: 'silent' }) },
  )
})
afterAll(async () => {
  link.release()
  await slow.close()
  link.close()
})

/** A comment that lies in Postgres and in no cache, and a slow process that knows the tenant already. */
async function uncached(): Promise<{ readonly api: Api; readonly far: Api }> {
  const api = await service.tenant()
  await api.entity('e')
  const row = { tenant_id: api.tenant, entity_id: 'e', author_id: 'u' }
  await service.db.kysely.insertInto('users').values({ tenant_id: api.tenant, id: 'u', name: 'u' }).execute()
  await service.db.kysely
    .insertInto('comments')
    .values({ ...row, id: 'c', content: 'old' })
    .execute()
  const far = api.at(slow.url)
  await expect
    .poll(async () => (await far.get('/v1/tenant')).headers.get('server-timing'))
    .not.toContain('database')
  return { api, far }
}

/** A read whose load has the older row from Postgres on its way, and gets it after the change. */
async function overtaken(read: () => Promise<Answer>, change: () => Promise<Answer>): Promise<void> {
  link.hold()
  const reading = read()
  await expect.poll(() => link.held, { interval: 2 }).toBeGreaterThan(0)
  const changed = await change().finally(() => link.release())
  expect(changed.status).toBeLessThan(300)
  // Who asked before the change may get what was true then.
  expect((await reading).status).toBe(200)
}

const changes: readonly [name: string, change: (api: Api) => Promise<Answer>, now: object][] = [
  [
    'an edit',
    (api) => api.patch('/v1/comments/c', { user: 'u', body: { content: 'new' } }),
    { content: 'new' },
  ],
  ['a like', (api) => api.put('/v1/comments/c/like', { user: 'v' }), { likes: 1 }],
]

describe('a change that takes longer than its intent stands', () => {
  it('of a comment that is written is rolled back', async () => {
    const api = await service.tenant()
    await api.entity('e')
    const comments = new CommentRepository(service.db)
    const wanted = { id: 'late', entityId: 'e', parentId: null, authorId: 'u', content: 'late' }
    // As the cache gives it.
    const over = new DOMException('the intent that covers this change is about to end', 'TimeoutError')
    await expect(comments.create(api.tenant, wanted, AbortSignal.abort(over))).rejects.toBe(over)
    expect(await comments.find(api.tenant, 'late')).toBeUndefined()
    expect(problemOf(over)).toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryAfterMs: 1000 })
  })

  it('is told so by the cache, and covered for longer than the database lets a statement run', async () => {
    const port = await connect({ nodes: inject('clusterNodes'), namespace: `test-${randomUUID()}` })
    await using caches = new Caches(port)
    const entry = { id: 'c', entityId: 'e' }
    let signal: AbortSignal | undefined
    const failed = caches.create('t', entry, async (given) => {
      signal = given
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect(signal?.aborted).toBe(false)
    const key = keyOf({ namespace: port.namespace, pattern: 'cache', name: 'comments', tenant: 't' }, 'c')
    const covered = await caches.change('t', entry, async () =>
      Number(await port.call({ key, command: ['PTTL', key] })),
    )
    // A connection within 5 s, then a statement within 5 s, of which the client waits 1 s longer.
    expect(covered).toBeGreaterThan(11_000)
    await port.close()
  })
})

describe('a slow load', () => {
  it.each(changes)('of a comment never stores over %s that came meanwhile', async (_, change, now) => {
    const { api, far } = await uncached()
    await overtaken(
      () => far.get('/v1/comments/c'),
      () => change(api),
    )
    for (const one of [api, far, api, far]) expect((await one.get('/v1/comments/c')).body).toMatchObject(now)
  })

  it.each(changes)('of a thread never stores over %s that came meanwhile', async (_, change, now) => {
    const { api, far } = await uncached()
    await overtaken(
      () => far.thread('e'),
      () => change(api),
    )
    for (const one of [api, far, api, far]) expect((await one.thread('e')).body.items[0]).toMatchObject(now)
  })

  it('of a thread never stores over a comment that was written meanwhile', async () => {
    const { api, far } = await uncached()
    await overtaken(
      () => far.thread('e'),
      () => api.post('/v1/entities/e/comments', { user: 'v', body: { content: 'another' } }),
    )
    for (const one of [api, far, api, far]) expect((await one.thread('e')).body.items).toHaveLength(2)
  })

  it('never wins in a crowd of edits and reads at two processes', async () => {
    for (let round = 0; round < 5; round++) {
      const { api, far } = await uncached()
      const edits = Array.from({ length: 4 }, async (__, i) => {
        await sleep(Math.random() * 10)
        return api.patch('/v1/comments/c', { user: 'u', body: { content: `edit ${i}` } })
      })
      const reads = Array.from({ length: 16 }, async (__, i) => {
        await sleep(Math.random() * 15)
        const one = i % 2 === 0 ? api : far
        return Promise.all([one.get('/v1/comments/c'), one.thread('e')])
      })
      await Promise.all([...edits, ...reads])
      const { content } = await service.db.kysely
        .selectFrom('comments')
        .select('content')
        .where('tenant_id', '=', api.tenant)
        .executeTakeFirstOrThrow()
      expect(content).toMatch(/^edit/)
      for (const one of [api, far]) {
        expect((await one.get('/v1/comments/c')).body.content).toBe(content)
        expect((await one.thread('e')).body.items[0].content).toBe(content)
      }
    }
  })
})
