import { SlotwiseError } from 'slotwise'
import type { WriteBehind } from 'slotwise/writebehind'
import { notFound, problemOf } from '../problems.js'
import type { Comment, CommentRepository } from '../repositories/comments.js'
import type { CountedReaction, Reaction, ReactionRepository } from '../repositories/reactions.js'
import { rowId } from '../repositories/row-id.js'
import { timed } from '../trace.js'
import { backlogFull, LOOK_MS, readAccepted } from './behind.js'
import type { Caches } from './caches.js'
import type { Recent, RecentReactions } from './recent.js'

/** In the order in which they are shown. */
export const REACTION_KINDS = ['👍', '❤️', '😂', '🎉', '😮', '😢'] as const
export type ReactionKind = (typeof REACTION_KINDS)[number]

/** What is shown of the reactions to a comment. */
export interface Reactions {
  /** `null` while nobody knows: they are in no cache, and the database does not answer. */
  readonly reactions: { readonly kind: ReactionKind; readonly count: number }[] | null
  /** Of the user who asks. */
  readonly reaction: ReactionKind | null
}

export const NO_REACTIONS: Reactions = { reactions: [], reaction: null }

/** What makes the service of reactions. */
interface Parts {
  readonly behind: WriteBehind<Reaction>
  readonly recent: RecentReactions
  readonly reactions: Pick<ReactionRepository, 'ofThread'>
  readonly comments: Pick<CommentRepository, 'find'>
  readonly caches: Caches
  readonly onError: (error: unknown) => void
}

/**
 * Reactions: at most one of a user to a comment, which may change. They are accepted in Redis and written later, ten changes as
 * one; counted is what is written, with what waits in its place. So no counter can differ from what it counts.
 */
export class ReactionService {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** @param kind `undefined` to take it back */
  async react(
    tenant: string,
    commentId: string,
    userId: string,
    kind: ReactionKind | undefined,
  ): Promise<Reactions> {
    const { caches, comments, recent, behind } = this.#parts
    const { entityId } = await commentOf(caches, comments, tenant, commentId)
    const [thread, row] = [rowId(entityId), rowId(commentId, userId)]
    await recent.note(tenant, thread, row)
    const rows = behind.forTenant(tenant)
    const id = [thread, row]
    const outcome = await timed('accept', () =>
      kind === undefined ? rows.delete(id) : rows.write(id, { commentId, userId, kind }),
    )
    if (!outcome.accepted) throw backlogFull(outcome.retryAfterMs)
    const shown = await this.of(tenant, entityId, userId)
    return shown(commentId)
  }

  /** Those in a thread, by comment, as the user sees them. */
  async of(
    tenant: string,
    entityId: string,
    userId: string | undefined,
  ): Promise<(commentId: string) => Reactions> {
    const thread = rowId(entityId)
    const { isWhole, rows } = await this.#rows(tenant, thread)
    const counts = new Map<string, Map<string, number>>()
    for (const { commentId, kind } of rows.values()) {
      const ofComment = counts.get(commentId) ?? new Map<string, number>()
      counts.set(commentId, ofComment.set(kind, (ofComment.get(kind) ?? 0) + 1))
    }
    return (commentId) => ({
      reactions: isWhole
        ? REACTION_KINDS.flatMap((kind) => {
            const count = counts.get(commentId)?.get(kind)
            return count === undefined ? [] : [{ kind, count }]
          })
        : null,
      reaction: (userId === undefined ? undefined : kindOf(rows.get(rowId(commentId, userId))?.kind)) ?? null,
    })
  }

  /** What is written, with what is accepted in its place. */
  async #rows(
    tenant: string,
    thread: string,
  ): Promise<{ readonly isWhole: boolean; readonly rows: ReadonlyMap<string, Counted> }> {
    const { behind, recent } = this.#parts
    const noted = await timed('accepted', () => recent.of(tenant, thread, LOOK_MS)).catch(noneWithoutRedis)
    let written: Promise<ReadonlyMap<string, Counted> | undefined> | undefined
    // Not before it is known what waits: what has been written since then would be missing from it.
    const load = () => (written ??= this.#written(tenant, thread))
    const settled = new Set<string>()
    const ids = noted.map(({ row }) => [thread, row])
    const accepted = await readAccepted<Counted>(behind.forTenant(tenant), ids, async (some, areSettled) => {
      const rows = some.map((id) => String(id[1]))
      for (const row of areSettled ? rows : []) settled.add(row)
      const found = await load()
      return rows.map((row) => found?.get(row))
    })
    const found = await load()
    const rows = new Map(found)
    for (const [i, { row }] of noted.entries()) {
      const now = accepted[i]
      if (now === undefined) rows.delete(row)
      else rows.set(row, now)
    }
    this.#forget(tenant, thread, noted, settled)
    return { isWhole: found !== undefined, rows }
  }

  /** `undefined` while the database does not answer and no cache has them. */
  async #written(tenant: string, thread: string): Promise<ReadonlyMap<string, Counted> | undefined> {
    const { caches, reactions } = this.#parts
    try {
      const all = await caches.reactions(tenant, thread, () => reactions.ofThread(tenant, thread))
      return new Map(all.map(counted))
    } catch (error) {
      if (problemOf(error).code !== 'DATABASE_UNAVAILABLE') throw error
      return undefined
    }
  }

  /** Behind the answer. */
  #forget(tenant: string, thread: string, noted: readonly Recent[], settled: ReadonlySet<string>): void {
    const { recent, onError } = this.#parts
    recent.settle(tenant, thread, noted, (row) => !settled.has(row)).catch(onError)
  }
}

/** What is counted of a reaction. */
type Counted = Pick<Reaction, 'commentId' | 'kind'>

const counted = ([row, commentId, kind]: CountedReaction): readonly [string, Counted] => [
  row,
  { commentId, kind },
]

const kindOf = (kind: string | undefined): ReactionKind | undefined =>
  REACTION_KINDS.find((known) => known === kind)

function noneWithoutRedis(error: unknown): readonly Recent[] {
  if (error instanceof SlotwiseError) return []
  throw error
}

/** Cache-aside. What is not there is not cached: made-up ids would fill the cache. */
export async function commentOf(
  caches: Caches,
  comments: Pick<CommentRepository, 'find'>,
  tenant: string,
  id: string,
): Promise<Comment> {
  return await caches.comment(tenant, id, async () => {
    const comment = await comments.find(tenant, id)
    if (comment === undefined) throw notFound()
    return comment
  })
}
