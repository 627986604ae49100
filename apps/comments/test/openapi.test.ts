import { describe, expect, it } from 'vitest'
import { Api, type Call } from './support/api.js'
import { type Document, mistakes, wrongAnswer } from './support/openapi.js'
import { useService } from './support/service.js'

const service = useService({ DEMO: '1', TRUSTED_PROXIES: '127.0.0.1' })

async function served(): Promise<Document> {
  const response = await fetch(`${service.url}/openapi.json`)
  return (await response.json()) as Document
}

/** A request for every way in which each endpoint can answer, but for 429, 500 and 503. */
async function everyAnswer(
  api: Api,
): Promise<readonly [method: string, path: string, real: string, call: Call, status: number][]> {
  await api.entity('e')
  const id = await api.comment('e', 'text', 'ann')
  await api.comment('e', 'reply', 'bob', id)
  const thread = '/v1/entities/{entityId}/comments'
  const comment = '/v1/comments/{id}'
  const like = '/v1/comments/{id}/like'
  const reaction = '/v1/comments/{id}/reaction'
  const views = '/v1/entities/{entityId}/views'
  const cheer = { kind: '🎉' }
  const mine = `/v1/comments/${id}`
  const etagOf = async (path: string) => (await api.get(path)).headers.get('etag') ?? ''
  const text = { content: 'x' }
  const long = { content: 'x'.repeat(70_000) }
  const plain = { 'content-type': 'text/plain' }
  return [
    ['GET', '/v1/tenant', '/v1/tenant', {}, 200],
    ['GET', '/v1/entities', '/v1/entities', {}, 200],
    ['GET', '/v1/entities', '/v1/entities?cursor=x', {}, 400],
    ['GET', '/v1/entities', '/v1/entities?limit=0', {}, 400],
    ['PUT', '/v1/entities/{entityId}', '/v1/entities/new', { body: { title: 'T' } }, 201],
    ['PUT', '/v1/entities/{entityId}', '/v1/entities/new', { body: { title: 'T' } }, 200],
    ['PUT', '/v1/entities/{entityId}', '/v1/entities/new', { body: {} }, 400],
    ['PUT', '/v1/entities/{entityId}', '/v1/entities/new', { body: long }, 413],
    ['PUT', '/v1/entities/{entityId}', '/v1/entities/new', { body: 'x', headers: plain }, 415],
    ['GET', thread, '/v1/entities/e/comments', {}, 200],
    [
      'GET',
      thread,
      '/v1/entities/e/comments',
      { headers: { 'if-none-match': await etagOf('/v1/entities/e/comments') } },
      304,
    ],
    ['GET', thread, '/v1/entities/none/comments', {}, 404],
    ['GET', thread, '/v1/entities/e/comments?cursor=x', {}, 400],
    ['POST', thread, '/v1/entities/e/comments', { user: 'ann', body: text }, 201],
    ['POST', thread, '/v1/entities/e/comments', { body: text }, 400],
    ['POST', thread, '/v1/entities/e/comments', { user: 'ann', body: '{' }, 400],
    ['POST', thread, '/v1/entities/none/comments', { user: 'ann', body: text }, 404],
    ['POST', thread, '/v1/entities/e/comments', { user: 'ann', body: long }, 413],
    ['POST', thread, '/v1/entities/e/comments', { user: 'ann', body: 'x', headers: plain }, 415],
    ['GET', comment, mine, {}, 200],
    ['GET', comment, mine, { headers: { 'if-none-match': await etagOf(mine) } }, 304],
    ['GET', comment, '/v1/comments/none', {}, 404],
    ['GET', comment, '/v1/comments/%ff', {}, 400],
    ['PATCH', comment, mine, { user: 'ann', body: text }, 200],
    ['PATCH', comment, mine, { user: 'ann', body: {} }, 400],
    ['PATCH', comment, mine, { user: 'bob', body: text }, 403],
    ['PATCH', comment, '/v1/comments/none', { user: 'ann', body: text }, 404],
    [
      'PATCH',
      comment,
      mine,
      { user: 'ann', body: text, headers: { 'if-match': '"1.0123456789012345678901"' } },
      412,
    ],
    ['PATCH', comment, mine, { user: 'ann', body: long }, 413],
    ['PATCH', comment, mine, { user: 'ann', body: 'x', headers: plain }, 415],
    ['PUT', like, `${mine}/like`, { user: 'bob' }, 200],
    ['PUT', like, `${mine}/like`, {}, 400],
    ['PUT', like, '/v1/comments/none/like', { user: 'bob' }, 404],
    ['DELETE', like, `${mine}/like`, { user: 'bob' }, 200],
    ['DELETE', like, `${mine}/like`, {}, 400],
    ['DELETE', like, '/v1/comments/none/like', { user: 'bob' }, 404],
    ['PUT', reaction, `${mine}/reaction`, { user: 'bob', body: cheer }, 200],
    ['PUT', reaction, `${mine}/reaction`, { user: 'bob', body: { kind: 'x' } }, 400],
    ['PUT', reaction, `${mine}/reaction`, { body: cheer }, 400],
    ['PUT', reaction, '/v1/comments/none/reaction', { user: 'bob', body: cheer }, 404],
    ['PUT', reaction, `${mine}/reaction`, { user: 'bob', body: long }, 413],
    ['PUT', reaction, `${mine}/reaction`, { user: 'bob', body: 'x', headers: plain }, 415],
    ['GET', comment, mine, { user: 'bob' }, 200],
    ['GET', thread, '/v1/entities/e/comments', { user: 'bob' }, 200],
    ['DELETE', reaction, `${mine}/reaction`, { user: 'bob' }, 200],
    ['DELETE', reaction, `${mine}/reaction`, {}, 400],
    ['DELETE', reaction, '/v1/comments/none/reaction', { user: 'bob' }, 404],
    ['POST', views, '/v1/entities/e/views', {}, 200],
    ['POST', views, '/v1/entities/e/views', { headers: { 'idempotency-key': 'a b' } }, 400],
    ['POST', views, '/v1/entities/none/views', {}, 404],
    ['DELETE', comment, mine, {}, 400],
    ['DELETE', comment, mine, { user: 'bob' }, 403],
    ['DELETE', comment, mine, { user: 'ann' }, 204],
    ['DELETE', comment, mine, { user: 'ann' }, 404],
    ['DELETE', '/v1/cache', '/v1/cache', {}, 204],
    ['GET', '/demo/tenants', '/demo/tenants', {}, 200],
    ['GET', '/healthz', '/healthz', {}, 200],
    ['GET', '/readyz', '/readyz', {}, 200],
    ['GET', '/metrics', '/metrics', {}, 200],
  ]
}

describe('the OpenAPI document', () => {
  it('is true of every endpoint and of every way in which each can answer', async () => {
    const document = await served()
    const api = await service.tenant()
    const met = new Set<string>()
    for (const [method, path, real, call, status] of await everyAnswer(api)) {
      const answer = await api.call(method, real, call)
      expect(`${method} ${real} ${answer.status}`).toBe(`${method} ${real} ${status}`)
      expect(wrongAnswer(document, method, path, answer)).toEqual([])
      met.add(`${method} ${path} ${answer.status}`)
      if (!path.startsWith('/v1/')) continue
      // From as many places: one would soon hear that it is too much.
      const headers = { ...call.headers, 'X-Forwarded-For': `192.0.2.${met.size}` }
      const stranger = await new Api(api.url, 'nobody').call(method, real, { ...call, headers })
      expect(stranger.status).toBe(401)
      expect(wrongAnswer(document, method, path, stranger)).toEqual([])
      met.add(`${method} ${path} 401`)
    }
    const described = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.entries(operations).flatMap(([method, { responses }]) =>
        Object.keys(responses).map((status) => `${method.toUpperCase()} ${path} ${status}`),
      ),
    )
    // These need a poor tenant or a broken server, and have tests of their own.
    const left = described.filter((one) => !met.has(one) && !/ (?:429|500|503)$/.test(one))
    expect(left).toEqual([])
  })

  it('is true of a refused request, whose headers say when to come back', async () => {
    const document = await served()
    const poor = await service.tenant('FREE')
    for (let i = 0; i < 10; i++) expect((await poor.get('/v1/tenant')).status).toBe(200)
    const refused = await poor.get('/v1/tenant')
    expect(refused.status).toBe(429)
    expect(wrongAnswer(document, 'GET', '/v1/tenant', refused)).toEqual([])
    expect(refused.headers.get('ratelimit-policy')).toMatch(/^"minute";q=10;w=60, /)
    expect(refused.headers.get('ratelimit')).toMatch(/^"minute";r=0;t=[1-6], /)
    expect(refused.body.retryAfterMs).toBeGreaterThan(0)
    expect(refused.body.retryAfterMs).toBeLessThanOrEqual(6000)
    expect(refused.headers.get('retry-after')).toBe(String(Math.ceil(refused.body.retryAfterMs / 1000)))
  })

  it('would be found wrong by this test in a field too many, one too few, and a wrong kind', async () => {
    const document = await served()
    const like = { $ref: '#/components/schemas/Like' }
    expect(mistakes(document, like, { likes: 1, alreadyLiked: true })).toEqual([])
    expect(mistakes(document, like, { likes: 1, alreadyLiked: true, more: 1 })).toEqual([
      '$.more is not described',
    ])
    expect(mistakes(document, like, { likes: 1 })).toEqual(['$.alreadyLiked is missing'])
    expect(mistakes(document, like, { likes: -1, alreadyLiked: 'x' })).toHaveLength(2)
  })

  it('describes what is needed to call it: the key, the acting user, the bodies', async () => {
    const document = await served()
    expect(document.openapi).toBe('3.1.0')
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const operation of Object.values(operations)) {
        if (path.startsWith('/v1/')) expect(operation).toHaveProperty('security', [{ key: [] }])
        for (const name of path.matchAll(/\{(\w+)\}/g)) {
          expect(operation.parameters).toContainEqual(expect.objectContaining({ name: name[1], in: 'path' }))
        }
      }
    }
    const like = document.paths['/v1/comments/{id}/like']?.['put']
    expect(like?.parameters).toContainEqual(
      expect.objectContaining({ name: 'x-user', in: 'header', required: true }),
    )
  })
})
