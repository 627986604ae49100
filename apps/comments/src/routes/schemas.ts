import { z } from '@hono/zod-openapi'
import { REACTION_KINDS } from '../services/reactions.js'
import { PLAN_NAMES } from '../tenants.js'

// What Postgres cannot hold, NUL and halves of surrogate pairs, is refused by the same patterns that the OpenAPI
// document shows. They count code points, as JSON Schema does.
const text = (least: number, most: number, what: string) =>
  z
    .string()
    .regex(new RegExp(`^[^\\u0000\\p{Cs}]{${least},${most}}$`, 'u'), {
      message: `must be ${least} to ${most} characters without NUL and without halves of surrogate pairs`,
    })
    .openapi({ description: what })

const LONGEST_ID = 200

const id = (what: string) => text(1, LONGEST_ID, what)
const cursor = z.string().max(2000).openapi({ description: 'What `nextCursor` of the page before says.' })

export const EntityIdPath = z.object({
  entityId: id('Of an entity of this tenant.').openapi({ param: { in: 'path', name: 'entityId' } }),
})
export const CommentIdPath = z.object({
  id: id('Of a comment of this tenant.').openapi({ param: { in: 'path', name: 'id' } }),
})

export const PageQuery = z.object({
  cursor: cursor.optional(),
  limit: z
    .string()
    .regex(/^(?:[1-9]\d?|100)$/, { message: 'must be a whole number from 1 to 100' })
    .default('20')
    .transform(Number)
    .openapi({ type: 'integer', minimum: 1, maximum: 100, default: 20 }),
})

const userId = (value: string, context: z.core.$RefinementCtx<string>) => {
  const user = decoded(value)
  if (user !== undefined && id('').safeParse(user).success) return user
  context.addIssue({
    code: 'custom',
    message: `must be 1 to ${LONGEST_ID} characters, percent-encoded UTF-8, without NUL`,
  })
  return z.NEVER
}
/** Names of headers are lower case here, as the framework gives them. */
export const ActingUser = z.object({
  'x-user': z.string({ message: 'is needed: the id of the acting user' }).transform(userId).openapi({
    type: 'string',
    description: 'The id of the acting user, percent-encoded (`encodeURIComponent`).',
  }),
})
const ifNoneMatch = z
  .string()
  .optional()
  .openapi({ description: 'ETags that the caller has: 304 if one is still right.' })
export const Reading = z.object({
  'if-none-match': ifNoneMatch,
  'x-user': z.string().transform(userId).optional().openapi({
    type: 'string',
    description: 'Whose own reactions are told, percent-encoded.',
  }),
})
export const Looking = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/, { message: 'must be 1 to 200 characters of visible ASCII' })
    .optional()
    .openapi({
      description:
        'Of this one look: sent again with it within a minute, it is counted once. A UUID, for example.',
    }),
})
export const Editing = ActingUser.extend({
  'if-match': z.string().optional().openapi({
    description:
      'ETags of what the caller has seen: 412 if the text was edited since. Likes in between do not count.',
  }),
})

const CONTENT_LONGEST = 10_000
export const NewComment = z
  .object({
    content: text(1, CONTENT_LONGEST, 'Plain text.'),
    parentId: id('The comment that is answered.').nullish(),
  })
  .openapi('NewComment')
export const CommentEdit = z
  .object({ content: text(1, CONTENT_LONGEST, 'Plain text.') })
  .openapi('CommentEdit')
const kind = z.enum(REACTION_KINDS)
export const NewReaction = z.object({ kind }).openapi('NewReaction')
export const EntityEdit = z.object({ title: text(1, 500, 'Plain text.') }).openapi('EntityEdit')

export const Tenant = z
  .object({
    id: z.string(),
    name: z.string(),
    plan: z.enum(PLAN_NAMES),
    limits: z.array(
      z.object({
        name: z.enum(['minute', 'hour', 'day', 'writes']),
        kind: z
          .enum(['token-bucket', 'fixed-window', 'sliding-window', 'sliding-log', 'concurrency'])
          .openapi({
            description: 'A bucket fills evenly; of a window, what came ends when it is over.',
          }),
        limit: z.int().openapi({ description: 'The most at once.' }),
        windowMs: z.int().openapi({ description: 'In which so many are allowed in the long run.' }),
      }),
    ),
  })
  .openapi('Tenant')

export const Entity = z.object({ id: z.string(), title: z.string() }).openapi('Entity')
const views = z
  .int()
  .min(0)
  .nullable()
  .openapi({ description: '`null` while the database does not answer and nobody else knows.' })
export const Views = z.object({ views: z.int().min(1) }).openapi('Views')
export const EntityPage = z
  .object({
    items: z.array(z.object({ id: z.string(), title: z.string(), comments: z.int(), views })),
    nextCursor: z.string().nullable(),
  })
  .openapi('EntityPage')

const reactions = {
  reactions: z
    .array(z.object({ kind, count: z.int().min(1) }))
    .nullable()
    .openapi({
      description: 'Those that there are. `null` while the database does not answer and nobody else knows.',
    }),
  reaction: kind.nullable().openapi({ description: 'Of the user in `X-User`; `null` for none.' }),
}
export const Reactions = z.object(reactions).openapi('Reactions')

const comment = {
  id: z.string(),
  entityId: z.string(),
  parentId: z.string().nullable(),
  author: z.object({ id: z.string(), name: z.string() }),
  content: z.string().nullable().openapi({ description: '`null` once the comment is deleted.' }),
  likes: z.int().min(0),
  version: z.int().min(1),
  createdAt: z.iso.datetime(),
  editedAt: z.iso.datetime().nullable(),
  deleted: z.boolean(),
  ...reactions,
}
export const Comment = z.object(comment).openapi('Comment')

interface Tree extends z.infer<typeof Comment> {
  readonly replies: readonly Tree[]
}
const CommentTree: z.ZodType<Tree> = z
  .object({
    ...comment,
    replies: z
      .lazy(() => z.array(CommentTree))
      .openapi({ type: 'array', items: { $ref: '#/components/schemas/CommentTree' } }),
  })
  .openapi('CommentTree')

export const Thread = z
  .object({
    entity: Entity,
    views,
    items: z.array(CommentTree),
    nextCursor: z.string().nullable(),
  })
  .openapi('Thread')

export const Like = z.object({ likes: z.int().min(0), alreadyLiked: z.boolean() }).openapi('Like')
export const Unlike = z.object({ likes: z.int().min(0), wasLiked: z.boolean() }).openapi('Unlike')

export const DemoTenants = z
  .array(z.object({ id: z.string(), name: z.string(), plan: z.enum(PLAN_NAMES), key: z.string() }))
  .openapi('DemoTenants')

const state = z.enum(['up', 'degraded', 'down'])
export const Readiness = z
  .object({
    redis: state,
    postgres: state,
    draining: z.boolean(),
    unwritten: z
      .object({ changes: z.int().min(0), oldestMs: z.int().min(0) })
      .nullable()
      .openapi({
        description: 'What is accepted and not yet in the database; `null` if Redis does not say.',
      }),
  })
  .openapi('Readiness')
export const Health = z.object({ status: z.literal('up') }).openapi('Health')

function decoded(value: string): string | undefined {
  try {
    return decodeURIComponent(value)
  } catch {
    return undefined
  }
}
