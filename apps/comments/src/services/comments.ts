import { randomUUID } from 'node:crypto'
import { notFound, Problem } from '../problems.js'
import { type Changed, type Comment, type CommentRepository, DEEPEST } from '../repositories/comments.js'
import type { Entity, EntityRepository, Position } from '../repositories/entities.js'
import type { CachedThread, Caches } from './caches.js'
import { type Page, pageOf } from './entities.js'
import { commentOf, NO_REACTIONS, type ReactionService, type Reactions } from './reactions.js'
import type { ViewService } from './views.js'

/** A comment with what users think of it. */
export interface ShownComment extends Comment, Reactions {}

/** A comment with everything that answers it. */
export interface CommentTree extends ShownComment {
  readonly replies: readonly CommentTree[]
}

export interface Thread extends Page<CommentTree> {
  readonly entity: Entity
  /** `undefined` while nobody knows. */
  readonly views: number | undefined
}

/** What a user wants to say. */
export interface Draft {
  readonly entityId: string
  readonly parentId: string | null
  readonly author: string
  readonly content: string
}

export class CommentService {
  readonly #comments: CommentRepository
  readonly #entities: EntityRepository
  readonly #caches: Caches
  readonly #behind: { readonly reactions: ReactionService; readonly views: ViewService }

  constructor(
    comments: CommentRepository,
    entities: EntityRepository,
    caches: Caches,
    behind: { readonly reactions: ReactionService; readonly views: ViewService },
  ) {
    this.#comments = comments
    this.#entities = entities
    this.#caches = caches
    this.#behind = behind
  }

  /** @param user who asks, if that is known */
  async get(tenant: string, id: string, user: string | undefined): Promise<ShownComment> {
    return await this.#shown(tenant, await commentOf(this.#caches, this.#comments, tenant, id), user)
  }

  /** A page of the comments at the top, each with all its replies, out of the whole thread in one cache entry. */
  async thread(
    tenant: string,
    entityId: string,
    after: Position | undefined,
    limit: number,
    user: string | undefined,
  ): Promise<Thread> {
    const { reactions, views } = this.#behind
    const [{ entity, comments }, reactionsTo, count] = await Promise.all([
      this.#caches.thread(tenant, entityId, () => this.#loadThread(tenant, entityId)),
      reactions.of(tenant, entityId, user),
      views.of(tenant, entityId),
    ])
    const { top, repliesTo } = grouped(comments)
    const from = after === undefined ? 0 : top.findIndex((comment) => isAfter(comment, after))
    const { items, next } = pageOf(from < 0 ? [] : top.slice(from, from + limit + 1), limit)
    const tree = (comment: Comment): CommentTree => ({
      ...comment,
      ...(comment.deleted ? NO_REACTIONS : reactionsTo(comment.id)),
      replies: (repliesTo.get(comment.id) ?? []).map(tree),
    })
    return { entity, views: count, items: items.map(tree), next }
  }

  /** Database, then cache; the thread is invalidated. */
  async create(tenant: string, draft: Draft): Promise<ShownComment> {
    const { author, ...wanted } = draft
    const id = randomUUID()
    const comment = await this.#caches.create(tenant, { id, entityId: draft.entityId }, async (signal) => {
      const outcome = await this.#comments.create(tenant, { ...wanted, id, authorId: author }, signal)
      if (outcome.created) return outcome.comment
      if (outcome.reason === 'no-entity') throw notFound()
      throw new Problem('INVALID_REQUEST', 'The reply has no place.', {
        errors: [{ at: 'body.parentId', message: WHY_NO_REPLY[outcome.reason] }],
      })
    })
    return { ...comment, ...NO_REACTIONS }
  }

  /** @param version that the caller has seen; any, if `undefined` */
  async edit(
    tenant: string,
    id: string,
    user: string,
    content: string,
    version: number | undefined,
  ): Promise<ShownComment> {
    const edit = () => this.#comments.edit(tenant, id, user, content, version)
    return await this.#shown(tenant, await this.#change(tenant, id, edit), user)
  }

  /** The text goes, the replies stay. */
  async remove(tenant: string, id: string, user: string): Promise<void> {
    await this.#change(tenant, id, () => this.#comments.remove(tenant, id, user))
  }

  async #shown(tenant: string, comment: Comment, user: string | undefined): Promise<ShownComment> {
    const reactionsTo = await this.#behind.reactions.of(tenant, comment.entityId, user)
    return { ...comment, ...reactionsTo(comment.id) }
  }

  async #change(tenant: string, id: string, run: () => Promise<Changed>): Promise<Comment> {
    // Which thread shows it has to be known before it is changed, and never changes.
    const before = await this.#comments.find(tenant, id)
    if (before === undefined) throw notFound()
    const outcome = await this.#caches.change(tenant, { id, entityId: before.entityId }, run)
    if (outcome.changed) return outcome.comment
    if (outcome.reason === 'missing') throw notFound()
    if (outcome.reason === 'not-author') throw new Problem('FORBIDDEN', 'Somebody else wrote this comment.')
    throw new Problem('PRECONDITION_FAILED', 'The comment has been edited since. Read it again.')
  }

  async #loadThread(tenant: string, entityId: string): Promise<CachedThread> {
    const [entity, comments] = await Promise.all([
      this.#entities.find(tenant, entityId),
      this.#comments.ofEntity(tenant, entityId),
    ])
    if (entity === undefined) throw notFound()
    return { entity, comments }
  }
}

const WHY_NO_REPLY = {
  'no-parent': 'there is no such comment to answer under this entity',
  'too-deep': `replies are nested ${DEEPEST} deep at most`,
} as const

function grouped(comments: readonly Comment[]) {
  const top: Comment[] = []
  const repliesTo = new Map<string, Comment[]>()
  for (const comment of comments) {
    if (comment.parentId === null) top.push(comment)
    else {
      const siblings = repliesTo.get(comment.parentId)
      if (siblings === undefined) repliesTo.set(comment.parentId, [comment])
      else siblings.push(comment)
    }
  }
  return { top, repliesTo }
}

/** In the database's order: its collation compares bytes, and so does this. */
function isAfter(comment: Comment, { createdAt, id }: Position): boolean {
  if (comment.createdAt !== createdAt) return comment.createdAt > createdAt
  return Buffer.compare(Buffer.from(comment.id), Buffer.from(id)) > 0
}
