import type { Database } from '../db/index.js'

/** How often an entity was looked at, as far as that is written. */
export interface Viewed {
  readonly entityId: string
  readonly views: number
}

/** Counts of views, by the {@link rowId} of their entity. Every entity has one from its beginning on. */
export class ViewRepository {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async find(tenant: string, row: string): Promise<Viewed | undefined> {
    const [found] = await this.findMany(tenant, [row])
    return found
  }

  /** In the order of the rows. */
  async findMany(tenant: string, rows: readonly string[]): Promise<readonly (Viewed | undefined)[]> {
    const found = await this.#db.kysely
      .selectFrom('entity_views')
      .select(['id', 'entity_id', 'views'])
      .where('tenant_id', '=', tenant)
      .where('id', 'in', rows)
      .execute()
    const byRow = new Map(
      found.map(({ id, entity_id, views }) => [id, { entityId: entity_id, views: Number(views) }]),
    )
    return rows.map((row) => byRow.get(row))
  }
}
