import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { recordTiming } from '../trace.js'
import type { Schema } from './schema.js'

/** The service's connections to Postgres. */
export interface Database extends AsyncDisposable {
  readonly kysely: Kysely<Schema>
  /** The same connections for what needs one of its own: `COPY`, streams, session locks. */
  readonly pool: pg.Pool
  /** Waits for what is under way. Idempotent. */
  close(): Promise<void>
}

/** Settings of {@link openDatabase}. */
export interface DatabaseOptions {
  /** @defaultValue `10` */
  readonly connections?: number
  /** How long a query waits for a connection, in milliseconds. @defaultValue `2000` */
  readonly connectTimeoutMs?: number
  /** How long a statement may run, in milliseconds; `0` for no bound. @defaultValue `0` */
  readonly statementTimeoutMs?: number
  /** Told when Postgres breaks a connection that nobody was using. */
  readonly onError?: (error: Error) => void
}

/** Connects when first asked. */
export function openDatabase(url: string, options: DatabaseOptions = {}): Database {
  const statementTimeoutMs = options.statementTimeoutMs ?? 0
  const pool = new pg.Pool({
    connectionString: url,
    max: options.connections ?? 10,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 2000,
    ...(statementTimeoutMs === 0
      ? {}
      : // The client's own bound is for a server that hangs and cannot keep its.
        { statement_timeout: statementTimeoutMs, query_timeout: statementTimeoutMs + 1000 }),
    application_name: 'comments',
    // What is changed here is told to the caches here, under an intent; the outbox is for what others change.
    options: '-c slotwise_outbox.quiet=on',
    allowExitOnIdle: true,
  })
  pool.on('error', options.onError ?? (() => {}))
  const kysely = new Kysely<Schema>({
    dialect: new PostgresDialect({ pool }),
    log: (event) => recordTiming('database', event.queryDurationMillis),
  })
  let closing: Promise<void> | undefined
  const close = () => (closing ??= kysely.destroy())
  return { kysely, pool, close, [Symbol.asyncDispose]: close }
}
