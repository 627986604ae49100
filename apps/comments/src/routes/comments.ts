import { createRoute } from '@hono/zod-openapi'
import type { CommentService } from '../services/comments.js'
import type { LikeService } from '../services/likes.js'
import { etagOf, isKnown, versionAsked } from './etag.js'
import { fitBody } from './guard.js'
import { body, json, refusals, unchanged } from './responses.js'
import type { Router } from './router.js'
import { ActingUser, Comment, CommentEdit, CommentIdPath, Editing, Like, Reading, Unlike } from './schemas.js'

const read = createRoute({
  method: 'get',
  path: '/v1/comments/{id}',
  summary: 'One comment',
  security: [{ key: [] }],
  request: { params: CommentIdPath, headers: Reading },
  responses: { 200: json(Comment, 'The comment.'), 304: unchanged, ...refusals(400, 404) },
})

const edit = createRoute({
  method: 'patch',
  path: '/v1/comments/{id}',
  summary: 'Change the text; the author alone may',
  security: [{ key: [] }],
  middleware: fitBody,
  request: { params: CommentIdPath, headers: Editing, body: body(CommentEdit) },
  responses: { 200: json(Comment, 'As it is now.'), ...refusals(400, 403, 404, 412, 413, 415) },
})

const remove = createRoute({
  method: 'delete',
  path: '/v1/comments/{id}',
  summary: 'Take the text away; the author alone may. Replies stay',
  security: [{ key: [] }],
  request: { params: CommentIdPath, headers: ActingUser },
  responses: { 204: { description: 'It is gone.' }, ...refusals(400, 403, 404) },
})

const like = createRoute({
  method: 'put',
  path: '/v1/comments/{id}/like',
  summary: 'Like a comment; once, however often it is said',
  security: [{ key: [] }],
  request: { params: CommentIdPath, headers: ActingUser },
  responses: { 200: json(Like, 'The acting user likes it.'), ...refusals(400, 404) },
})

const unlike = createRoute({
  method: 'delete',
  path: '/v1/comments/{id}/like',
  summary: 'Take a like back',
  security: [{ key: [] }],
  request: { params: CommentIdPath, headers: ActingUser },
  responses: { 200: json(Unlike, 'The acting user does not like it.'), ...refusals(400, 404) },
})

export function commentRoutes(router: Router, comments: CommentService, likes: LikeService): void {
  router.openapi(read, async (context) => {
    const { 'x-user': user, 'if-none-match': ifNoneMatch } = context.req.valid('header')
    const comment = await comments.get(context.get('tenant').id, context.req.valid('param').id, user)
    const etag = etagOf(JSON.stringify(comment), comment.version)
    const known = isKnown(ifNoneMatch, etag)
    if (known) return context.body(null, 304, { ETag: etag })
    return context.json(comment, 200, { ETag: etag })
  })

  router.openapi(edit, async (context) => {
    const { 'x-user': user, 'if-match': ifMatch } = context.req.valid('header')
    const { id } = context.req.valid('param')
    const { content } = context.req.valid('json')
    const comment = await comments.edit(context.get('tenant').id, id, user, content, versionAsked(ifMatch))
    return context.json(comment, 200, { ETag: etagOf(JSON.stringify(comment), comment.version) })
  })

  router.openapi(remove, async (context) => {
    const user = context.req.valid('header')['x-user']
    await comments.remove(context.get('tenant').id, context.req.valid('param').id, user)
    return context.body(null, 204)
  })

  router.openapi(like, async (context) => {
    const user = context.req.valid('header')['x-user']
    const { likes: count, changed } = await likes.like(
      context.get('tenant').id,
      context.req.valid('param').id,
      user,
    )
    return context.json({ likes: count, alreadyLiked: !changed }, 200)
  })

  router.openapi(unlike, async (context) => {
    const user = context.req.valid('header')['x-user']
    const { likes: count, changed } = await likes.unlike(
      context.get('tenant').id,
      context.req.valid('param').id,
      user,
    )
    return context.json({ likes: count, wasLiked: changed }, 200)
  })
}
