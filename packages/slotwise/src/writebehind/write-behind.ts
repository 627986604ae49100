import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, ConfigurationError } from '../errors.js'
import type { Id, KeySpace } from '../keys.js'
import { type CallOptions, shown } from '../options.js'
import { refuseEviction } from '../redis/eviction.js'
import type { RedisPort } from '../redis/port.js'
import type { DeadLetter } from './dead-letters.js'
import { Flushing } from './flushing.js'
import type { Answer, Change, Start } from './journal.js'
import { type Layout, Layouts, spaceOf, tokenOf } from './layout.js'
import { type Settings, settingsOf, type WriteBehindOptions } from './options.js'
import { changeOf, Partitions } from './partitions.js'
import { Readiness } from './readiness.js'
import { type Accepted, accepted, type Counted, type Lag, lagOf } from './results.js'
import { nameOf, wantedLetters } from './rows.js'
import { bytesOf, fieldOf, valueOf } from './values.js'

/** Options of {@link WriteBehind.drain}. */
export interface DrainOptions {
  readonly signal?: AbortSignal | undefined
  /** Told now and then how much is left. */
  readonly onProgress?: ((lag: Lag) => void) | undefined
}

/** One for all views. */
interface Life {
  isClosed: boolean
  flushing: Flushing<never> | undefined
  /** As it was when this process looked last, for what it accepts. */
  layout: Layout | undefined
  readiness: Readiness | undefined
}

const POLL_MS = 25

/**
 * Accepts changes of rows in Redis and writes them to a database later, many at a time. **What is accepted is in a journal, in
 * the same step, and is written though every process dies**: ten changes of a row as one, in the end as it is then. With
 * {@link postgresWriter} each row is written as by one process that never stops: nothing twice in effect, nothing of a row over
 * something newer, whoever is killed, paused or asked again at whichever point.
 *
 * Not guaranteed: that what was accepted survives a failover of an asynchronous replica; `durability: { replicas }` makes that
 * rare, and each result says what was reached. Rows do not wait for each other, so a database may show one change and not yet
 * an earlier one of another row. A row that a failover has taken back may be written as it was before.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { WriteBehind } from 'slotwise/writebehind'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * await using views = new WriteBehind<{ views: number }>(redis, {
 *   name: 'views',
 *   writeBatch: async (rows) => console.log(rows),
 * })
 * views.start()
 * await views.increment('post-7', 'views', 1)
 * console.log(await views.read('post-7'))
 * ```
 */
export class WriteBehind<T> implements AsyncDisposable {
  readonly #port: RedisPort
  readonly #options: WriteBehindOptions<T>
  readonly #settings: Settings<T>
  readonly #space: KeySpace
  readonly #partitions: Partitions<T>
  readonly #layouts: Layouts
  #tenant: string | undefined
  #life: Life = {
    isClosed: false,
    flushing: undefined,
    layout: undefined,
    readiness: undefined,
  }

  constructor(port: RedisPort, options: WriteBehindOptions<T>) {
    this.#port = port
    this.#options = options
    this.#settings = settingsOf(options)
    this.#space = spaceOf(port, this.#settings.name)
    this.#partitions = this.#partitionsOf(this.#settings.partitions)
    this.#layouts = new Layouts(port, this.#space)
  }

  /** The same, for the rows of one tenant: a free view. */
  forTenant(tenant: string): WriteBehind<T> {
    const view = new WriteBehind(this.#port, this.#options)
    view.#tenant = tenant
    view.#life = this.#life
    return view
  }

  /**
   * Whether it can work. Awaited by every operation, and looked at again every minute.
   *
   * @throws ConfigurationError there are journals of this name with another number of partitions, that is being changed, or a
   * primary may evict them
   */
  ready(): Promise<void> {
    this.#life.readiness ??= new Readiness(() => this.#check(), this.#settings.report)
    return this.#life.readiness.ready()
  }

  /**
   * The row is this from now on. One round trip; one more where replicas are waited for.
   *
   * @throws OutcomeUnknownError it was sent, and whether it was accepted is not known: sent again, it would undo what came after
   * @throws UncacheableValueError it cannot be JSON; ConfigurationError the id is empty or longer than 512 bytes
   */
  async write(id: Id, value: T, options: CallOptions = {}): Promise<Accepted> {
    const bytes = bytesOf(value)
    return accepted(await this.#accept(id, { kind: 's', bytes }, undefined, options), this.#settings)
  }

  /** The row is gone from now on. As {@link WriteBehind.write}. */
  async delete(id: Id, options: CallOptions = {}): Promise<Accepted> {
    return accepted(await this.#accept(id, { kind: 'd' }, undefined, options), this.#settings)
  }

  /**
   * Adds a whole number to a field of the row, which begins at 0 where there is none. What the row was is asked of `load` where
   * nothing waits of it. With an `idempotencyKey` it is counted once however often it is sent within `idempotencyWindowMs`, and
   * sent again by itself; without, an answer that is lost is an error.
   *
   * @throws OutcomeUnknownError without a key: whether it was counted is not known
   * @throws ConfigurationError the field is no whole number, would go beyond 2^53, or the row has too many counters
   */
  async increment(
    id: Id,
    field: string,
    by: number,
    { idempotencyKey, ...options }: CallOptions & { readonly idempotencyKey?: string | undefined } = {},
  ): Promise<Counted> {
    if (!Number.isSafeInteger(by)) throw new ConfigurationError(`by must be a whole number, got ${shown(by)}`)
    const length = Buffer.byteLength(field)
    if (length === 0 || length > 255) {
      throw new ConfigurationError(`field must be a name of 1 to 255 bytes, got ${shown(field)}`)
    }
    let from: Start | undefined
    for (;;) {
      options.signal?.throwIfAborted()
      const answer = await this.#accept(id, { kind: 'i', field, by, from }, idempotencyKey, options)
      if (answer.state !== 'unknown') {
        const result = accepted(answer, this.#settings)
        return result.accepted
          ? { ...result, value: answer.state === 'accepted' ? (answer.value ?? 0) : 0 }
          : result
      }
      from = await this.#start(id, field, answer, options)
    }
  }

  /** What is accepted, at once; or what `load` tells where nothing waits, `undefined` without. One round trip before that. */
  async read(id: Id, options: CallOptions = {}): Promise<T | undefined> {
    await this.ready()
    const name = nameOf(id, this.#tenant)
    const waiting = await this.#partitions.journalOf(name).look(name, options)
    if (waiting === undefined) return await this.#load(id, options)
    return valueOf(waiting) as T | undefined
  }

  /**
   * Begins to flush in this process, its part of the partitions. Without it a process only accepts and reads. Where the number of
   * partitions is being changed, or is another one than this process was told, it flushes as many as there are. Idempotent.
   */
  start(): void {
    if (this.#life.isClosed) throw new ClosedError('this write-behind has been closed')
    const partitionsOf = (count: number) => this.#partitionsOf(count)
    this.#life.flushing ??= new Flushing<T>(this.#port, this.#space, this.#settings, partitionsOf) as never
  }

  /** What waits. */
  async lag(options: CallOptions = {}): Promise<Lag> {
    return lagOf(await this.#partitions.waiting(options))
  }

  /** Resolves once everything that was accepted before is written, by whichever process flushes; so some process has to. */
  async drain({ signal, onProgress }: DrainOptions = {}): Promise<void> {
    await this.ready()
    const ends = (await this.#partitions.waiting({ signal })).map(({ last }) => last)
    for (;;) {
      const waiting = await this.#partitions.waiting({ signal })
      onProgress?.(lagOf(waiting))
      const left = waiting.some(({ first, last }, i) => first <= last && first <= (ends[i] ?? 0))
      if (!left) return
      this.#life.flushing?.hurry()
      await sleep(POLL_MS, undefined, { signal })
    }
  }

  /** The rows that the database does not take; in a view, those of its tenant. */
  async deadLetters(options: CallOptions = {}): Promise<readonly DeadLetter<T>[]> {
    return (await this.#given(undefined, options)).map(({ letter }) => letter)
  }

  /**
   * Tries dead letters again, as if they were written now: those of the rows given, or all; but none of a row of which
   * something newer waits. A letter is there until its row is written.
   *
   * @returns how many are tried
   */
  async replay(ids?: readonly Id[], options: CallOptions = {}): Promise<number> {
    await this.ready()
    const tried = (await this.#given(ids, options)).map(
      async ({ name, letter }) => await this.#acceptNamed(name, changeOf(letter), undefined, options),
    )
    return (await Promise.all(tried)).filter(({ state }) => state === 'accepted').length
  }

  /** Forgets dead letters: those of the rows given, or all. How many there were. */
  async discard(ids?: readonly Id[], options: CallOptions = {}): Promise<number> {
    return await this.#partitions.discard(await this.#given(ids, options), options)
  }

  /** Hands its partitions over. What waits stays in the journals. The port stays open. Idempotent. */
  async close(): Promise<void> {
    this.#life.isClosed = true
    await this.#life.flushing?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #check(): Promise<void> {
    const { partitions, name, evictionCheck, report } = this.#settings
    if (evictionCheck !== 'off') {
      const looked = refuseEviction(this.#port, 'journals')
      await (evictionCheck === 'warn' ? looked.catch(report) : looked)
    }
    const layout = await this.#layouts.open(partitions)
    this.#life.layout = layout
    if (layout.moving !== undefined) {
      const change = `from ${layout.partitions} to ${layout.moving}`
      throw new ConfigurationError(
        `the partitions of ${name} are being changed ${change}: until then nothing is accepted`,
      )
    }
    if (layout.partitions !== partitions) {
      throw new ConfigurationError(`${name} has ${layout.partitions} partitions, and not ${partitions}`)
    }
  }

  async #accept(id: Id, change: Change, mark: string | undefined, options: CallOptions): Promise<Answer> {
    if (this.#life.isClosed) throw new ClosedError('this write-behind has been closed')
    return await this.#acceptNamed(nameOf(id, this.#tenant), change, mark, options)
  }

  async #acceptNamed(
    name: string,
    change: Change,
    mark: string | undefined,
    options: CallOptions,
  ): Promise<Answer> {
    const { replicas } = this.#settings
    let refused = ''
    for (;;) {
      await this.ready()
      const layout = this.#life.layout === undefined ? '' : tokenOf(this.#life.layout)
      if (layout === refused && refused !== '') {
        throw new ConfigurationError(`${this.#settings.name} has journals of another number of partitions`)
      }
      const journal = this.#partitions.journalOf(name)
      const answer = await journal.accept(name, change, mark, { ...options, replicas, layout })
      if (answer.state !== 'foreign') return answer
      // The number was changed, perhaps there and back, since this process looked.
      refused = layout
      this.#life.readiness = undefined
    }
  }

  /** What a counter was, by what waits or what the database has. */
  async #start(
    id: Id,
    field: string,
    { expected, waiting }: Extract<Answer, { readonly state: 'unknown' }>,
    options: CallOptions,
  ): Promise<Start> {
    const row = (waiting === undefined ? await this.#load(id, options) : valueOf(waiting)) ?? {}
    const before = fieldOf(row, field)
    const number = Number(before ?? 0)
    if (!Number.isSafeInteger(number)) {
      throw new ConfigurationError(`${field} is ${shown(before)}, and cannot be counted further`)
    }
    return { value: number, bytes: bytesOf(row), expected }
  }

  async #load(id: Id, { signal }: CallOptions): Promise<T | undefined> {
    return await this.#settings.load?.(id, {
      ...(this.#tenant === undefined ? {} : { tenant: this.#tenant }),
      signal,
    })
  }

  #partitionsOf(count: number): Partitions<T> {
    const { highWater, maxBytes, idempotencyWindowMs } = this.#settings
    const bounds = { lines: highWater, bytes: maxBytes, markMs: idempotencyWindowMs }
    return new Partitions(this.#port, this.#space, count, bounds)
  }

  /** Letters of the rows given, or of all that may be seen here. */
  async #given(ids: readonly Id[] | undefined, options: CallOptions) {
    return await this.#partitions.letters(wantedLetters(ids, this.#tenant), options)
  }
}
