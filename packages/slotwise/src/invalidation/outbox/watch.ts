import { ConfigurationError } from '../../errors.js'
import { shown } from '../../options.js'
import { literal, type OutboxPlace, placeOf } from './place.js'

/**
 * What a changed row concerns: an entry of a cache, or tags. In texts, `{column}` stands for what the row has there, as text:
 * of a change both what it had before and what it has now. Where a column is null, the entry or tag is left out.
 */
export type Concerned = {
  /** Of the cache or of the tags, with its version as it stands in keys: `articles`, `articles.v2`. */
  readonly name: string
  /** @defaultValue none */
  readonly tenant?: string | undefined
  /** Columns whose content goes with the event, for handlers. @defaultValue none */
  readonly payload?: readonly string[] | undefined
} & (
  | {
      /** An id, or its parts: `'{id}'`, `['c', '{id}']`. */
      readonly entry: string | readonly string[]
    }
  | {
      /** Such as `author:{author_id}`. A slash in a value makes it a tag below another, as anywhere. */
      readonly tags: readonly string[]
    }
)

/**
 * The statement that has an outbox watch a table from now on, for your migrations; `table` is a name, or a schema and a name, as
 * the catalogue has them. Every `INSERT`, `UPDATE`, `DELETE`, `MERGE` and
 * `COPY` notes what it concerns, in its own transaction, once for all its rows; `TRUNCATE` notes everything of each name.
 * Running it again replaces what is noted. It takes a lock that holds up writers for a moment, and is for the owner of the table who
 * owns the outbox too, or was granted EXECUTE on `…_note`.
 *
 * Not noted: writes to a partition by its own name (watch the partitions then), and what a subscriber of logical replication
 * applies or a session with `session_replication_role = replica` writes; and what a session or transaction writes that has set
 * `slotwise_outbox.quiet` (the name of the outbox, then `.quiet`) to `on`, because it invalidates by itself.
 *
 * @throws ConfigurationError a name is not fit, or nothing is concerned. Postgres refuses columns that there are not.
 */
export function watchSql(table: string, concerned: readonly Concerned[], options: OutboxPlace = {}): string {
  const items = concerned.map((one) => {
    const { name, tenant, payload } = one
    const what =
      'entry' in one ? { entry: typeof one.entry === 'string' ? [one.entry] : one.entry } : { tags: one.tags }
    return { name, tenant, payload, ...what }
  })
  if (items.length === 0) throw new ConfigurationError('a table that is watched must concern something')
  return `select ${placeOf(options).quoted('_watch')}(${named(table)}, ${literal(JSON.stringify(items))}::jsonb);`
}

/** The statement that ends it. */
export function unwatchSql(table: string, options: OutboxPlace = {}): string {
  return `select ${placeOf(options).quoted('_unwatch')}(${named(table)});`
}

function named(table: string): string {
  const parts = table.split('.')
  if (parts.length > 2 || parts.some((part) => part === '')) {
    throw new ConfigurationError(`a table must be a name, or a schema and a name, got ${shown(table)}`)
  }
  return `${literal(parts.map((part) => `"${part.replaceAll('"', '""')}"`).join('.'))}::regclass`
}
