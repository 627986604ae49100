import type { Pool } from 'pg'

/** A consumer as it is usually written first: it remembers how far it came, by the identity of the rows. */
export class ByPosition {
  readonly #pool: Pool
  #last = '0'

  constructor(pool: Pool) {
    this.#pool = pool
  }

  async next(): Promise<readonly string[]> {
    const { rows } = await this.#pool.query<{ id: string; entry: string[] }>(
      'select id, entry from slotwise_outbox where id > $1 order by id',
      [this.#last],
    )
    this.#last = rows.at(-1)?.id ?? this.#last
    return rows.map(({ entry }) => entry.join())
  }
}

/**
 * And as it is usually mended: by transactions, none before all older ones have ended. Nothing is lost. But a transaction has
 * its id from its first write, and may change a row long after a younger one has committed a change of it.
 */
export class ByTransaction {
  readonly #pool: Pool

  constructor(pool: Pool) {
    this.#pool = pool
  }

  async next(): Promise<readonly string[]> {
    const { rows } = await this.#pool.query<{ title: string }>(
      `select payload->>'title' as title from slotwise_outbox
        where xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        order by xmin::text::bigint, id`,
    )
    return rows.map(({ title }) => title)
  }
}
