import { createRoute } from '@hono/zod-openapi'
import type { CommentService } from '../services/comments.js'
import type { EntityService } from '../services/entities.js'
import type { ViewService } from '../services/views.js'
import { readCursor, writeCursor } from './cursor.js'
import { etagOf, isKnown } from './etag.js'
import { fitBody } from './guard.js'
import { body, json, refusals, unchanged } from './responses.js'
import type { Router } from './router.js'
import {
  ActingUser,
  Comment,
  Entity,
  EntityEdit,
  EntityIdPath,
  EntityPage,
  Looking,
  NewComment,
  PageQuery,
  Reading,
  Thread,
  Views,
} from './schemas.js'

const list = createRoute({
  method: 'get',
  path: '/v1/entities',
  summary: 'The entities of the tenant, the newest first',
  security: [{ key: [] }],
  request: { query: PageQuery },
  responses: { 200: json(EntityPage, 'A page of them.'), ...refusals(400) },
})

const put = createRoute({
  method: 'put',
  path: '/v1/entities/{entityId}',
  summary: 'Make an entity, or give it another title',
  security: [{ key: [] }],
  middleware: fitBody,
  request: { params: EntityIdPath, body: body(EntityEdit) },
  responses: {
    200: json(Entity, 'It was there and has this title now.'),
    201: json(Entity, 'It is new.'),
    ...refusals(400, 413, 415),
  },
})

const read = createRoute({
  method: 'get',
  path: '/v1/entities/{entityId}/comments',
  summary: 'The thread of an entity: comments, the oldest first, each with all its replies',
  security: [{ key: [] }],
  request: { params: EntityIdPath, query: PageQuery, headers: Reading },
  responses: { 200: json(Thread, 'A page of comments at the top.'), 304: unchanged, ...refusals(400, 404) },
})

const write = createRoute({
  method: 'post',
  path: '/v1/entities/{entityId}/comments',
  summary: 'Write a comment, or answer one',
  security: [{ key: [] }],
  middleware: fitBody,
  request: { params: EntityIdPath, headers: ActingUser, body: body(NewComment) },
  responses: { 201: json(Comment, 'As it is stored.'), ...refusals(400, 404, 413, 415) },
})

const look = createRoute({
  method: 'post',
  path: '/v1/entities/{entityId}/views',
  summary: 'Count one look at an entity',
  description: 'Reading counts nothing by itself: it may be repeated, and answered by caches.',
  security: [{ key: [] }],
  request: { params: EntityIdPath, headers: Looking },
  responses: { 200: json(Views, 'How often it was looked at, this time included.'), ...refusals(400, 404) },
})

export function entityRoutes(
  router: Router,
  entities: EntityService,
  comments: CommentService,
  views: ViewService,
): void {
  router.openapi(list, async (context) => {
    const { cursor, limit } = context.req.valid('query')
    const page = await entities.page(context.get('tenant').id, readCursor('entities', cursor), limit)
    const items = page.items.map(({ id, title, comments: count, views: looks = null }) => ({
      id,
      title,
      comments: count,
      views: looks,
    }))
    return context.json({ items, nextCursor: writeCursor('entities', page.next) }, 200)
  })

  router.openapi(put, async (context) => {
    const { entityId: id } = context.req.valid('param')
    const { title } = context.req.valid('json')
    const { created } = await entities.put(context.get('tenant').id, id, title)
    return context.json({ id, title }, created ? 201 : 200)
  })

  router.openapi(read, async (context) => {
    const { entityId } = context.req.valid('param')
    const { cursor, limit } = context.req.valid('query')
    const { id: tenant } = context.get('tenant')
    const { 'x-user': user, 'if-none-match': ifNoneMatch } = context.req.valid('header')
    const {
      entity,
      views: looks = null,
      items,
      next,
    } = await comments.thread(tenant, entityId, readCursor('comments', cursor), limit, user)
    const thread = { entity, views: looks, items, nextCursor: writeCursor('comments', next) }
    const text = JSON.stringify(thread)
    const etag = etagOf(text)
    const known = isKnown(ifNoneMatch, etag)
    if (known) return context.body(null, 304, { ETag: etag })
    return context.json(thread, 200, { ETag: etag })
  })

  router.openapi(write, async (context) => {
    const { entityId } = context.req.valid('param')
    const { content, parentId } = context.req.valid('json')
    const comment = await comments.create(context.get('tenant').id, {
      entityId,
      parentId: parentId ?? null,
      author: context.req.valid('header')['x-user'],
      content,
    })
    return context.json(comment, 201, {
      Location: `/v1/comments/${encodeURIComponent(comment.id)}`,
      ETag: etagOf(JSON.stringify(comment), comment.version),
    })
  })

  router.openapi(look, async (context) => {
    const { entityId } = context.req.valid('param')
    const { 'idempotency-key': key } = context.req.valid('header')
    return context.json({ views: await views.add(context.get('tenant').id, entityId, key) }, 200)
  })
}
