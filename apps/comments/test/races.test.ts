import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Service, startService } from '../src/compose.js'
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
