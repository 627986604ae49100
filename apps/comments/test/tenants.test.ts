import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { ensureTenant } from '../src/tenants.js'
import type { Answer, Api, Call } from './support/api.js'
import { useService } from './support/service.js'

const service = useService()

/** Gives a tenant an entity, two comments and a like whose ids every other tenant has as well. */
async function settle(api: Api, owner: string): Promise<void> {
  await api.entity('e', `title of ${owner}`)
  const { kysely } = service.db
  await kysely
    .insertInto('users')
    .values({ tenant_id: api.tenant, id: 'u', name: `user of ${owner}` })
    .execute()
  const row = { tenant_id: api.tenant, entity_id: 'e', author_id: 'u' }
  await kysely
    .insertInto('comments')
    .values([
      { ...row, id: 'c', content: `text of ${owner}`, likes: 1 },
      { ...row, id: 'reply', content: `reply of ${owner}`, parent_id: 'c' },
    ])
    .execute()
  await kysely.insertInto('likes').values({ tenant_id: api.tenant, comment_id: 'c', user_id: 'u' }).execute()
}

/** Every endpoint, with ids that both tenants have. Its answers go into and come out of every cache. */
const EVERYTHING: readonly [method: string, path: string, call: Call][] = [
  ['GET', '/v1/tenant', {}],
  ['GET', '/v1/entities', {}],
  ['GET', '/v1/entities/e/comments', {}],
  ['GET', '/v1/entities/e/comments', {}],
  ['GET', '/v1/comments/c', {}],
  ['GET', '/v1/comments/c', {}],
  ['PUT', '/v1/comments/c/like', { user: 'v' }],
  ['DELETE', '/v1/comments/c/like', { user: 'v' }],
  ['PUT', '/v1/comments/c/reaction', { user: 'v', body: { kind: '🎉' } }],
  ['PUT', '/v1/comments/reply/reaction', { user: 'v', body: { kind: '👍' } }],
  ['DELETE', '/v1/comments/c/reaction', { user: 'v' }],
  ['POST', '/v1/entities/e/views', {}],
  ['POST', '/v1/entities/e/views', { headers: { 'idempotency-key': 'the-same-of-both' } }],
  ['PATCH', '/v1/comments/c', { user: 'u', body: { content: 'edited by A' } }],
  ['GET', '/v1/comments/c', {}],
  ['POST', '/v1/entities/e/comments', { user: 'u', body: { content: 'written by A', parentId: 'c' } }],
  ['PUT', '/v1/entities/e', { body: { title: 'named by A' } }],
  ['DELETE', '/v1/cache', {}],
  ['DELETE', '/v1/comments/reply', { user: 'u' }],
  ['GET', '/v1/entities/e/comments', {}],
]

describe('a tenant', () => {
  it('sees and changes nothing of another one, whose ids are the same, at any endpoint', async () => {
    const a = await service.tenant()
    const b = await service.tenant()
    await settle(a, 'A')
    await settle(b, 'B')
    const same = { headers: { 'idempotency-key': 'the-same-of-both' } }
    expect((await b.post('/v1/entities/e/views', same)).body).toEqual({ views: 1 })
    expect((await b.put('/v1/comments/c/reaction', { user: 'v', body: { kind: '😮' } })).status).toBe(200)
    const seenByB = async () => [
      (await b.get('/v1/comments/c')).body,
      (await b.get('/v1/comments/reply')).body,
      (await b.get('/v1/entities/e/comments', { user: 'v' })).body,
      (await b.get('/v1/entities')).body,
    ]
    const before = await seenByB()
    expect(JSON.stringify(before)).toContain('text of B')
    for (const [method, path, call] of EVERYTHING) {
      const answer = await a.call(method, path, call)
      expect(answer.status).toBeLessThan(300)
      expect(JSON.stringify(answer.body)).not.toMatch(/of B|by B/)
      expect(JSON.stringify(answer.body)).not.toContain(b.tenant)
      const now = await seenByB()
      expect(now).toEqual(before)
    }
  })

  it('cannot tell what another one has from what nobody has', async () => {
    const a = await service.tenant()
    const b = await service.tenant()
    await settle(b, 'B')
    await b.get('/v1/comments/c')
    await b.thread('e')
    const probes: readonly [method: string, path: (entity: string, comment: string) => string, call: Call][] =
      [
        ['GET', (entity) => `/v1/entities/${entity}/comments`, {}],
        ['POST', (entity) => `/v1/entities/${entity}/comments`, { user: 'u', body: { content: 'x' } }],
        ['GET', (_, comment) => `/v1/comments/${comment}`, {}],
        ['PATCH', (_, comment) => `/v1/comments/${comment}`, { user: 'u', body: { content: 'x' } }],
        ['DELETE', (_, comment) => `/v1/comments/${comment}`, { user: 'u' }],
        ['POST', (entity) => `/v1/entities/${entity}/views`, {}],
        ['PUT', (_, comment) => `/v1/comments/${comment}/reaction`, { user: 'u', body: { kind: '👍' } }],
        ['DELETE', (_, comment) => `/v1/comments/${comment}/reaction`, { user: 'u' }],
        ['PUT', (_, comment) => `/v1/comments/${comment}/like`, { user: 'u' }],
        ['DELETE', (_, comment) => `/v1/comments/${comment}/like`, { user: 'u' }],
      ]
    const outline = ({ status, headers, body }: Answer) => ({
      status,
      body,
      headers: [...headers.keys()].toSorted(),
      cache: headers.get('x-cache'),
    })
    for (const [method, path, call] of probes) {
      const theirs = await a.call(method, path('e', 'c'), call)
      const nobodys = await a.call(method, path('no', 'no'), call)
      expect(theirs.status).toBe(404)
      expect(outline(theirs)).toEqual(outline(nobodys))
    }
  })

  it('may have a name that looks like a part of a key', async () => {
    const names = ['a:b', 'a', '{a}', '@a', 'a%3ab']
    const tenants = await Promise.all(names.map((name) => service.tenant('ENTERPRISE', name)))
    for (const api of tenants) await settle(api, api.tenant)
    for (const api of tenants) {
      expect((await api.get('/v1/comments/c')).body.content).toBe(`text of ${api.tenant}`)
      expect((await api.thread('e')).body.entity.title).toBe(`title of ${api.tenant}`)
    }
  })

  it('cannot be given the key of another one', async () => {
    const a = await service.tenant()
    const b = { id: 'thief', name: 'Thief', plan: 'FREE' as const, key: a.key }
    await expect(ensureTenant(service.db, b)).rejects.toThrow('belongs to another tenant')
    expect((await a.get('/v1/tenant')).body.id).toBe(a.tenant)
  })
})

/** What is left of a limit, by the `RateLimit` header. */
function leftOf(name: string, headers: Headers): number {
  const [, left] = new RegExp(`"${name}";r=(\\d+)`).exec(headers.get('ratelimit') ?? '') ?? []
  return Number(left)
}

describe('the limit of a plan', () => {
  it('lets exactly its bucket through at once, and not one request of another tenant feels it', async () => {
    const saturated = await service.tenant('FREE')
    const other = await service.tenant('STARTER')
    const crowd = Array.from({ length: 60 }, () => saturated.get('/v1/tenant'))
    const seen: number[] = []
    for (let i = 0; i < 20; i++) {
      const { status, headers } = await other.get('/v1/tenant')
      expect(status).toBe(200)
      seen.push(leftOf('minute', headers))
    }
    const answers = await Promise.all(crowd)
    const allowed = answers.filter(({ status }) => status === 200)
    const refused = answers.filter(({ status }) => status === 429)
    expect([allowed.length, refused.length]).toEqual([10, 50])
    // 99 left, then 98 …: what the neighbour did is nowhere in it. A token comes back every 600 ms. An answer tells nothing where
    // Redis had none in time, which on a busy machine happens.
    expect(seen.some((remaining) => !Number.isNaN(remaining))).toBe(true)
    seen.forEach((remaining, i) => {
      if (Number.isNaN(remaining)) return
      expect(remaining).toBeGreaterThanOrEqual(99 - i)
      expect(remaining).toBeLessThanOrEqual(99)
    })
    for (const { body, headers } of refused) {
      expect(body.code).toBe('RATE_LIMITED')
      expect(Number(headers.get('retry-after')) * 1000).toBeGreaterThanOrEqual(body.retryAfterMs)
    }
  })

  it('is stricter for what changes something, and told of a minute, an hour and a day', async () => {
    const api = await service.tenant('FREE')
    await api.entity('e')
    const write = () => api.post('/v1/entities/e/comments', { user: 'u', body: { content: 'x' } })
    for (let i = 1; i < 5; i++) expect((await write()).status).toBe(201)
    const refused = await write()
    expect((await api.post('/v1/entities/e/views', {})).status).toBe(200)
    expect(refused.status).toBe(429)
    expect(leftOf('writes', refused.headers)).toBe(0)
    const { status, headers } = await api.get('/v1/tenant')
    expect(status).toBe(200)
    expect(headers.get('ratelimit-policy')).toBe(
      '"minute";q=10;w=60, "hour";q=100;w=3600, "day";q=1000;w=86400, "writes";q=5;w=60',
    )
    // What was refused took nothing.
    expect([leftOf('hour', headers), leftOf('day', headers)]).toEqual([93, 993])
  })

  it('is told at any endpoint, and a refused request changes nothing', async () => {
    const api = await service.tenant('FREE')
    await api.entity('e')
    for (let i = 0; i < 9; i++) await api.get('/v1/tenant')
    const refused = await api.post('/v1/entities/e/comments', { user: 'u', body: { content: 'x' } })
    expect(refused.status).toBe(429)
    const { rows } = await service.db.pool.query('select id from comments where tenant_id = $1', [api.tenant])
    expect(rows).toEqual([])
  })
})

describe('keys that are not valid', () => {
  it('are refused after twenty of a client, with the moment to come back, and valid ones never for it', async () => {
    const api = await service.tenant()
    const guess = () =>
      fetch(`${service.url}/v1/tenant`, { headers: { Authorization: `Bearer ${randomUUID()}` } })
    const answers = await Promise.all(Array.from({ length: 25 }, guess))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 401)).toHaveLength(20)
    expect(statuses.filter((status) => status === 429)).toHaveLength(5)
    const refused = await guess()
    const body = (await refused.json()) as { code: string; retryAfterMs: number }
    expect(body.code).toBe('RATE_LIMITED')
    expect(body.retryAfterMs).toBeLessThanOrEqual(3000)
    expect((await api.get('/v1/tenant')).status).toBe(200)
    await sleep(body.retryAfterMs)
    expect((await guess()).status).toBe(401)
  })
})
