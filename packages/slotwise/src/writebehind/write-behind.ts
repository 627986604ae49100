import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, ConfigurationError } from '../errors.js'
import type { Id, KeySpace } from '../keys.js'
import { type CallOptions, shown } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { restOf } from '../redis/readiness.js'
import type { Events } from '../telemetry.js'
import { Accepting } from './accepting.js'
import type { DeadLetter } from './dead-letters.js'
import { Flushing } from './flushing.js'
import { GivenUp } from './given-up.js'
import { type Answer, type Change, lookAll, type Start } from './journal.js'
import { KnownLayout } from './known-layout.js'
import { spaceOf } from './layout.js'
import { boundsOf, type LoadContext, type Settings, settingsOf, type WriteBehindOptions } from './options.js'
import { forMany, Partitions } from './partitions.js'
import { type Accepted, accepted, type Counted, type Lag, lagOf } from './results.js'
import { markOf, nameOf, wantedLetters } from './rows.js'
import { statsOf, type WriteBehindStats } from './stats.js'
import { told } from './told.js'
import { fieldOf, textOf, valueOf } from './values.js'

/** Options of {@link WriteBehind.drain}. */
export interface DrainOptions {
  readonly signal?: AbortSignal | undefined
  /** Told now and then how much is left. */
  readonly onProgress?: ((lag: Lag) => void) | undefined
}

/** Options of {@link WriteBehind.readMany}. */
export interface ReadManyOptions<T> extends CallOptions {
  /** What the database has of rows, in the order of the ids. @defaultValue the `load` of the options, once for each */
  readonly load?:
    | ((ids: readonly Id[], context: LoadContext) => Promise<readonly (T | undefined)[]>)
    | undefined
}

/** One for all views. */
interface Life<T> {
  isClosed: boolean
  flushing: Flushing<T> | undefined
  known: KnownLayout | undefined
  accepting: Accepting<T> | undefined
}

const POLL_MS = 25

/**
 * Accepts changes of rows in Redis and writes them to a database later, many at a time. **What is accepted is in a journal, in
 * the same step, and is written though every process dies**: ten changes of a row as one, in the end as it is then. With
 * {@link postgresWriter} each row is written as by one process that never stops: nothing twice in effect, nothing of a row over
 * something newer, whoever is killed, paused or asked again at whichever point.
 *
 * Not guaranteed: that what was accepted survives a failover of an asynchronous replica; `durability: { replicas }` makes that
 * rare, `'fsync'` is for a primary that comes back itself, and each result says what was reached. Rows do not wait for each other, so a database may show one change and not yet
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
  #tenant: string | undefined
  #life: Life<T> = {
    isClosed: false,
    flushing: undefined,
    known: undefined,
    accepting: undefined,
  }

  constructor(port: RedisPort, options: WriteBehindOptions<T>) {
    this.#port = port
    this.#options = options
    this.#settings = settingsOf(options)
    this.#space = spaceOf(port, this.#settings.name)
    this.#partitions = this.#partitionsOf(this.#settings.partitions)
  }

  /**
   * The same, for the rows of one tenant: a free view.
   *
   * @throws ConfigurationError it is no text: without a tenant, rows are those of nobody, and of everybody who forgot one
   */
  forTenant(tenant: string): WriteBehind<T> {
    if (typeof (tenant as unknown) !== 'string') {
      throw new ConfigurationError(`a tenant must be text, got ${shown(tenant)}`)
    }
    const view = new WriteBehind(this.#port, this.#options)
    view.#tenant = tenant
    view.#life = this.#life
    return view
  }

  /**
   * Whether it can work. Awaited by every operation, and looked at again every minute. While the number of partitions is being changed
   * it cannot, but for reads, where this process was told the number that there is until then.
   *
   * @throws ConfigurationError there are journals of this name with another number of partitions, or that is being changed; or a primary
   * may evict them, or cannot say of a change that it is on its disk where `durability` asks for that
   */
  ready(): Promise<void> {
    return this.#known.ready()
  }

  /**
   * The row is this from now on. One round trip; where replicas or the disk are waited for, on a connection of its own.
   * Under `onFull: 'write-through'` it may take up to its deadline (`commandTimeoutMs` of the port, unless told).
   *
   * @throws OutcomeUnknownError it was sent, and whether it was accepted is not known: sent again, it would undo what came after
   * @throws UncacheableValueError it cannot be JSON; ConfigurationError the id is empty or longer than 512 bytes
   */
  async write(id: Id, value: T, options: CallOptions = {}): Promise<Accepted> {
    return await this.#told('write', options, async () => {
      const bytes = textOf(value)
      return accepted(await this.#accept(id, { kind: 's', bytes }, undefined, options), this.#settings)
    })
  }

  /** The row is gone from now on. As {@link WriteBehind.write}. */
  async delete(id: Id, options: CallOptions = {}): Promise<Accepted> {
    return await this.#told('delete', options, async () =>
      accepted(await this.#accept(id, { kind: 'd' }, undefined, options), this.#settings),
    )
  }

  /**
   * Adds a whole number to a field of the row, which begins at 0 where there is none. What the row was is asked of `load` where
   * nothing waits of it. With an `idempotencyKey` it is counted once however often it is sent within `idempotencyWindowMs`, and
   * sent again by itself; without, an answer that is lost is an error. A key is one for this field of this row (and tenant): elsewhere
   * the same one is another.
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
    return await this.#told('increment', options, () => this.#count(id, field, by, idempotencyKey, options))
  }

  async #count(
    id: Id,
    field: string,
    by: number,
    idempotencyKey: string | undefined,
    options: CallOptions,
  ): Promise<Counted> {
    if (!Number.isSafeInteger(by)) throw new ConfigurationError(`by must be a whole number, got ${shown(by)}`)
    const length = Buffer.byteLength(field)
    if (length === 0 || length > 255) {
      throw new ConfigurationError(`field must be a name of 1 to 255 bytes, got ${shown(field)}`)
    }
    const mark =
      idempotencyKey === undefined ? undefined : markOf(nameOf(id, this.#tenant), field, idempotencyKey)
    let from: Start | undefined
    const startedAt = performance.now()
    for (;;) {
      options.signal?.throwIfAborted()
      const rest = restOf(options, performance.now() - startedAt)
      const answer = await this.#accept(id, { kind: 'i', field, by, from }, mark, rest)
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
    const from = performance.now()
    await this.#known.readable(options)
    const name = nameOf(id, this.#tenant)
    const rest = restOf(options, performance.now() - from)
    const looked = await this.#partitions.journalOf(name).look(name, rest)
    await this.#known.confirm([looked], rest)
    const { waiting } = looked
    if (waiting === undefined) return await this.#load(id, options)
    return valueOf(waiting) as T | undefined
  }

  /**
   * {@link WriteBehind.read} of many rows, in their order: one round trip a node, then one call of the `load` that is given here,
   * with all of which nothing waits, if there are any. It is asked after Redis has answered, so what it reads from the database has
   * everything that waits no more.
   */
  async readMany(
    ids: readonly Id[],
    { load, ...options }: ReadManyOptions<T> = {},
  ): Promise<readonly (T | undefined)[]> {
    const from = performance.now()
    await this.#known.readable(options)
    const names = ids.map((id) => nameOf(id, this.#tenant))
    const calls = names.map((name) => this.#partitions.journalOf(name).lookCall(name))
    const rest = restOf(options, performance.now() - from)
    const looked = await lookAll(this.#port, calls, rest)
    await this.#known.confirm(looked, rest)
    const waiting = looked.map((one) => one.waiting)
    const others = ids.filter((_, i) => waiting[i] === undefined)
    const all = load ?? ((some: readonly Id[]) => Promise.all(some.map((id) => this.#load(id, options))))
    const loaded = others.length === 0 ? [] : await all(others, this.#loading(options))
    let next = 0
    return waiting.map((state) => (state === undefined ? loaded[next++] : (valueOf(state) as T | undefined)))
  }

  /**
   * Begins to flush in this process, its part of the partitions. Without it a process only accepts and reads. Where the number of
   * partitions is being changed, or is another one than this process was told, it flushes as many as there are. Idempotent.
   */
  start(): void {
    if (this.#life.isClosed) throw new ClosedError('this write-behind has been closed')
    this.#life.flushing ??= new Flushing<T>(this.#port, this.#space, this.#settings, (count) =>
      this.#partitionsOf(count),
    )
  }

  /** What waits. */
  async lag(options: CallOptions = {}): Promise<Lag> {
    return lagOf(await this.#partitions.waiting(options))
  }

  /** What this process knows of the partitions that it flushes, without asking anybody: for gauges. */
  stats(): WriteBehindStats {
    return statsOf(this.#life.flushing?.flushers ?? [])
  }

  /** Resolves once everything that was accepted before is written, by whichever process flushes; so some process has to. */
  async drain({ signal, onProgress }: DrainOptions = {}): Promise<void> {
    await this.#known.readable({ signal })
    const ends = (await this.#partitions.waiting({ signal })).map(({ last }) => last)
    for (;;) {
      const waiting = await this.#partitions.waiting({ signal })
      onProgress?.(lagOf(waiting))
      const left = waiting.some(({ first, last }, i) => first <= last && first <= (ends[i] ?? 0))
      if (!left) return
      for (const flusher of this.#life.flushing?.flushers ?? []) flusher.hurry()
      await sleep(POLL_MS, undefined, { signal })
    }
  }

  /** The rows that the database does not take; in a view, those of its tenant. */
  async deadLetters(options: CallOptions = {}): Promise<readonly DeadLetter<T>[]> {
    await this.#known.readable(options)
    return await this.#letters().list(options)
  }

  /**
   * Tries dead letters again, as if they were written now: those of the rows given, or all; but none of a row of which
   * something newer waits. From then on it waits as any change, and is a letter again if the database still does not take it.
   *
   * @returns how many are tried
   */
  async replay(ids?: readonly Id[], options: CallOptions = {}): Promise<number> {
    await this.#known.ready(options)
    const each = forMany(options)
    return await this.#letters(ids).replay(
      (name, change) => this.#accepting.journal(name, change, undefined, each),
      options,
    )
  }

  /** Forgets dead letters, as they are now: those of the rows given, or all. How many; one that comes meanwhile stays. */
  async discard(ids?: readonly Id[], options: CallOptions = {}): Promise<number> {
    await this.#known.readable(options)
    return await this.#letters(ids).discard(options)
  }

  /** Hands its partitions over. What waits stays in the journals. The port stays open. Idempotent. */
  async close(): Promise<void> {
    this.#life.isClosed = true
    await this.#life.flushing?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #known(): KnownLayout {
    this.#life.known ??= new KnownLayout(this.#port, this.#settings, () => this.#accepting.room.look())
    return this.#life.known
  }

  get #accepting(): Accepting<T> {
    this.#life.accepting ??= new Accepting<T>(this.#port, {
      ...this.#settings,
      partitions: this.#partitions,
      known: this.#known,
      hurry: (partition) => this.#life.flushing?.hurry(partition),
    })
    return this.#life.accepting
  }

  #told<R extends Accepted | Counted>(
    kind: Events['slotwise:writebehind']['kind'],
    { signal }: CallOptions,
    act: () => Promise<R>,
  ): Promise<R> {
    return told({ name: this.#settings.name, kind, signal }, act)
  }

  async #accept(id: Id, change: Change, mark: string | undefined, options: CallOptions) {
    if (this.#life.isClosed) throw new ClosedError('this write-behind has been closed')
    return this.#accepting.accept(nameOf(id, this.#tenant), change, mark, options)
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
    return { value: number, bytes: textOf(row), expected }
  }

  async #load(id: Id, options: CallOptions): Promise<T | undefined> {
    return await this.#settings.load?.(id, this.#loading(options))
  }

  #loading({ signal }: CallOptions): LoadContext {
    return { ...(this.#tenant === undefined ? {} : { tenant: this.#tenant }), signal }
  }

  #partitionsOf(count: number): Partitions<T> {
    return new Partitions(this.#port, this.#space, count, boundsOf(this.#settings))
  }

  /** Letters of the rows given, or of all that may be seen here. */
  #letters(ids?: readonly Id[]): GivenUp<T> {
    return new GivenUp(this.#settings.name, this.#partitions, wantedLetters(ids, this.#tenant))
  }
}
