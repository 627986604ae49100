import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, ConfigurationError } from '../../errors.js'
import { type CallOptions, integer } from '../../options.js'
import type { RedisPort } from '../../redis/port.js'
import { type Events, publish } from '../../telemetry.js'
import { within } from '../../within.js'
import { Handing } from './handing.js'
import { type OutboxOptions, type Settings, settingsOf } from './options.js'
import { newer, VERSION, VERSION_OF, versionIn } from './schema.js'
import { Session } from './session.js'
import { Sweeper } from './sweep.js'

/** After a failure: full jitter, so that processes that lost a server together do not come back together. */
const BACKOFF_MS = { min: 50, max: 5000 }
/** A backlog is counted up to here. */
const COUNTED = 1_000_000

/** What waits in an outbox. */
export interface OutboxLag {
  /** Events that are committed and not confirmed, counted up to a million. */
  readonly rows: number
  /** How long ago the oldest of them was written; 0 if there is none. */
  readonly oldestMs: number
  /** Events that were given up, and stay in the table with their `failure`. */
  readonly setAside: number
}

/**
 * Carries what Postgres commits to Redis, as long as it is open; {@link outbox} makes one. Of all that are open for one table,
 * in whichever process, one works; another takes over when it is gone.
 */
export class Outbox {
  readonly #settings: Settings
  readonly #port: RedisPort
  readonly #handing: Handing | undefined
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #ring: () => void = () => {}
  #isRung = false
  #isConsumer = false

  /** @internal */
  constructor(port: RedisPort, options: OutboxOptions) {
    const settings = settingsOf(options)
    const { handler } = settings
    this.#port = port
    this.#settings = settings
    this.#handing = handler && new Handing(settings, handler, this.#heard)
    const { signal } = options
    if (signal?.aborted === true) this.#closing.abort()
    signal?.addEventListener('abort', () => void this.close(), { once: true, signal: this.#closing.signal })
    this.#running = this.#run()
  }

  /** Whether this process is the one that works, as far as it knows. */
  get isConsumer(): boolean {
    return this.#isConsumer
  }

  /** What waits, and for how long: the same in every process. One statement; it rejects with what the pool does. */
  async lag(options: CallOptions = {}): Promise<OutboxLag> {
    const { pool, place, timeoutMs } = this.#settings
    if (this.#closing.signal.aborted) throw new ClosedError('the outbox is closed')
    const ms = integer('deadlineMs', options.deadlineMs ?? timeoutMs, { max: 2 ** 31 - 1 })
    const answer = pool.query(
      `select (select count(*) from (select from ${place.quoted()} where failed_at is null limit ${COUNTED}) as counted)::int as rows,
              (select coalesce(extract(epoch from clock_timestamp() - min(at)) * 1000, 0)
                 from ${place.quoted()} where failed_at is null)::float8 as oldest,
              (select count(*) from ${place.quoted()} where failed_at is not null)::int as aside`,
    )
    const { rows } = await within(answer, ms, { signal: options.signal })
    const [row] = rows as readonly {
      readonly rows: number
      readonly oldest: number
      readonly aside: number
    }[]
    return { rows: row?.rows ?? 0, oldestMs: Math.max(0, row?.oldest ?? 0), setAside: row?.aside ?? 0 }
  }

  /**
   * Ends its work and its connection, so that another process takes over. What was not confirmed stays in the table. The pool
   * and the port stay open. Idempotent.
   */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError('the outbox is closed'))
    this.#ring()
    await this.#running
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    const { place, takeoverMs, timeoutMs, pool, pollMs, report } = this.#settings
    let backoffMs = BACKOFF_MS.min
    while (!this.#isClosed()) {
      let session: Session | undefined
      let pauseMs = pollMs * (0.5 + Math.random() / 2)
      try {
        session = await Session.open(pool, { place, takeoverMs, timeoutMs, signal, heard: this.#heard })
        if (session !== undefined) {
          await this.#check(session)
          backoffMs = BACKOFF_MS.min
          this.#isConsumer = true
          this.#publish('elected')
          const either = AbortSignal.any([signal, session.lost])
          // Every call of a batch listens to it.
          setMaxListeners(0, either)
          await this.#consume(session, either)
        }
      } catch (error) {
        pauseMs = backoffMs * Math.random()
        backoffMs = Math.min(BACKOFF_MS.max, backoffMs * 2)
        if (!this.#isClosed()) {
          report(error, 'postgres')
          this.#publish('interrupted', error)
        }
      } finally {
        session?.end(signal.reason)
        this.#isConsumer = false
      }
      await sleep(pauseMs, undefined, { ref: false, signal }).catch(() => {})
    }
  }

  // Asked anew after each wait, which a property that was read once would not be.
  #isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  async #check(session: Session): Promise<void> {
    const { name, quoted } = this.#settings.place
    const version = versionIn(await session.query(VERSION_OF, [quoted()]))
    if (version > VERSION) throw newer(name, version)
    if (version < VERSION) {
      throw new ConfigurationError(
        `there is no outbox ${name} of version ${VERSION}: run what outboxSql() returns, or installOutbox()`,
      )
    }
  }

  /** Ends only by throwing: what Postgres said, or why it is to end. */
  async #consume(session: Session, signal: AbortSignal): Promise<never> {
    const sweeper = new Sweeper(this.#port, this.#settings, this.#handing)
    let backoffMs = BACKOFF_MS.min
    for (;;) {
      this.#isRung = false
      const from = performance.now()
      const isDone = await sweeper.sweep(session, signal)
      signal.throwIfAborted()
      // While something waits for Redis, what is new is still carried, at half of the pace at most that Postgres could.
      const restMs = Math.max(BACKOFF_MS.min, performance.now() - from)
      if (!isDone) await sleep(restMs, undefined, { ref: false, signal })
      await this.#wait(isDone ? this.#settings.pollMs : backoffMs * Math.random(), signal)
      backoffMs = isDone ? BACKOFF_MS.min : Math.min(BACKOFF_MS.max, backoffMs * 2)
    }
  }

  readonly #heard = (): void => {
    this.#isRung = true
    this.#ring()
  }

  /** Until there is something new, or it is time to look whether there is. */
  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#isRung) return
    await new Promise<void>((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', settle)
        this.#ring = () => {}
        if (signal.aborted) reject(signal.reason)
        else resolve()
      }
      const timer = setTimeout(settle, ms).unref()
      signal.addEventListener('abort', settle, { once: true })
      this.#ring = settle
      if (signal.aborted) settle()
    })
  }

  #publish(kind: Events['slotwise:outbox']['kind'], error?: unknown): void {
    publish('slotwise:outbox', () => ({
      name: this.#settings.place.name,
      kind,
      events: 0,
      durationMs: 0,
      delayMs: undefined,
      reason: error instanceof Error ? error.message : undefined,
    }))
  }
}

/**
 * Carries what Postgres commits to Redis: whoever changes a watched table, in any language, by plain SQL, invalidates. Begins at
 * once and goes on until it is closed, whatever goes away and comes back meanwhile. Make the table and say what is watched
 * by {@link outboxSql} or {@link installOutbox}, and {@link watchSql}.
 *
 * Guaranteed: every committed change is told to Redis (and to `handler`) **at least once**, a transaction that rolls back tells
 * nothing, and events of one key come in the order of their commits. Not guaranteed: that it has happened when the writer's
 * commit returns, which `invalidate` and `mutate` of the cache promise and this follows by milliseconds; and that a
 * handler which goes on after its signal is not overtaken by the one of the next process: compare `id`.
 *
 * @throws ConfigurationError an option is wrong. Nothing else: what fails later goes to `onError` and is tried again.
 *
 * @example
 * ```ts
 * import { Pool } from 'pg'
 * import { installOutbox, outbox, watchSql } from 'slotwise/invalidation'
 * import { connect } from 'slotwise/ioredis'
 *
 * const pool = new Pool()
 * await installOutbox(pool)
 * await pool.query(watchSql('articles', [{ name: 'articles', entry: '{id}' }]))
 * await using carrying = outbox({ pool, onError: console.error }, await connect('redis://127.0.0.1:7000'))
 * console.log(await carrying.lag())
 * ```
 */
export function outbox(options: OutboxOptions, port: RedisPort): Outbox {
  return new Outbox(port, options)
}
