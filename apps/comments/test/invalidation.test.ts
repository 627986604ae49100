import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Api } from './support/api.js'
import { useService } from './support/service.js'

const service = useService()

/** Somebody at psql, who knows of no cache. */
let psql: pg.Client
beforeAll(async () => {
  psql = new pg.Client({ connectionString: service.config.databaseUrl })
  await psql.connect()
})
afterAll(() => psql.end())

/** Read until the cache has it. */
async function cached(read: () => ReturnType<Api['get']>) {
  await expect.poll(async () => (await read()).headers.get('x-cache')).toBe('hit')
}

/** A thread of two comments, all of it in the cache. */
async function scene() {
  const api = await service.tenant()
  const entity = 'an/entity {of} odd: id'
  await api.entity(entity)
  const [first, second] = [await api.comment(entity, 'first'), await api.comment(entity, 'second')]
  await cached(() => api.thread(entity))
  await cached(() => api.get(`/v1/comments/${first}`))
  await cached(() => api.get(`/v1/comments/${second}`))
  const texts = async () => ({
    thread: (await api.thread(entity)).body.items.map(({ content }: { content: string }) => content),
    first: (await api.get(`/v1/comments/${first}`)).body.content,
  })
  return { api, entity, first, second, texts }
}

describe('an edit made directly in SQL', () => {
  it('appears at once, in the comment and in its tree', async () => {
    const { api, first, texts } = await scene()
    await psql.query(`update comments set content = 'by hand' where tenant_id = $1 and id = $2`, [
      api.tenant,
      first,
    ])
    const from = performance.now()
    await expect.poll(texts, { interval: 2 }).toEqual({ thread: ['by hand', 'second'], first: 'by hand' })
    console.log(`an edit by hand is seen after ${(performance.now() - from).toFixed(0)} ms`)
  })

  it('of a title appears in the tree', async () => {
    const { api, entity } = await scene()
    await psql.query(`update entities set title = 'by hand' where tenant_id = $1`, [api.tenant])
    await expect.poll(async () => (await api.thread(entity)).body.entity.title).toBe('by hand')
  })

  it('that is rolled back changes nothing', async () => {
    const { api, texts } = await scene()
    await psql.query('begin')
    await psql.query(`update comments set content = 'never' where tenant_id = $1`, [api.tenant])
    await psql.query('rollback')
    expect(await texts()).toEqual({ thread: ['first', 'second'], first: 'first' })
  })
})

describe('everything of a tenant', () => {
  it('is taken out of the cache by one tag, and nothing of another', async () => {
    const [mine, other] = [await scene(), await scene()]
    const { status } = await mine.api.call('DELETE', '/v1/cache')
    expect(status).toBe(204)
    expect((await mine.api.thread(mine.entity)).headers.get('x-cache')).toBe('load')
    expect((await mine.api.get(`/v1/comments/${mine.first}`)).headers.get('x-cache')).toBe('load')
    expect((await other.api.thread(other.entity)).headers.get('x-cache')).toBe('hit')
    expect((await other.api.get(`/v1/comments/${other.first}`)).headers.get('x-cache')).toBe('hit')
  })
})

it('a comment that is written takes the tree of its entity away, and no other comment', async () => {
  const { api, entity, first, texts } = await scene()
  await api.comment(entity, 'third')
  expect((await api.get(`/v1/comments/${first}`)).headers.get('x-cache')).toBe('hit')
  expect((await texts()).thread).toEqual(['first', 'second', 'third'])
})
