import { describe, expect, it } from 'vitest'
import { useService } from './support/service.js'

const service = useService()

describe('a comment', () => {
  it('is loaded from Postgres once and then comes from the cache, and the headers say so', async () => {
    const api = await service.tenant()
    await api.entity('e')
    await service.db.kysely
      .insertInto('users')
      .values({ tenant_id: api.tenant, id: 'u', name: 'U' })
      .execute()
    // On a busy machine Redis may take longer than a read waits for it, and then nothing is stored.
    const loaded = async (made = 0): Promise<Awaited<ReturnType<typeof api.get>> & { id: string }> => {
      const id = `old${made}`
      await service.db.kysely
        .insertInto('comments')
        .values({ tenant_id: api.tenant, id, entity_id: 'e', author_id: 'u', content: 'text' })
        .execute()
      const answer = await api.get(`/v1/comments/${id}`)
      return answer.headers.get('x-cache') === 'bypass' && made < 5 ? loaded(made + 1) : { ...answer, id }
    }
    const first = await loaded()
    expect(first.body).toMatchObject({
      id: first.id,
      entityId: 'e',
      parentId: null,
      author: { id: 'u', name: 'U' },
    })
    expect(first.headers.get('x-cache')).toBe('load')
    expect(first.headers.get('server-timing')).toMatch(
      /cache;desc="load";dur=[\d.]+.*database;dur=|database;dur=.*cache;desc="load"/,
    )
    await expect
      .poll(async () => (await api.get(`/v1/comments/${first.id}`)).headers.get('x-cache'))
      .toBe('hit')
    const hit = await api.get(`/v1/comments/${first.id}`)
    expect(hit.headers.get('server-timing')).not.toContain('database')
    expect(hit.body).toEqual(first.body)
  })

  it('is in the cache as soon as it is written, and in its thread', async () => {
    const api = await service.tenant()
    await api.entity('e')
    await api.thread('e')
    const written = await api.post('/v1/entities/e/comments', { user: 'ann', body: { content: 'hello' } })
    expect(written.status).toBe(201)
    expect(written.headers.get('location')).toBe(`/v1/comments/${written.body.id}`)
    const read = await api.get(`/v1/comments/${written.body.id}`)
    expect(read.headers.get('x-cache')).toBe('hit')
    expect(read.body).toEqual(written.body)
    expect(read.headers.get('etag')).toBe(written.headers.get('etag'))
    const { body } = await api.thread('e')
    expect(body.items.map(({ content }: { content: string }) => content)).toEqual(['hello'])
  })

  it('answers 304 to who has it, until it changes', async () => {
    const api = await service.tenant()
    await api.entity('e')
    const id = await api.comment('e', 'one')
    const etag = (await api.get(`/v1/comments/${id}`)).headers.get('etag') ?? ''
    const again = () => api.get(`/v1/comments/${id}`, { headers: { 'if-none-match': `"x", W/${etag}` } })
    expect((await again()).status).toBe(304)
    await api.put(`/v1/comments/${id}/like`, { user: 'bob' })
    expect((await again()).status).toBe(200)
  })

  it('is edited by its author alone, and not over an edit that the author has not seen', async () => {
    const api = await service.tenant()
    await api.entity('e')
    const id = await api.comment('e', 'one', 'ann')
    const edit = (user: string, content: string, etag?: string) =>
      api.patch(`/v1/comments/${id}`, {
        user,
        body: { content },
        ...(etag === undefined ? {} : { headers: { 'if-match': etag } }),
      })
    const seen = (await api.get(`/v1/comments/${id}`)).headers.get('etag') ?? ''
    expect(await edit('bob', 'mine')).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
    await api.put(`/v1/comments/${id}/like`, { user: 'bob' })
    const edited = await edit('ann', 'two', seen)
    expect(edited).toMatchObject({ status: 200, body: { content: 'two', version: 2, likes: 1 } })
    expect(edited.body.editedAt).not.toBeNull()
    expect(await edit('ann', 'three', seen)).toMatchObject({
      status: 412,
      body: { code: 'PRECONDITION_FAILED' },
    })
    expect(await edit('ann', 'three', 'nonsense')).toMatchObject({ status: 412 })
    expect((await api.get(`/v1/comments/${id}`)).body.content).toBe('two')
    expect((await api.thread('e')).body.items[0].content).toBe('two')
  })

  it('loses its text and keeps its replies when it is deleted', async () => {
    const api = await service.tenant()
    await api.entity('e')
    const id = await api.comment('e', 'secret', 'ann')
    await api.comment('e', 'reply', 'bob', id)
    expect((await api.delete(`/v1/comments/${id}`, { user: 'bob' })).status).toBe(403)
    expect((await api.delete(`/v1/comments/${id}`, { user: 'ann' })).status).toBe(204)
    const [top] = (await api.thread('e')).body.items
    expect(top).toMatchObject({ id, content: null, deleted: true, replies: [{ content: 'reply' }] })
    for (const answer of [
      await api.get(`/v1/comments/${id}`),
      await api.delete(`/v1/comments/${id}`, { user: 'ann' }),
      await api.put(`/v1/comments/${id}/like`, { user: 'ann' }),
      await api.patch(`/v1/comments/${id}`, { user: 'ann', body: { content: 'back' } }),
    ]) {
      expect(answer.status).toBe(404)
    }
    const { rows } = await service.db.pool.query('select content from comments where id = $1', [id])
    expect(rows).toEqual([{ content: '' }])
  })
})

describe('a thread', () => {
  it('nests replies, comes in pages that lose and repeat nothing while others write, and is one cache entry', async () => {
    const api = await service.tenant()
    await api.entity('e', 'Title')
    const tops: string[] = []
    for (let i = 0; i < 7; i++) tops.push(await api.comment('e', `top ${i}`))
    const reply = await api.comment('e', 'reply', 'bob', tops[1])
    await api.comment('e', 'reply to reply', 'cid', reply)
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page = await api.thread('e', `?limit=3${cursor && `&cursor=${cursor}`}`)
      expect(page.body.entity).toEqual({ id: 'e', title: 'Title' })
      seen.push(...page.body.items.map(({ id }: { id: string }) => id))
      cursor = page.body.nextCursor
      if (cursor !== null) tops.push(await api.comment('e', 'meanwhile'))
    }
    expect(seen).toEqual(tops)
    const all = await api.thread('e')
    expect(all.body.items[1]).toMatchObject({
      replies: [{ id: reply, replies: [{ content: 'reply to reply' }] }],
    })
    await expect.poll(async () => (await api.thread('e', '?limit=1')).headers.get('x-cache')).toBe('hit')
  })

  it('has an ETag that changes with everything it shows', async () => {
    const api = await service.tenant()
    await api.entity('e')
    const id = await api.comment('e', 'one', 'ann')
    const tags = new Set<string | null>()
    const look = async () => {
      const { headers } = await api.thread('e')
      const etag = headers.get('etag')
      expect(tags.has(etag)).toBe(false)
      tags.add(etag)
      expect(
        (await api.get('/v1/entities/e/comments', { headers: { 'if-none-match': etag ?? '' } })).status,
      ).toBe(304)
    }
    await look()
    await api.comment('e', 'two', 'bob', id)
    await look()
    await api.put(`/v1/comments/${id}/like`, { user: 'bob' })
    await look()
    await api.patch(`/v1/comments/${id}`, { user: 'ann', body: { content: 'new' } })
    await look()
    await api.entity('e', 'Another title')
    await look()
    await api.delete(`/v1/comments/${id}`, { user: 'ann' })
    await look()
  })

  it('takes replies to what is there under the same entity only, and not without end', async () => {
    const api = await service.tenant()
    await api.entity('e')
    await api.entity('other')
    const elsewhere = await api.comment('other', 'x')
    const reply = (parentId: string) =>
      api.post('/v1/entities/e/comments', { user: 'ann', body: { content: 'r', parentId } })
    for (const parent of ['no-such', elsewhere]) {
      expect(await reply(parent)).toMatchObject({ status: 400, body: { errors: [{ at: 'body.parentId' }] } })
    }
    let parent = await api.comment('e', 'top')
    for (let depth = 2; depth <= 50; depth++) parent = await api.comment('e', `depth ${depth}`, 'ann', parent)
    expect((await reply(parent)).status).toBe(400)
    expect(
      await api.post('/v1/entities/none/comments', { user: 'ann', body: { content: 'x' } }),
    ).toMatchObject({
      status: 404,
    })
  })
})

describe('a like', () => {
  it('counts once however often it is said, and is taken back once', async () => {
    const api = await service.tenant()
    await api.entity('e')
    const id = await api.comment('e', 'text')
    const like = () => api.put(`/v1/comments/${id}/like`, { user: 'bob' })
    const unlike = () => api.delete(`/v1/comments/${id}/like`, { user: 'bob' })
    expect((await like()).body).toEqual({ likes: 1, alreadyLiked: false })
    expect((await like()).body).toEqual({ likes: 1, alreadyLiked: true })
    expect((await api.put(`/v1/comments/${id}/like`, { user: 'cid' })).body).toEqual({
      likes: 2,
      alreadyLiked: false,
    })
    expect((await api.get(`/v1/comments/${id}`)).body.likes).toBe(2)
    expect((await api.thread('e')).body.items[0].likes).toBe(2)
    expect((await unlike()).body).toEqual({ likes: 1, wasLiked: true })
    expect((await unlike()).body).toEqual({ likes: 1, wasLiked: false })
    expect((await api.thread('e')).body.items[0].likes).toBe(1)
  })
})

describe('the entities', () => {
  it('come in pages, with the number of comments that can be seen', async () => {
    const api = await service.tenant()
    const ids = ['a', 'b', 'c', 'd', 'e']
    for (const id of ids) await api.entity(id)
    const gone = await api.comment('c', 'x')
    await api.comment('c', 'y')
    await api.delete(`/v1/comments/${gone}`, { user: 'ann' })
    const first = await api.get('/v1/entities?limit=3')
    const second = await api.get(`/v1/entities?limit=3&cursor=${first.body.nextCursor}`)
    expect(second.body.nextCursor).toBeNull()
    const items = [...first.body.items, ...second.body.items]
    expect(items.map(({ id }) => id)).toEqual(ids.toReversed())
    expect(items.map(({ comments }) => comments)).toEqual([0, 0, 1, 0, 0])
    expect(await api.put('/v1/entities/a', { body: { title: 'T' } })).toMatchObject({
      status: 200,
      body: { id: 'a', title: 'T' },
    })
    expect((await api.put('/v1/entities/new', { body: { title: 'T' } })).status).toBe(201)
  })
})
