import type { Database } from '../db/index.js'

/** A transaction that somebody else has begun, and ends. */
export interface Transaction {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

/** A comment by its primary key; everything is after the empty one. */
export interface Position {
  readonly tenant: string
  readonly id: string
}

export const BEGINNING: Position = { tenant: '', id: '' }

/** What a part of a recount came to. */
export interface Recounted {
  readonly looked: number
  readonly corrected: number
  /** Where to go on; `undefined` at the end. */
  readonly next: Position | undefined
}

export class RecountRepository {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async hasEnded(day: string): Promise<boolean> {
    const { rows } = await this.#db.pool.query('select 1 from recounts where day = $1', [day])
    return rows.length > 0
  }

  /**
   * Counts the likes of so many comments again, in a transaction that somebody else has begun. The comments are locked first, and
   * counted by the next statement, which sees every like that was committed until then; one under way waits, and counts on.
   */
  async part(client: Transaction, after: Position, limit: number): Promise<Recounted> {
    // The caches are to hear of it with the commit, as of what others change.
    await client.query("set local slotwise_outbox.quiet = 'off'")
    const { rows: held } = await client.query(
      `select tenant_id, id from comments where (tenant_id, id) > ($1, $2)
       order by tenant_id, id limit $3 for no key update`,
      [after.tenant, after.id, limit],
    )
    const comments = held as readonly { readonly tenant_id: string; readonly id: string }[]
    const { rows: corrected } = await client.query(
      `update comments c set likes = counted.likes
       from (
         select held.tenant_id, held.id, count(likes.user_id)::integer as likes
         from unnest($1::text[], $2::text[]) as held (tenant_id, id)
         left join likes on likes.tenant_id = held.tenant_id and likes.comment_id = held.id
         group by held.tenant_id, held.id
       ) counted
       where c.tenant_id = counted.tenant_id and c.id = counted.id and c.likes <> counted.likes
       returning 1`,
      [comments.map((one) => one.tenant_id), comments.map((one) => one.id)],
    )
    const last = comments.length < limit ? undefined : comments.at(-1)
    return {
      looked: comments.length,
      corrected: corrected.length,
      next: last && { tenant: last.tenant_id, id: last.id },
    }
  }

  /** Once a day; a second time changes nothing. */
  async end(client: Transaction, day: string, { looked, corrected }: Omit<Recounted, 'next'>): Promise<void> {
    await client.query(
      'insert into recounts (day, looked_at, corrected) values ($1, $2, $3) on conflict do nothing',
      [day, looked, corrected],
    )
  }
}
