import { type ExpressionBuilder, sql, type Transaction } from 'kysely'
import type { Database, Schema } from '../db/index.js'

/** A comment as it is shown and cached. */
export interface Comment {
  readonly id: string
  readonly entityId: string
  readonly parentId: string | null
  readonly author: { readonly id: string; readonly name: string }
  /** `null` once it is deleted. */
  readonly content: string | null
  readonly likes: number
  /** Grows by one with every edit. */
  readonly version: number
  readonly createdAt: string
  readonly editedAt: string | null
  readonly deleted: boolean
}

/** What is to be written. */
export interface NewComment {
  readonly id: string
  readonly entityId: string
  readonly parentId: string | null
  readonly authorId: string
  readonly content: string
}

export type Created =
  | { readonly created: true; readonly comment: Comment }
  | { readonly created: false; readonly reason: 'no-entity' | 'no-parent' | 'too-deep' }

export type Changed =
  | { readonly changed: true; readonly comment: Comment }
  | { readonly changed: false; readonly reason: 'missing' | 'not-author' | 'other-version' }

/** Replies to replies end here, so that no thread can be nested deeper than a program can follow. */
export const DEEPEST = 50

const SHOWN = [
  'comments.id',
  'comments.entity_id',
  'comments.parent_id',
  'comments.author_id',
  'comments.content',
  'comments.likes',
  'comments.version',
  'comments.created_at',
  'comments.edited_at',
  'comments.deleted_at',
] as const

const authorName = (eb: ExpressionBuilder<Schema, 'comments'>) =>
  eb
    .selectFrom('users')
    .select('users.name')
    .whereRef('users.tenant_id', '=', 'comments.tenant_id')
    .whereRef('users.id', '=', 'comments.author_id')
    .as('author_name')

export class CommentRepository {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  /** `undefined` if there is none or it is deleted. */
  async find(tenant: string, id: string): Promise<Comment | undefined> {
    const row = await this.#rows(tenant)
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirst()
    return row && comment(row)
  }

  /** All comments of an entity, deleted ones without their text, the oldest first. */
  async ofEntity(tenant: string, entityId: string): Promise<readonly Comment[]> {
    const rows = await this.#rows(tenant)
      .where('entity_id', '=', entityId)
      .orderBy('created_at')
      .orderBy('id')
      .execute()
    return rows.map(comment)
  }

  /** @param signal nothing is committed once it has aborted */
  async create(tenant: string, wanted: NewComment, signal: AbortSignal): Promise<Created> {
    return this.#db.kysely.transaction().execute(async (transaction): Promise<Created> => {
      const entity = await transaction
        .selectFrom('entities')
        .select('id')
        .where('tenant_id', '=', tenant)
        .where('id', '=', wanted.entityId)
        // Nobody takes the entity away before the comment is in it.
        .forKeyShare()
        .executeTakeFirst()
      if (entity === undefined) return { created: false, reason: 'no-entity' }
      if (wanted.parentId !== null) {
        const depth = await depthOf(transaction, tenant, wanted.entityId, wanted.parentId)
        if (depth === 0) return { created: false, reason: 'no-parent' }
        if (depth >= DEEPEST) return { created: false, reason: 'too-deep' }
      }
      await transaction
        .insertInto('users')
        .values({ tenant_id: tenant, id: wanted.authorId, name: wanted.authorId })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
      const row = await transaction
        .insertInto('comments')
        .values({
          tenant_id: tenant,
          id: wanted.id,
          entity_id: wanted.entityId,
          parent_id: wanted.parentId,
          author_id: wanted.authorId,
          content: wanted.content,
        })
        .returning([...SHOWN])
        .returning(authorName)
        .executeTakeFirstOrThrow()
      signal.throwIfAborted()
      return { created: true, comment: comment(row) }
    })
  }

  /** @param version of the content that the caller has seen; any, if `undefined` */
  async edit(
    tenant: string,
    id: string,
    author: string,
    content: string,
    version: number | undefined,
  ): Promise<Changed> {
    const row = await this.#db.kysely
      .updateTable('comments')
      .set((eb) => ({ content, version: eb('version', '+', 1), edited_at: sql`now()` }))
      .where('tenant_id', '=', tenant)
      .where('id', '=', id)
      .where('author_id', '=', author)
      .where('deleted_at', 'is', null)
      .$if(version !== undefined, (query) => query.where('version', '=', version ?? 0))
      .returning([...SHOWN])
      .returning(authorName)
      .executeTakeFirst()
    return row === undefined ? this.#whyNot(tenant, id, author) : { changed: true, comment: comment(row) }
  }

  /** Keeps the row, for the replies to hang on, and forgets its text. */
  async remove(tenant: string, id: string, author: string): Promise<Changed> {
    const row = await this.#db.kysely
      .updateTable('comments')
      .set((eb) => ({ content: '', version: eb('version', '+', 1), deleted_at: sql`now()` }))
      .where('tenant_id', '=', tenant)
      .where('id', '=', id)
      .where('author_id', '=', author)
      .where('deleted_at', 'is', null)
      .returning([...SHOWN])
      .returning(authorName)
      .executeTakeFirst()
    return row === undefined ? this.#whyNot(tenant, id, author) : { changed: true, comment: comment(row) }
  }

  async #whyNot(tenant: string, id: string, author: string): Promise<Changed> {
    const now = await this.find(tenant, id)
    if (now === undefined) return { changed: false, reason: 'missing' }
    return { changed: false, reason: now.author.id === author ? 'other-version' : 'not-author' }
  }

  #rows(tenant: string) {
    return this.#db.kysely
      .selectFrom('comments')
      .select([...SHOWN])
      .select(authorName)
      .where('tenant_id', '=', tenant)
  }
}

interface Row {
  readonly id: string
  readonly entity_id: string
  readonly parent_id: string | null
  readonly author_id: string
  readonly author_name: string | null
  readonly content: string
  readonly likes: number
  readonly version: number
  readonly created_at: Date
  readonly edited_at: Date | null
  readonly deleted_at: Date | null
}

function comment(row: Row): Comment {
  const deleted = row.deleted_at !== null
  return {
    id: row.id,
    entityId: row.entity_id,
    parentId: row.parent_id,
    author: { id: row.author_id, name: row.author_name ?? row.author_id },
    content: deleted ? null : row.content,
    likes: row.likes,
    version: row.version,
    createdAt: row.created_at.toISOString(),
    editedAt: row.edited_at?.toISOString() ?? null,
    deleted,
  }
}

/** How many comments lie on the way from the top to this one; 0 if it is not there to be answered. */
async function depthOf(
  transaction: Transaction<Schema>,
  tenant: string,
  entityId: string,
  id: string,
): Promise<number> {
  const { rows } = await sql<{ depth: number }>`
    with recursive up (parent_id, depth) as (
      select parent_id, 1 from comments
      where tenant_id = ${tenant} and id = ${id} and entity_id = ${entityId} and deleted_at is null
      union all
      select comments.parent_id, up.depth + 1 from comments join up on comments.id = up.parent_id
      where comments.tenant_id = ${tenant} and up.depth < ${DEEPEST}
    )
    select coalesce(max(depth), 0)::int as depth from up
  `.execute(transaction)
  return rows[0]?.depth ?? 0
}
