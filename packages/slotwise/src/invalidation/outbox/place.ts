import { ConfigurationError } from '../../errors.js'
import { shown } from '../../options.js'

/** Where an outbox lies in the database. Every process that uses it says the same. */
export interface OutboxPlace {
  /**
   * The table, with its schema if that is not `public`. Functions and triggers are named after it. Small letters, digits and
   * `_`, at most 40. @defaultValue `'slotwise_outbox'`
   */
  readonly table?: string | undefined
  /** What is notified when there is something new: small letters, digits and `_`. @defaultValue the name of the table */
  readonly channel?: string | undefined
}

/** The same, taken apart and fit to stand in SQL. */
export interface Place {
  /** `schema.table`, as it is told. */
  readonly name: string
  readonly schema: string
  readonly table: string
  readonly channel: string
  /** The name of a thing that belongs to the outbox, or of its table, quoted. */
  readonly quoted: (suffix?: string) => string
}

export function placeOf({ table = 'slotwise_outbox', channel }: OutboxPlace): Place {
  const [, schema = 'public', plain = ''] =
    /^(?:([a-z_][a-z0-9_]{0,39})\.)?([a-z_][a-z0-9_]{0,39})$/.exec(table) ?? []
  if (plain === '') {
    throw new ConfigurationError(
      `table must be 1 to 40 small letters, digits or underscores, with or without a schema before it, got ${shown(table)}`,
    )
  }
  const heard = channel ?? plain
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(heard)) {
    throw new ConfigurationError(
      `channel must be 1 to 63 small letters, digits or underscores, got ${shown(channel)}`,
    )
  }
  const quoted = (suffix = '') => `"${schema}"."${plain}${suffix}"`
  return { name: `${schema}.${plain}`, schema, table: plain, channel: heard, quoted }
}

/** Text as a literal of SQL, whatever `standard_conforming_strings` says. */
export function literal(text: string): string {
  if (text.includes('\0')) throw new ConfigurationError('a text for Postgres must not hold a zero byte')
  const plain = `'${text.replaceAll("'", "''")}'`
  return plain.includes('\\') ? ` E${plain.replaceAll('\\', '\\\\')}` : plain
}
