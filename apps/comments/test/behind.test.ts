import { pino } from 'pino'
import { startLocalCluster } from 'slotwise/local'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startService } from '../src/compose.js'
import { loadConfig } from '../src/config.js'
import { openDatabase } from '../src/db/index.js'
import { ensureTenant } from '../src/tenants.js'
import { Api } from './support/api.js'
import { SlowLink } from './support/proxy.js'
import { environmentFor, makeDatabase, spawnService } from './support/service.js'

const logger = pino({ level: 'silent' })

/** A database with a tenant, and how services get at it. */
async function place(nodes?: readonly string[]) {
  const database = await makeDatabase()
  const link = await SlowLink.to(database.url)
  const environment = environmentFor(link.url, nodes)
  const db = openDatabase(database.url)
  onTestFinished(async () => {
    await db.close()
    link.close()
    await database.drop()
  })
  const count = async (sql: string) => Number((await db.pool.query(sql)).rows[0].n)
  return {
    environment,
    link,
    /** Once there is a service, which makes the tables. */
    api: async (url: string) => {
      await ensureTenant(db, { id: 't', name: 'T', plan: 'ENTERPRISE', key: 'key-of-t' })
      const api = new Api(url, 'key-of-t', 't')
      await api.entity('e')
      return { api, id: await api.comment('e', 'text') }
    },
    views: () => count('select sum(views) as n from entity_views'),
    reactions: () => count('select count(*) as n from reactions'),
  }
}

const look = (api: Api) => api.post('/v1/entities/e/views')
const cheer = (api: Api, id: string, user: string) =>
  api.put(`/v1/comments/${id}/reaction`, { user, body: { kind: '🎉' } })
const shown = async (api: Api) => {
  const { views, items } = (await api.thread('e')).body
  return { views, reactions: items[0].reactions[0]?.count ?? 0 }
}

describe('what was accepted', () => {
  it('is shown by the others and written by them, if the process that accepted it is killed', async () => {
    const { environment, api: apiAt, views, reactions } = await place()
    const [first, second] = await Promise.all([spawnService(environment), spawnService(environment)])
    onTestFinished(async () => {
      first.child.kill('SIGKILL')
      await second.stop()
    })
    const { api, id } = await apiAt(first.url)
    await Promise.all([
      ...Array.from({ length: 50 }, () => look(api)),
      ...Array.from({ length: 10 }, (_, i) => cheer(api, id, `user ${i}`)),
    ])
    first.child.kill('SIGKILL')
    const far = api.at(second.url)
    expect(await shown(far)).toEqual({ views: 50, reactions: 10 })
    await expect.poll(views, { timeout: 40_000 }).toBe(50)
    await expect.poll(reactions, { timeout: 40_000 }).toBe(10)
    expect(await shown(far)).toEqual({ views: 50, reactions: 10 })
  }, 90_000)

  it('is shown while Postgres is away, more is accepted, health tells how much waits, and it is written when Postgres is back', async () => {
    const { environment, link, api: apiAt, views, reactions } = await place()
    await using service = await startService(loadConfig(environment), { logger })
    const { api, id } = await apiAt(service.url)
    await look(api)
    await cheer(api, id, 'ann')
    await expect.poll(views, { timeout: 20_000 }).toBe(1)
    await expect.poll(reactions, { timeout: 20_000 }).toBe(1)
    // What was read before it went away can be read and counted on.
    await expect.poll(async () => (await api.thread('e')).headers.get('x-cache')).toBe('hit')
    await api.get(`/v1/comments/${id}`)
    const unwritten = async () =>
      ((await (await fetch(`${service.url}/readyz`)).json()) as { unwritten: { changes: number } }).unwritten
    await expect.poll(unwritten, { timeout: 20_000 }).toEqual({ changes: 0, oldestMs: 0 })
    link.cut()
    for (let n = 2; n <= 20; n++) expect((await look(api)).body).toEqual({ views: n })
    expect((await cheer(api, id, 'bob')).body).toEqual({
      reactions: [{ kind: '🎉', count: 2 }],
      reaction: '🎉',
    })
    expect(await shown(api)).toEqual({ views: 20, reactions: 2 })
    expect(await unwritten()).toMatchObject({ changes: 20 })
    expect(await views()).toBe(1)
    link.mend()
    await expect.poll(views, { timeout: 30_000 }).toBe(20)
    await expect.poll(reactions, { timeout: 30_000 }).toBe(2)
    expect(await shown(api)).toEqual({ views: 20, reactions: 2 })
    await expect.poll(unwritten, { timeout: 20_000 }).toEqual({ changes: 0, oldestMs: 0 })
  }, 90_000)

  it('is written before a process ends, where that is soon done', async () => {
    const { environment, api: apiAt, views } = await place()
    const service = await startService(loadConfig(environment), { logger })
    const { api } = await apiAt(service.url)
    await look(api)
    await service.close()
    expect(await views()).toBe(1)
  }, 30_000)

  it('waits for the next process where Postgres is away as the last one ends, which does not wait for it', async () => {
    const { environment, link, api: apiAt, views } = await place()
    const service = await startService(loadConfig(environment), { logger })
    const { api } = await apiAt(service.url)
    await expect.poll(async () => (await look(api)).status).toBe(200)
    await api.thread('e')
    link.cut()
    for (let n = 0; n < 5; n++) expect((await look(api)).status).toBe(200)
    const before = (await look(api)).body.views as number
    const from = performance.now()
    await service.close()
    expect(performance.now() - from).toBeLessThan(10_000)
    link.mend()
    await using next = await startService(loadConfig(environment), { logger })
    expect((await api.at(next.url).thread('e')).body.views).toBe(before)
    await expect.poll(views, { timeout: 30_000 }).toBe(before)
  }, 90_000)
})

it('when Redis is away what is written is shown, and what would have to wait there is refused with the time to wait', async () => {
  const cluster = await startLocalCluster()
  onTestFinished(() => cluster.stop())
  const { environment, api: apiAt, views, reactions } = await place(cluster.connectOptions.nodes)
  const service = await startService(loadConfig(environment), { logger })
  onTestFinished(() => service.close())
  const { api, id } = await apiAt(service.url)
  await look(api)
  await cheer(api, id, 'ann')
  await expect.poll(views, { timeout: 20_000 }).toBe(1)
  await expect.poll(reactions, { timeout: 20_000 }).toBe(1)
  await Promise.all(cluster.nodes.map((_, i) => cluster.kill(i)))
  expect(await shown(api)).toEqual({ views: 1, reactions: 1 })
  expect((await api.get('/v1/entities')).body.items).toMatchObject([{ id: 'e', views: 1 }])
  for (const answer of [await look(api), await cheer(api, id, 'bob')]) {
    expect(answer).toMatchObject({ status: 503, body: { code: 'REDIS_UNAVAILABLE' } })
    expect(answer.headers.get('retry-after')).toBe('1')
  }
  const health = (await (await fetch(`${service.url}/readyz`)).json()) as { unwritten: unknown }
  expect(health.unwritten).toBeNull()
}, 90_000)
