import { InvalidationPendingError } from 'slotwise'
import type { Cache } from 'slotwise/cache'

interface Comment {
  readonly id: string
  readonly tenantId: string
  readonly entityId: string
  readonly authorId: string
  readonly content: string
}

interface Database {
  query(text: string, values: unknown[]): Promise<unknown>
}

const INSERT = `
  INSERT INTO comments (id, tenant_id, entity_id, author_id, content)
  VALUES ($1, $2, $3, $4, $5)`

/** Writes a comment to the database, then to its cache, and empties the tree of comments that shows it. */
export async function createComment(
  caches: { readonly comments: Cache<Comment | null>; readonly trees: Cache<readonly string[]> },
  db: Database,
  comment: Comment,
): Promise<'shown' | 'shown soon'> {
  const { id, tenantId, entityId, authorId, content } = comment
  const [comments, trees] = [caches.comments.forTenant(tenantId), caches.trees.forTenant(tenantId)]
  try {
    // Redis knows of both before the database does: no tree that is being loaded now will be stored without the comment.
    await trees.mutate({ ids: [entityId] }, () =>
      comments.writeThrough(id, async () => {
        await db.query(INSERT, [id, tenantId, entityId, authorId, content])
        return comment
      }),
    )
    return 'shown'
  } catch (error) {
    if (!(error instanceof InvalidationPendingError)) throw error
    // The comment is in the database. Redis does not answer, and is told as soon as it does.
    return 'shown soon'
  }
}
