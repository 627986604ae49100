import type { PoolClient } from 'pg'
import { type Dump, DumpError, type DumpFile } from './dump.js'
import type { DumpRecord } from './records.js'

/** How an earlier import into this tenant ended, if there was one. */
export type Earlier = 'none' | 'finished' | 'unfinished'

/**
 * Where the rows of one tenant's dump gather before they are seen. Rows of another dump, or of an older state of
 * this one, are dropped.
 */
export class Stage {
  readonly #client: PoolClient
  readonly #tenant: string

  constructor(client: PoolClient, tenant: string) {
    this.#client = client
    this.#tenant = tenant
  }

  async open({ fingerprint }: Dump): Promise<Earlier> {
    const { rows } = await this.#client.query<{ fingerprint: string; finished: boolean }>(
      `select fingerprint, finished_at is not null and exists (select from tenants where id = tenant_id) finished
       from imports where tenant_id = $1`,
      [this.#tenant],
    )
    const [earlier] = rows
    if (earlier?.fingerprint === fingerprint) {
      if (earlier.finished) return 'finished'
      if (await this.#holdsRows()) return 'unfinished'
    }
    await this.drop()
    await this.#client.query(
      `insert into imports (tenant_id, fingerprint) values ($1, $2)
       on conflict (tenant_id) do update set fingerprint = excluded.fingerprint, finished_at = null`,
      [this.#tenant, fingerprint],
    )
    return 'none'
  }

  /** Up to which row the file is here. A batch is here whole or not at all, so nothing before it is missing. */
  async reached({ list }: DumpFile): Promise<number> {
    const { rows } = await this.#client.query<{ row: number | null }>(
      'select max(row) as row from import_rows where tenant_id = $1 and file = $2',
      [this.#tenant, list],
    )
    return rows[0]?.row ?? 0
  }

  async add({ list }: DumpFile, records: readonly DumpRecord[]): Promise<void> {
    const column = (of: (record: DumpRecord) => string | number | null) => records.map(of)
    await this.#client.query(
      `insert into import_rows (tenant_id, file, row, kind, id, parent, author, author_name, content, score,
         created_at, edited_at)
       select $1, $2, * from unnest($3::integer[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
         $9::text[], $10::integer[], $11::timestamptz[], $12::timestamptz[])`,
      [
        this.#tenant,
        list,
        column(({ row }) => row),
        column(({ kind }) => kind),
        column(({ id }) => id),
        column(({ parent }) => parent),
        column(({ author }) => author),
        column(({ authorName }) => authorName),
        column(({ content }) => content),
        column(({ score }) => score),
        column(({ createdAt }) => createdAt),
        column(({ editedAt }) => editedAt),
      ],
    )
  }

  /** @throws DumpError when two rows of a file have the same id */
  async checkIds({ list, name }: DumpFile): Promise<void> {
    const { rows } = await this.#client.query<{ id: string; first: number; again: number }>(
      `select id, first, again from (
         select id, row as again, first_value(row) over same as first, row_number() over same as nth
         from import_rows where tenant_id = $1 and file = $2 window same as (partition by id order by row)
       ) numbered where nth = 2 order by again limit 1`,
      [this.#tenant, list],
    )
    const [twice] = rows
    if (twice === undefined) return
    throw new DumpError(name, twice.again, `has the Id ${twice.id}, which row ${twice.first} has already`)
  }

  async drop(): Promise<void> {
    await this.#client.query('delete from import_rows where tenant_id = $1', [this.#tenant])
  }

  async #holdsRows(): Promise<boolean> {
    const { rows } = await this.#client.query('select from import_rows where tenant_id = $1 limit 1', [
      this.#tenant,
    ])
    return rows.length > 0
  }
}
