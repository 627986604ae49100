import { sql } from 'kysely'
import type { Database } from '../db/index.js'

export interface Entity {
  readonly id: string
  readonly title: string
}

/** An entity in a list of them. */
export interface ListedEntity extends Entity {
  /** How many comments are shown under it. */
  readonly comments: number
  readonly createdAt: string
}

/** Where a page begins: behind the row with this time and id. */
export interface Position {
  readonly createdAt: string
  readonly id: string
}

export class EntityRepository {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async find(tenant: string, id: string): Promise<Entity | undefined> {
    return this.#db.kysely
      .selectFrom('entities')
      .select(['id', 'title'])
      .where('tenant_id', '=', tenant)
      .where('id', '=', id)
      .executeTakeFirst()
  }

  /** The newest first. */
  async page(tenant: string, after: Position | undefined, limit: number): Promise<readonly ListedEntity[]> {
    const rows = await this.#db.kysely
      .selectFrom('entities')
      .select(['id', 'title', 'created_at'])
      .select((eb) =>
        eb
          .selectFrom('comments')
          .select((count) => count.cast<number>(count.fn.countAll(), 'integer').as('count'))
          .whereRef('comments.tenant_id', '=', 'entities.tenant_id')
          .whereRef('comments.entity_id', '=', 'entities.id')
          .where('comments.deleted_at', 'is', null)
          .as('comments'),
      )
      .where('tenant_id', '=', tenant)
      .$if(after !== undefined, (query) =>
        query.where(sql<boolean>`(created_at, id) < (${after?.createdAt}::timestamptz, ${after?.id})`),
      )
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(limit)
      .execute()
    return rows.map(({ id, title, comments, created_at }) => ({
      id,
      title,
      comments: comments ?? 0,
      createdAt: created_at.toISOString(),
    }))
  }

  /** Whether it was there before. */
  async put(tenant: string, { id, title }: Entity): Promise<{ readonly created: boolean }> {
    const row = await this.#db.kysely
      .insertInto('entities')
      .values({ tenant_id: tenant, id, title })
      .onConflict((conflict) => conflict.columns(['tenant_id', 'id']).doUpdateSet({ title }))
      // A row that was updated has been locked by us; one that was inserted has not.
      .returning(sql<boolean>`xmax = 0`.as('created'))
      .executeTakeFirstOrThrow()
    return row
  }
}
