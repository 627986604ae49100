import { createRoute } from '@hono/zod-openapi'
import type { ReactionService } from '../services/reactions.js'
import { fitBody } from './guard.js'
import { body, json, refusals } from './responses.js'
import type { Router } from './router.js'
import { ActingUser, CommentIdPath, NewReaction, Reactions } from './schemas.js'

const react = createRoute({
  method: 'put',
  path: '/v1/comments/{id}/reaction',
  summary: 'React to a comment, in the place of how one did before',
  security: [{ key: [] }],
  middleware: fitBody,
  request: { params: CommentIdPath, headers: ActingUser, body: body(NewReaction) },
  responses: { 200: json(Reactions, 'As they are now.'), ...refusals(400, 404, 413, 415) },
})

const unreact = createRoute({
  method: 'delete',
  path: '/v1/comments/{id}/reaction',
  summary: 'Take a reaction back; nothing happens where there is none',
  security: [{ key: [] }],
  request: { params: CommentIdPath, headers: ActingUser },
  responses: { 200: json(Reactions, 'As they are now.'), ...refusals(400, 404) },
})

export function reactionRoutes(router: Router, reactions: ReactionService): void {
  router.openapi(react, async (context) => {
    const { id } = context.req.valid('param')
    const { 'x-user': user } = context.req.valid('header')
    const { kind } = context.req.valid('json')
    return context.json(await reactions.react(context.get('tenant').id, id, user, kind), 200)
  })

  router.openapi(unreact, async (context) => {
    const { id } = context.req.valid('param')
    const { 'x-user': user } = context.req.valid('header')
    return context.json(await reactions.react(context.get('tenant').id, id, user, undefined), 200)
  })
}
