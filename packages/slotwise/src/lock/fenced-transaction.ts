import { ConfigurationError, OutcomeUnknownError, StaleTokenError } from '../errors.js'
import { integer } from '../options.js'
import { hearNew, type PostgresClient, type PostgresPool, quoted, transaction } from '../postgres.js'
import type { Lock } from './lock.js'

/** Settings of {@link fencedTransaction}. */
export interface FencedTransactionOptions {
  /** Where the tokens are, with its schema where that is not found by itself. @defaultValue `slotwise_fences` */
  readonly table?: string | undefined
  /**
   * Bound on each statement, and on the time between two, by the server, in milliseconds: whoever is paused in the middle holds up a
   * newer holder for so long, twice where it was paused in the middle of a statement. @defaultValue `5000`
   */
  readonly timeoutMs?: number | undefined
}

/** A connection in the middle of a transaction. */
export type TransactionClient = Pick<PostgresClient, 'query'>

const TABLE = 'slotwise_fences'
/** Under a stricter level the newer holder would not see what the one before has committed while it waited for the row. */
const BEGIN = 'begin isolation level read committed'

/**
 * The table that holds the largest token of each lock, for your migrations. Running it again is harmless. Its rows may be removed
 * when no holder from before can be left: a token is the microseconds since 1970 of when it was given, or a little more.
 *
 * @example
 * ```ts
 * import { fencesSql } from 'slotwise/lock'
 *
 * console.log(fencesSql())
 * ```
 */
export function fencesSql({ table = TABLE }: { readonly table?: string | undefined } = {}): string {
  return `create table if not exists ${quoted('table', table)} (
  resource text primary key,
  token bigint not null
);`
}

/**
 * Runs a transaction of Postgres that only the newest holder of the lock can commit. It notes the token first, and keeps that row
 * until its end: **once the database has seen a newer token, no older holder commits any more**. Until then an older one that is in
 * the middle delays the newer one, and no longer than the server lets it: one that is paused is ended after `timeoutMs`.
 * The lock must be held at the COMMIT too; when it is lost before, the connection is ended, and nothing is written.
 *
 * Statements of `fn` must go by the `client` that it is given, and must not end the transaction. It is one of the level `read
 * committed`, and takes three round trips more than without a fence.
 * Re-entrant holders and several transactions of one holder have the same token, which is let in.
 *
 * @throws StaleTokenError a newer holder was there; nothing was written
 * @throws LockLostError the lock was over before the COMMIT; nothing was written
 * @throws OutcomeUnknownError the connection broke during the COMMIT: whether it was written, only the database can tell
 * @throws ConfigurationError the table of {@link fencesSql} is missing
 *
 * @example
 * ```ts
 * import pg from 'pg'
 * import { connect } from 'slotwise/ioredis'
 * import { fencedTransaction, Locks } from 'slotwise/lock'
 *
 * const pool = new pg.Pool({ connectionString: 'postgres://localhost/shop' })
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const locks = new Locks(redis, { name: 'accounts', maxTtlMs: 10_000 })
 * await locks.using(['account', 1], { ttlMs: 10_000 }, (lock) =>
 *   fencedTransaction(pool, lock, async (client) => {
 *     await client.query('update accounts set balance = balance - 10 where id = $1', [1])
 *   }),
 * )
 * ```
 */
export async function fencedTransaction<R>(
  pool: PostgresPool,
  lock: Pick<Lock, 'key' | 'token' | 'signal' | 'assertHeld'>,
  fn: (client: TransactionClient, context: { readonly signal: AbortSignal }) => Promise<R>,
  options: FencedTransactionOptions = {},
): Promise<R> {
  const table = quoted('table', options.table ?? TABLE)
  const timeoutMs = integer('timeoutMs', options.timeoutMs ?? 5000, { max: 2 ** 29 })
  const { signal } = lock
  hearNew(pool)
  lock.assertHeld()
  const state = { isCommitting: false }
  const act = async (client: PostgresClient): Promise<R> => {
    await fence(client, table, lock)
    await client.query(`set local statement_timeout = ${timeoutMs}`)
    const result = await fn(client, { signal })
    // Refused where a statement has failed, after which a COMMIT answers as if all was well, and where `fn` has ended it by itself.
    await client.query('savepoint slotwise')
    lock.assertHeld()
    state.isCommitting = true
    return result
  }
  try {
    // Whoever is before us may be in the middle of a statement, and then stand still.
    return await transaction(pool, { timeoutMs, waitMs: 3 * timeoutMs, begin: BEGIN }, signal, act)
  } catch (error) {
    // Lost before it was sent.
    if (state.isCommitting && error !== signal.reason && !hasRefused(error)) {
      throw new OutcomeUnknownError('a COMMIT was not answered', { node: 'postgres', cause: error })
    }
    // An ended connection is how a lost lock shows.
    if (!state.isCommitting) lock.assertHeld()
    throw error
  }
}

/** Takes the row of the token until the end of the transaction. */
async function fence(
  client: TransactionClient,
  table: string,
  { key, token }: Pick<Lock, 'key' | 'token'>,
): Promise<void> {
  try {
    const { rows } = await client.query(
      `insert into ${table} as it (resource, token) values ($1, $2)
       on conflict (resource) do update set token = excluded.token where it.token <= excluded.token
       returning 1`,
      [key, token.toString()],
    )
    if (rows.length > 0) return
  } catch (error) {
    if (codeOf(error) !== '42P01') throw error
    throw new ConfigurationError(`there is no table ${table}: run fencesSql() in your migrations`, {
      cause: error,
    })
  }
  const { rows } = await client.query(`select token::text from ${table} where resource = $1`, [key])
  const [seen] = rows as readonly { readonly token: string }[]
  throw new StaleTokenError(key, token, BigInt(seen?.token ?? token))
}

/** Whether the server has said that it did not commit: its own end, or that of a connection, says nothing. */
const hasRefused = (error: unknown): boolean => /^(?!08|57)[0-9A-Z]{5}$/.test(codeOf(error))

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
