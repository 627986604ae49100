import type { Database } from '../db/index.js'

/** What one user thinks of one comment. */
export interface Reaction {
  readonly commentId: string
  readonly userId: string
  readonly kind: string
}

/** A reaction under its {@link rowId}, with what is counted of it. */
export type CountedReaction = readonly [row: string, commentId: string, kind: string]

/** Reactions, as far as they are written. */
export class ReactionRepository {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  /** All under an entity, by its {@link rowId}. */
  async ofThread(tenant: string, thread: string): Promise<readonly CountedReaction[]> {
    const rows = await this.#db.kysely
      .selectFrom('reactions')
      .select(['id', 'comment_id', 'kind'])
      .where('tenant_id', '=', tenant)
      .where('thread', '=', thread)
      .orderBy('id')
      .execute()
    return rows.map(({ id, comment_id, kind }) => [id, comment_id, kind] as const)
  }
}
