import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { type Answer, Api } from './support/api.js'
import { useService } from './support/service.js'

const service = useService()

/** Nothing unforeseen, nothing that tells of our inside. */
function isCleanRefusal(answer: Answer): void {
  expect([400, 404]).toContain(answer.status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(JSON.stringify(answer.body)).not.toMatch(/node_modules|at \w+ \(|postgres|select |redis/i)
}

/** Ids that are fit: whatever they look like, they meet no other id. */
const FIT = [
  '{}',
  '{',
  '}',
  ':',
  '*',
  '%',
  '%25',
  '/',
  'a/b',
  '\\',
  "'; drop table comments; --",
  '"',
  '👍',
  'é',
  'e\u0301',
  ' ',
  '\n',
  '__proto__',
  '#',
  '?',
  'x'.repeat(200),
  '👍'.repeat(200),
]
/** Ids that are not. */
const UNFIT = ['\0', 'a\0b', 'x'.repeat(201), 'x'.repeat(10_000)]

describe('an id', () => {
  it('may be anything of up to 200 characters, and means itself alone', async () => {
    const api = await service.tenant()
    for (const id of FIT) await api.entity(id, `title of ${id}`)
    for (const id of FIT) {
      const comment = await api.comment(id, `in ${id}`, id)
      const { body } = await api.thread(id)
      expect(body).toMatchObject({
        entity: { id, title: `title of ${id}` },
        items: [{ id: comment, entityId: id, author: { id }, content: `in ${id}` }],
      })
      expect((await api.put(`/v1/comments/${comment}/like`, { user: id })).body).toEqual({
        likes: 1,
        alreadyLiked: false,
      })
      const views = `/v1/entities/${encodeURIComponent(id)}/views`
      expect((await api.post(views)).body).toEqual({ views: 1 })
      const react = { user: id, body: { kind: '👍' } }
      expect((await api.put(`/v1/comments/${comment}/reaction`, react)).body).toEqual({
        reactions: [{ kind: '👍', count: 1 }],
        reaction: '👍',
      })
    }
  })

  it('is refused cleanly by every endpoint where it cannot be', async () => {
    const api = await service.tenant()
    await api.entity('e')
    const comment = await api.comment('e', 'x')
    for (const bad of UNFIT) {
      const id = encodeURIComponent(bad)
      for (const answer of [
        await api.put(`/v1/entities/${id}`, { body: { title: 'x' } }),
        await api.get(`/v1/entities/${id}/comments`),
        await api.post(`/v1/entities/${id}/comments`, { user: 'u', body: { content: 'x' } }),
        await api.post('/v1/entities/e/comments', { user: bad, body: { content: 'x' } }),
        await api.post('/v1/entities/e/comments', { user: 'u', body: { content: 'x', parentId: bad } }),
        await api.get(`/v1/comments/${id}`),
        await api.patch(`/v1/comments/${id}`, { user: 'u', body: { content: 'x' } }),
        await api.patch(`/v1/comments/${comment}`, { user: bad, body: { content: 'x' } }),
        await api.delete(`/v1/comments/${id}`, { user: 'u' }),
        await api.delete(`/v1/comments/${comment}`, { user: bad }),
        await api.post(`/v1/entities/${id}/views`),
        await api.put(`/v1/comments/${id}/reaction`, { user: 'u', body: { kind: '👍' } }),
        await api.put(`/v1/comments/${comment}/reaction`, { user: bad, body: { kind: '👍' } }),
        await api.put(`/v1/comments/${comment}/reaction`, { user: 'u', body: { kind: bad } }),
        await api.delete(`/v1/comments/${id}/reaction`, { user: 'u' }),
        await api.delete(`/v1/comments/${comment}/reaction`, { user: bad }),
        await api.get(`/v1/comments/${comment}`, { user: bad }),
        await api.get('/v1/entities/e/comments', { user: bad }),
        await api.put(`/v1/comments/${id}/like`, { user: 'u' }),
        await api.put(`/v1/comments/${comment}/like`, { user: bad }),
        await api.delete(`/v1/comments/${id}/like`, { user: 'u' }),
        await api.delete(`/v1/comments/${comment}/like`, { user: bad }),
        await api.get(`/v1/entities?cursor=${id}`),
        await api.get(`/v1/entities/e/comments?cursor=${id}`),
        await api.get(`/v1/entities?limit=${id}`),
      ]) {
        isCleanRefusal(answer)
      }
    }
  })

  it('that is not UTF-8 is refused, in a path and in X-User', async () => {
    const api = await service.tenant()
    for (const broken of ['%ff', '%', '%zz', '%ed%a0%80', '%c3']) {
      isCleanRefusal(await api.get(`/v1/comments/${broken}`))
      isCleanRefusal(await api.put('/v1/comments/x/like', { headers: { 'x-user': broken } }))
    }
  })
})

describe('a body', () => {
  it('that holds what Postgres cannot is refused in every field, lone surrogates and NUL', async () => {
    const api = await service.tenant()
    await api.entity('e')
    const comment = await api.comment('e', 'x', 'ann')
    for (const bad of ['\\u0000', '\\ud800', 'a\\udc00b', '\\ud83d']) {
      for (const answer of [
        await api.put('/v1/entities/e', { body: `{"title":"${bad}"}` }),
        await api.post('/v1/entities/e/comments', { user: 'u', body: `{"content":"${bad}"}` }),
        await api.post('/v1/entities/e/comments', { user: 'u', body: `{"content":"x","parentId":"${bad}"}` }),
        await api.patch(`/v1/comments/${comment}`, { user: 'ann', body: `{"content":"${bad}"}` }),
      ]) {
        isCleanRefusal(answer)
        expect(answer.body).toMatchObject({
          code: 'INVALID_REQUEST',
          errors: [{ at: expect.stringMatching(/^body\./) }],
        })
      }
    }
    const emoji = await api.post('/v1/entities/e/comments', {
      user: 'u',
      body: '{"content":"\\ud83d\\udc4d"}',
    })
    expect(emoji).toMatchObject({ status: 201, body: { content: '👍' } })
  })

  it('that is not JSON of the right shape is refused, and every wrong field is named', async () => {
    const api = await service.tenant()
    await api.entity('e')
    const post = (body: string) => api.post('/v1/entities/e/comments', { user: 'u', body })
    for (const text of ['{', '{"content":', 'nonsense', '{"content":"x"}}', "{'content':'x'}"]) {
      expect(await post(text)).toMatchObject({ status: 400, body: { code: 'MALFORMED_JSON' } })
    }
    for (const text of [
      '',
      '[]',
      'null',
      '7',
      '"x"',
      '{}',
      '{"content":7}',
      '{"content":""}',
      '{"content":null}',
      '{"content":{"$gt":""}}',
    ]) {
      isCleanRefusal(await post(text))
    }
    const { body } = await post('{"content":7,"parentId":[]}')
    expect(body.errors.map(({ at }: { at: string }) => at)).toEqual(['body.content', 'body.parentId'])
    const latin = Buffer.from('{"content":"é"}', 'latin1')
    const response = await fetch(`${api.url}/v1/entities/e/comments`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'x-user': 'u', 'content-type': 'application/json' },
      body: latin,
    })
    expect(response.status).toBe(400)
  })

  it('of 1 MB is refused before it has been read, announced or not', async () => {
    const api = await service.tenant()
    await api.entity('e')
    for (const announced of [true, false]) {
      const { status, sent } = await sendSlowly(`${api.url}/v1/entities/e/comments`, api.key, announced)
      expect(status).toBe(413)
      expect(sent).toBeLessThan(600_000)
    }
    // A neighbour on the same process is not disturbed.
    expect((await api.get('/v1/tenant')).status).toBe(200)
  })
})

describe('a key', () => {
  it('that is missing, unknown, of another scheme or absurd gets one and the same answer', async () => {
    const api = await service.tenant()
    const headers: readonly Record<string, string>[] = [
      { authorization: '' },
      { authorization: 'Bearer' },
      { authorization: 'Bearer unknown' },
      { authorization: `Basic ${api.key}` },
      { authorization: api.key },
      { authorization: `Bearer ${api.key} x` },
      { authorization: `Bearer ${'x'.repeat(10_000)}` },
      { authorization: `Bearer ${api.tenant}` },
      { authorization: 'Bearer {}' },
      { authorization: 'Bearer \u00ff' },
    ]
    const answers = await Promise.all(headers.map((one) => api.get('/v1/entities', { headers: one })))
    const [first] = answers
    for (const { status, body } of answers) {
      expect(status).toBe(401)
      expect(body).toEqual(first?.body)
    }
    expect(first?.headers.get('www-authenticate')).toBe('Bearer')
  })

  it('opens nothing beyond the API: unknown paths and methods are problems too', async () => {
    const api = await service.tenant()
    for (const [method, path] of [
      ['GET', '/v1/nothing'],
      ['POST', '/v1/tenant'],
      ['GET', '/nothing'],
      ['GET', '/demo/tenants'],
    ] as const) {
      expect(await api.call(method, path)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
    }
    expect((await new Api(api.url, '').get('/v1/nothing')).status).toBe(401)
  })
})

/** Sends 1 MB in pieces until an answer comes. */
function sendSlowly(url: string, key: string, announced: boolean): Promise<{ status: number; sent: number }> {
  return new Promise((done, fail) => {
    let sent = 0
    let answered = false
    const call = request(url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'x-user': 'u',
        'content-type': 'application/json',
        ...(announced ? { 'content-length': String(1_000_000) } : { 'transfer-encoding': 'chunked' }),
      },
    })
    call.on('response', (response) => {
      answered = true
      response.resume()
      done({ status: response.statusCode ?? 0, sent })
      call.destroy()
    })
    call.on('error', (error) => {
      if (!answered) fail(error)
    })
    const piece = () => {
      if (answered || sent >= 1_000_000) return
      const bytes = Buffer.alloc(Math.min(20_000, 1_000_000 - sent), 'x')
      sent += bytes.length
      call.write(bytes, () => setTimeout(piece, 5))
    }
    piece()
  })
}
