import { pino } from 'pino'
import { connect } from 'slotwise/ioredis'
import { WriteBehind } from 'slotwise/writebehind'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Service, startService } from '../src/compose.js'
import { rowId } from '../src/repositories/row-id.js'
import type { Api } from './support/api.js'
import { holdFlushers } from './support/flushing.js'
import { useService } from './support/service.js'

const service = useService()
let other: Service

beforeAll(async () => {
  other = await startService(service.config, { logger: pino({ level: 'silent' }) })
})
afterAll(() => other.close())

/** Nothing is written any more until the test is over, or this is called. */
async function held(): Promise<() => Promise<void>> {
  const release = await holdFlushers(service.config.databaseUrl)
  onTestFinished(release)
  return release
}

async function written(api: Api, entity: string): Promise<number> {
  const { rows } = await service.db.pool.query(
    'select views::int from entity_views where tenant_id = $1 and entity_id = $2',
    [api.tenant, entity],
  )
  return rows[0].views
}
const look = (api: Api, entity: string, key?: string) =>
  api.post(`/v1/entities/${entity}/views`, key === undefined ? {} : { headers: { 'idempotency-key': key } })

describe('a look at an entity', () => {
  it('is shown at once by every process, in the thread and in a list, before it is written; and then written', async () => {
    const api = await service.tenant()
    for (const id of ['a', 'b', 'c']) await api.entity(id)
    const release = await held()
    expect((await look(api, 'a')).body).toEqual({ views: 1 })
    expect((await look(api.at(other.url), 'a')).body).toEqual({ views: 2 })
    expect((await look(api, 'c')).body).toEqual({ views: 1 })
    for (const one of [api, api.at(other.url)]) {
      expect((await one.thread('a')).body.views).toBe(2)
      const { items } = (await one.get('/v1/entities')).body
      expect(items.map(({ id, views }: { id: string; views: number }) => [id, views])).toEqual([
        ['c', 1],
        ['b', 0],
        ['a', 2],
      ])
    }
    await release()
    await expect.poll(() => written(api, 'a'), { timeout: 20_000 }).toBe(2)
    await expect.poll(() => written(api, 'c'), { timeout: 20_000 }).toBe(1)
    expect((await api.thread('a')).body.views).toBe(2)
    expect((await look(api, 'a')).body).toEqual({ views: 3 })
  })

  it('is counted once under its key, and apart from that of another entity', async () => {
    const api = await service.tenant()
    for (const id of ['a', 'b']) await api.entity(id)
    const many = Array.from({ length: 20 }, (_, i) => look(i % 2 === 0 ? api : api.at(other.url), 'a', 'key'))
    expect(new Set((await Promise.all(many)).map(({ body }) => body.views))).toEqual(new Set([1]))
    expect((await look(api, 'b', 'key')).body).toEqual({ views: 1 })
    expect((await look(api, 'a', 'key2')).body).toEqual({ views: 2 })
    expect((await look(api, 'a')).body).toEqual({ views: 3 })
  })

  it('is never forgotten for a moment while it is written, by the process that counted nor by the other', async () => {
    const api = await service.tenant()
    await api.entity('a')
    const far = api.at(other.url)
    const waiting = async () =>
      ((await (await fetch(`${service.url}/readyz`)).json()) as { unwritten: { changes: number } }).unwritten
        .changes
    const reads = async () => {
      const [near, away, list] = await Promise.all([
        api.thread('a'),
        far.thread('a'),
        far.get('/v1/entities'),
      ])
      return [near.body.views, away.body.views, list.body.items[0].views]
    }
    // Each time from what is written and cached to what waits, and on to what is written then.
    for (let round = 0; round < 3; round++) {
      const { views } = (await look(api, 'a')).body
      while ((await waiting()) > 0) expect(await reads()).toEqual([views, views, views])
      for (let again = 0; again < 3; again++) expect(await reads()).toEqual([views, views, views])
    }
    // And while it is counted all the time.
    const states = new Set<number>()
    while (states.size < 4) {
      const { views } = (await look(api, 'a')).body
      expect(await reads()).toEqual([views, views, views])
      states.add(await written(api, 'a'))
    }
  }, 30_000)

  it('of 300 callers at two processes makes 300', async () => {
    const api = await service.tenant()
    await api.entity('a')
    const all = Array.from({ length: 300 }, (_, i) => look(i % 2 === 0 ? api : api.at(other.url), 'a'))
    const answers = await Promise.all(all)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ body }) => body.views)).size).toBe(300)
    expect((await api.thread('a')).body.views).toBe(300)
    await expect.poll(() => written(api, 'a'), { timeout: 20_000 }).toBe(300)
  })

  it('is refused where there is nothing to look at, and under a key that is none', async () => {
    const api = await service.tenant()
    await api.entity('a')
    expect(await look(api, 'none')).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
    for (const key of ['a b', 'ä', 'x'.repeat(201)]) {
      expect(await look(api, 'a', key)).toMatchObject({
        status: 400,
        body: { errors: [{ at: 'header.idempotency-key' }] },
      })
    }
    expect((await api.thread('a')).body.views).toBe(0)
  })

  it('is refused with the time to wait where too much waits, and everything else goes on', async () => {
    const api = await service.tenant()
    await api.entity('a')
    const id = await api.comment('a', 'text')
    const release = await held()
    await look(api, 'a')
    const port = await connect({ nodes: service.config.redisNodes, namespace: service.config.namespace })
    onTestFinished(() => port.close())
    await using filling = new WriteBehind<{ views: number }>(port, {
      name: 'views',
      partitions: 8,
      writeBatch: async () => {},
    })
    const mine = filling.forTenant(api.tenant)
    let isFull = false
    while (!isFull) {
      const many = Array.from({ length: 500 }, () => mine.increment(rowId('a'), 'views', 1))
      isFull = (await Promise.all(many)).some(({ accepted }) => !accepted)
    }
    const { views } = (await api.thread('a')).body
    const refused = await look(api, 'a')
    expect(refused).toMatchObject({ status: 503, body: { code: 'BACKLOG_FULL' } })
    expect(Number(refused.headers.get('retry-after')) * 1000).toBeGreaterThanOrEqual(
      refused.body.retryAfterMs,
    )
    expect((await api.thread('a')).body.views).toBe(views)
    expect((await api.put(`/v1/comments/${id}/like`, { user: 'bob' })).body.likes).toBe(1)
    await release()
    await expect.poll(async () => (await look(api, 'a')).status, { timeout: 20_000, interval: 100 }).toBe(200)
  }, 60_000)
})
