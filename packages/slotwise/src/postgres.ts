import { ConfigurationError } from './errors.js'
import { shown } from './options.js'
import { within } from './within.js'

/** What is asked of a pool of connections to Postgres: `Pool` of `pg` is one. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>
  /** Told of every new connection, before anybody is lent it. */
  on?(event: 'connect', listener: (client: Pick<PostgresClient, 'on'>) => void): unknown
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

/** One connection. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
  /** With `true` it is ended rather than kept for others. */
  release(destroy?: boolean): void
  on(event: 'notification' | 'error' | 'end', listener: (told?: unknown) => void): unknown
  removeListener(event: 'notification' | 'error' | 'end', listener: (told?: unknown) => void): unknown
}

const heard = new WeakSet<PostgresPool>()

/**
 * One packet can say that a connection is ready and that it is over: then it fails after the pool has stopped to listen and
 * before whoever it is lent to has begun, and an error that nobody listens to ends the process.
 */
export function hearNew(pool: PostgresPool): void {
  if (heard.has(pool)) return
  heard.add(pool)
  pool.on?.('connect', (client) => client.on('error', () => {}))
}

/** Bounds of {@link transaction}, in milliseconds. */
interface TransactionOptions {
  /** On getting a connection, on each statement, and on the time between two. */
  readonly timeoutMs: number
  /** On each statement, in the place of `timeoutMs`. */
  readonly waitMs?: number
  /** What begins it. @defaultValue `begin` */
  readonly begin?: string
}

/**
 * All of it or nothing. A connection that fails in the middle is ended: nobody else is lent a transaction that was left open.
 * The server ends one whose process is paused, so that it holds no lock for longer.
 */
export async function transaction<R>(
  pool: PostgresPool,
  { timeoutMs, waitMs = timeoutMs, begin = 'begin' }: TransactionOptions,
  signal: AbortSignal,
  act: (client: PostgresClient) => Promise<R>,
): Promise<R> {
  signal.throwIfAborted()
  const client = await within(pool.connect(), timeoutMs, { signal, late: (late) => late.release() })
  const hear = () => {}
  client.on('error', hear)
  let isOver = false
  const end = (isBroken: boolean): void => {
    if (isOver) return
    isOver = true
    // One that is ended may still fail.
    if (!isBroken) client.removeListener('error', hear)
    client.release(isBroken)
  }
  // A server that does not answer would be waited for on and on, with its connection.
  const stop = () => end(true)
  signal.addEventListener('abort', stop, { once: true })
  // While the client was handed over, nobody heard it.
  if (signal.aborted) stop()
  try {
    signal.throwIfAborted()
    await client.query(
      `${begin}; set local idle_in_transaction_session_timeout = ${timeoutMs}; set local statement_timeout = ${waitMs}; set local lock_timeout = ${waitMs}`,
    )
    const result = await act(client)
    signal.throwIfAborted()
    await client.query('commit')
    end(false)
    return result
  } catch (error) {
    if (!signal.aborted) {
      end(
        await client.query('rollback').then(
          () => false,
          () => true,
        ),
      )
    }
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** A name, with its schema perhaps, as it can stand in SQL. */
export function quoted(what: string, name: string): string {
  const parts = name.split('.')
  if (parts.length <= 2 && parts.every((part) => part !== '' && !part.includes('\0'))) {
    return parts.map((part) => `"${part.replaceAll('"', '""')}"`).join('.')
  }
  throw new ConfigurationError(`${what} must be a name of Postgres, got ${shown(name)}`)
}
