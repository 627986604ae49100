import { hearNew, type PostgresClient, type PostgresPool } from '../../postgres.js'
import { within } from '../../within.js'
import type { Place } from './place.js'

/** How a session is held. */
export interface SessionOptions {
  readonly place: Place
  /** After so long without a word from us, Postgres ends the session, and with it the lock. */
  readonly takeoverMs: number
  /** Bound on one statement. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Something may be new. */
  readonly heard: () => void
}

/**
 * The one session that consumes an outbox, by a lock that Postgres takes back when the session ends, however it does. All
 * that the consumer reads and deletes goes through it, so nothing is deleted by who is no longer the consumer.
 */
export class Session {
  readonly #client: PostgresClient
  readonly #options: SessionOptions
  readonly #lost = new AbortController()
  #heartbeat: NodeJS.Timeout | undefined
  /** The statement before: a connection takes one at a time. */
  #before: Promise<unknown> = Promise.resolve()

  /** Resolves with `undefined` while another session consumes. */
  static async open(pool: PostgresPool, options: SessionOptions): Promise<Session | undefined> {
    const { signal, timeoutMs } = options
    const late = (client: PostgresClient) => {
      client.on('error', () => {})
      client.release(true)
    }
    hearNew(pool)
    const client = await within(pool.connect(), timeoutMs, { signal, late })
    const session = new Session(client, options)
    const stop = () => session.end(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    try {
      if (await session.#begin()) return session
    } finally {
      signal.removeEventListener('abort', stop)
    }
    session.#stopListening()
    client.release()
    return undefined
  }

  private constructor(client: PostgresClient, options: SessionOptions) {
    this.#client = client
    this.#options = options
    client.on('error', this.#onEnd)
    client.on('end', this.#onEnd)
    client.on('notification', options.heard)
  }

  /** Aborted when the session, and with it the lock, is gone or may be. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** After those asked for before it. Whatever fails ends the session: who could not read or delete begins anew. */
  async query(text: string, values: unknown[] = []): Promise<readonly unknown[]> {
    const answer = this.#before.then(async () => {
      this.lost.throwIfAborted()
      return await within(this.#client.query(text, values), this.#options.timeoutMs, { signal: this.lost })
    })
    this.#before = answer.catch(() => {})
    try {
      return (await answer).rows
    } catch (error) {
      this.end(error)
      throw error
    }
  }

  /** Ends the connection rather than lending it on: its lock and settings go with it. */
  end(reason: unknown): void {
    if (this.lost.aborted) return
    this.#lost.abort(reason)
    clearInterval(this.#heartbeat)
    // A connection that is being ended can still fail, and an error that nobody hears would end the process.
    this.#client.removeListener('notification', this.#options.heard)
    this.#client.release(true)
  }

  async #begin(): Promise<boolean> {
    const { place, takeoverMs, timeoutMs } = this.#options
    const [lock] = (await this.query('select pg_try_advisory_lock(hashtextextended($1, 0)) as held', [
      `slotwise outbox ${place.name}`,
    ])) as readonly { readonly held: boolean }[]
    if (lock?.held !== true) return false
    // A table that is filled and emptied has statistics of another moment: everything here goes by the primary key.
    await this.query(
      `select set_config('idle_session_timeout', $1, false), set_config('statement_timeout', $2, false),
              set_config('application_name', $3, false), set_config('enable_seqscan', 'off', false),
              set_config('enable_bitmapscan', 'off', false), set_config('enable_sort', 'off', false)`,
      [String(takeoverMs), String(timeoutMs), `slotwise outbox ${place.name}`.slice(0, 63)],
    )
    await this.query(`listen "${place.channel}"`)
    const beat = () => void this.query('select 1').catch(() => {})
    this.#heartbeat = setInterval(beat, Math.ceil(takeoverMs / 3)).unref()
    return true
  }

  readonly #onEnd = (error?: unknown): void => {
    this.end(error instanceof Error ? error : new Error('Postgres has ended the connection'))
  }

  #stopListening(): void {
    this.#client.removeListener('error', this.#onEnd)
    this.#client.removeListener('end', this.#onEnd)
    this.#client.removeListener('notification', this.#options.heard)
  }
}
