import type { Pool } from 'pg'

/** What is written: a counter and a text, some 120 bytes as JSON. */
export interface Row {
  readonly id: string
  readonly n: number
  readonly note: string
}

const NOTE = 'what somebody has changed, and will change again before long. '.repeat(2).slice(0, 90)

export const rowOf = (id: string, n: number): Row => ({ id, n, note: NOTE })

/** A table of rows, its name as it can stand in SQL. */
export async function makeTable(pool: Pool, table: string): Promise<void> {
  await pool.query(
    `create table if not exists ${table} (id text primary key, n bigint not null, note text not null)`,
  )
}

/** One statement, one transaction, one row. */
export async function writeOne(pool: Pool, table: string, { id, n, note }: Row): Promise<void> {
  await pool.query({
    name: `one-${table}`,
    text: `insert into ${table} values ($1, $2, $3) on conflict (id) do update set n = excluded.n, note = excluded.note`,
    values: [id, n, note],
  })
}

/** One statement, one transaction, so many rows: arrays, the fastest form that pg has. Each id once. */
export async function writeMany(pool: Pool, table: string, rows: readonly Row[]): Promise<void> {
  await pool.query({
    name: `many-${table}`,
    text: `insert into ${table} select * from unnest($1::text[], $2::bigint[], $3::text[])
      on conflict (id) do update set n = excluded.n, note = excluded.note`,
    values: [rows.map(({ id }) => id), rows.map(({ n }) => n), rows.map(({ note }) => note)],
  })
}
