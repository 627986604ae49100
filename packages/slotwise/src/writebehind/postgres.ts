import { BatchFencedError } from '../errors.js'
import { integer } from '../options.js'
import { hearNew, type PostgresClient, type PostgresPool, quoted, transaction } from '../postgres.js'
import { isSame, type Line, NOWHERE, type Position } from './journal.js'
import { explained, isAboutRow, UnfitRowError } from './postgres-errors.js'
import type { Row, RowName } from './rows.js'
import type { BatchContext, Claim, Writer } from './writer.js'

/** Settings of {@link postgresWriter}. */
export interface PostgresWriterOptions<T> {
  /** The table, with its schema where that is not found by itself: `app.counters`. */
  readonly table: string
  /** Apart from others that are written behind; the name of the `WriteBehind` is a good one. */
  readonly name: string
  /** The columns of a row. Those that it does not name are left as they are. */
  readonly columns: (row: {
    readonly id: Row<T>['id']
    readonly tenant?: string
    readonly value: T
  }) => Readonly<Record<string, unknown>>
  /**
   * The columns of a primary key or unique index, of a row that goes too. @defaultValue `{ id }`, and `{ tenant, id }` for the rows of
   * a tenant; an id of several parts as JSON
   */
  readonly key?: ((row: Pick<Row<T>, 'id' | 'tenant'>) => Readonly<Record<string, unknown>>) | undefined
  /** Set to true where a row is deleted, in the place of deleting it. @defaultValue rows are deleted */
  readonly softDelete?: string | undefined
  /** Counted up with every change of a row. @defaultValue none */
  readonly version?: string | undefined
  /** Bound on the transaction, and on each statement of it, by the server. @defaultValue `10_000` */
  readonly timeoutMs?: number | undefined
}

/**
 * The table that holds how far each journal is written, for your migrations. Running it again is harmless. Postgres 14 or later.
 *
 * @example
 * ```ts
 * import { writeBehindSql } from 'slotwise/writebehind'
 *
 * console.log(writeBehindSql())
 * ```
 */
export function writeBehindSql(): string {
  return `create table if not exists slotwise_writebehind (
  name text not null,
  partition integer not null,
  epoch bigint not null,
  position jsonb not null,
  primary key (name, partition)
);`
}

/**
 * Writes rows and position in one transaction, so that neither a paused flusher nor a second try after a COMMIT without an
 * answer writes anything twice or out of order: who finds another epoch or position than it knows writes nothing. A
 * transaction that was left open ends after `timeoutMs`, by the server. Needs the table of {@link writeBehindSql}, a primary key
 * or unique index of `key`, and connections to the server itself or a pooler that lends them for transactions.
 *
 * Errors of the classes 22, 23 and 54 are about a row, which is given up, and so is one that `columns` or `key` throws; all others are
 * tried again for as long as it takes. A table, column, index or right that is missing is a `ConfigurationError` that says what to do.
 *
 * @example
 * ```ts
 * import pg from 'pg'
 * import { postgresWriter } from 'slotwise/writebehind'
 *
 * const pool = new pg.Pool({ connectionString: 'postgres://localhost/shop' })
 * export const writer = postgresWriter<{ title: string; views: number }>(pool, {
 *   name: 'posts',
 *   table: 'posts',
 *   columns: ({ value: { title, views } }) => ({ title, views }),
 * })
 * ```
 */
export function postgresWriter<T>(pool: PostgresPool, options: PostgresWriterOptions<T>): Writer<T> {
  const { name, columns, softDelete, version } = options
  const key = options.key ?? keyOfRow
  const timeoutMs = integer('timeoutMs', options.timeoutMs ?? 10_000, { min: 1 })
  const table = quoted('table', options.table)
  hearNew(pool)

  const inTransaction = async <R>(signal: AbortSignal, act: (client: PostgresClient) => Promise<R>) => {
    try {
      return await transaction(pool, { timeoutMs }, signal, act)
    } catch (error) {
      throw explained(error, options.table)
    }
  }

  const claim = async (partition: number, signal: AbortSignal): Promise<Claim> =>
    await inTransaction(signal, async (client) => {
      const { rows } = await client.query(
        `insert into slotwise_writebehind as it (name, partition, epoch, position) values ($1, $2, ${NOW_MS}, $3)
         on conflict (name, partition) do update set epoch = greatest(it.epoch + 1, ${NOW_MS})
         returning epoch::text, position`,
        [name, partition, stored(NOWHERE)],
      )
      const [row] = rows as readonly { epoch: string; position: StoredPosition }[]
      if (row === undefined) throw new Error('a claim returned no row')
      return { epoch: BigInt(row.epoch), position: restored(row.position) }
    })

  const write = async (rows: readonly Row<T>[], context: BatchContext): Promise<void> => {
    const { partition, epoch, from, to, signal } = context
    const statements = statementsOf(rows)
    await inTransaction(signal, async (client) => {
      const { rows: found } = await client.query(
        `select position = $4::jsonb as done, position = $5::jsonb as before from slotwise_writebehind
         where name = $1 and partition = $2 and epoch = $3 for update`,
        [name, partition, epoch.toString(), stored(to), stored(from)],
      )
      const [state] = found as readonly { done: boolean; before: boolean }[]
      // The answer to an earlier COMMIT was lost.
      if (state?.done === true && !isSame(from, to)) return
      if (state?.before !== true)
        throw new BatchFencedError(`partition ${partition} was claimed by another flusher`)
      await client.query('update slotwise_writebehind set position = $3 where name = $1 and partition = $2', [
        name,
        partition,
        stored(to),
      ])
      for (const { text, those } of statements) await client.query(text, [`[${those.join()}]`])
    })
  }

  /** One for all rows of the same columns: those of a tenant have one more. First what stays, then what goes. */
  function statementsOf(rows: readonly Row<T>[]): readonly Statement[] {
    const statements: Statement[] = []
    for (const deleted of [false, true]) {
      for (const row of rows) {
        if (row.deleted !== deleted) continue
        const { keys, names, json } = fieldsOf(row)
        let statement = statements.find((one) => isOf(one, { deleted, keys, names }))
        if (statement === undefined) {
          const text = deleted ? removal(names) : upsert(names, keys)
          statement = { deleted, keys, names, text, those: [] }
          statements.push(statement)
        }
        statement.those.push(json)
      }
    }
    return statements
  }

  function fieldsOf(row: Row<T>) {
    try {
      const keys = key(row)
      const fields = row.deleted ? keys : Object.assign({}, keys, columns(row))
      return { keys: Object.keys(keys), names: Object.keys(fields), json: jsonOf(fields) }
    } catch (error) {
      throw new UnfitRowError(error instanceof Error ? error.message : String(error), { cause: error })
    }
  }

  function upsert(names: readonly string[], keys: readonly string[]): string {
    const all = names.map((one) => quoted('column', one))
    const changes = names
      .filter((one) => !keys.includes(one))
      .map((one) => `${quoted('column', one)} = excluded.${quoted('column', one)}`)
    if (softDelete !== undefined) changes.push(`${quoted('softDelete', softDelete)} = false`)
    if (version !== undefined)
      changes.push(`${quoted('version', version)} = it.${quoted('version', version)} + 1`)
    const change = changes.length === 0 ? 'nothing' : `update set ${changes.join(', ')}`
    return `insert into ${table} as it (${all.join(', ')})
      select ${all.join(', ')} from json_populate_recordset(null::${table}, $1::json)
      on conflict (${keys.map((one) => quoted('column', one)).join(', ')}) do ${change}`
  }

  function removal(keys: readonly string[]): string {
    const same = keys.map((one) => `it.${quoted('column', one)} = gone.${quoted('column', one)}`)
    const those = `json_populate_recordset(null::${table}, $1::json) as gone where ${same.join(' and ')}`
    if (softDelete === undefined) return `delete from ${table} as it using ${those}`
    const changes = [`${quoted('softDelete', softDelete)} = true`]
    if (version !== undefined)
      changes.push(`${quoted('version', version)} = it.${quoted('version', version)} + 1`)
    return `update ${table} as it set ${changes.join(', ')} from ${those}`
  }

  return { claim, write, isAboutRow }
}

interface Kind {
  readonly deleted: boolean
  readonly keys: readonly string[]
  readonly names: readonly string[]
}

/** Of some rows, each as JSON. */
interface Statement extends Kind {
  readonly text: string
  readonly those: string[]
}

const isOf = (statement: Kind, { deleted, keys, names }: Kind): boolean =>
  statement.deleted === deleted && areSame(statement.keys, keys) && areSame(statement.names, names)

const areSame = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((one, i) => one === others[i])

/** A bigint throws, and is rare: asking for each value whether it is one takes as long as all the rest. */
function jsonOf(fields: Readonly<Record<string, unknown>>): string {
  try {
    return JSON.stringify(fields)
  } catch {
    return JSON.stringify(fields, digits)
  }
}

/** Postgres reads the digits of a number out of text too. */
const digits = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)

function keyOfRow({ id, tenant }: RowName): Readonly<Record<string, string>> {
  const text = typeof id === 'string' ? id : JSON.stringify(id)
  return tenant === undefined ? { id: text } : { tenant, id: text }
}

/** Journals know which epoch was the last, so it must not go back, not even where a database is restored from what it was. */
const NOW_MS = '(extract(epoch from clock_timestamp()) * 1000)::bigint'

/** The tags are bytes, and text of Postgres holds no zero. */
interface StoredPosition {
  readonly written: StoredLine
  readonly seen: StoredLine
}
type StoredLine = readonly [number: number, tag: string]

const stored = ({ written, seen }: Position): string =>
  JSON.stringify({ written: storedLine(written), seen: storedLine(seen) })
const storedLine = ({ number, tag }: Line): StoredLine => [number, Buffer.from(tag, 'latin1').toString('hex')]
const restored = ({ written, seen }: StoredPosition): Position => ({
  written: restoredLine(written),
  seen: restoredLine(seen),
})
const restoredLine = ([number, tag]: StoredLine): Line => ({
  number,
  tag: Buffer.from(tag, 'hex').toString('latin1'),
})
