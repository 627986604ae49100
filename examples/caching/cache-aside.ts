import type { Cache } from 'slotwise/cache'

export interface Comment {
  readonly id: string
  readonly tenantId: string
  readonly entityId: string
  readonly authorId: string
  readonly content: string
}

interface Database {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly Comment[] }>
}

const FIND = `
  SELECT id, tenant_id AS "tenantId", entity_id AS "entityId", author_id AS "authorId", content
    FROM comments
   WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL`

/** A comment from the cache, or from the database, which is asked by one caller at a time in the whole cluster. */
export async function findComment(
  cache: Cache<Comment | null>,
  db: Database,
  tenantId: string,
  commentId: string,
): Promise<Comment | null> {
  return await cache.forTenant(tenantId).getOrLoad(commentId, async () => {
    const { rows } = await db.query(FIND, [commentId, tenantId])
    // `null` is a value: what does not exist is not asked for again until `negativeTtlMs` is over.
    return rows[0] ?? null
  })
}
