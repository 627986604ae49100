import { ClosedError } from '../errors.js'
import { type Id, type Key, keyOf } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import { signalOf, unlessAborted } from './abort.js'
import { Budget } from './budget.js'
import type { Load } from './course.js'
import type { How } from './flight.js'
import type { Instance } from './instance.js'
import { invalidateKeys } from './invalidate.js'
import { look, readThrough } from './read-through.js'
import { type Write, writeThrough } from './write-through.js'

/** Options of one read. */
export interface LoadOptions extends CallOptions {
  /** How long what is loaded now may be served. @defaultValue the cache's own `ttlMs` */
  readonly ttlMs?: number | undefined
  /** Ends this caller's waiting. The load goes on for the others, and is aborted when nobody is left. */
  readonly signal?: AbortSignal | undefined
  /** Ends it after so many milliseconds, the loader's time included, with a `TimeoutError` as `AbortSignal.timeout` does. */
  readonly deadlineMs?: number | undefined
}

/** Options of one write. */
export interface WriteOptions {
  /** How long what is written now may be served. @defaultValue the cache's own `ttlMs` */
  readonly ttlMs?: number | undefined
  /**
   * How long Redis may take to answer after the write, in milliseconds, before the invalidation counts as pending.
   *
   * @defaultValue what the port allows for a call
   */
  readonly deadlineMs?: number | undefined
}

/** A value, and where it came from. */
export interface CacheAnswer<T> {
  readonly value: T
  /** Whether Redis had it, or a loader had to be called. */
  readonly source: 'redis' | 'loader'
  /**
   * `hit`: read from Redis at once. `load`: loaded by this call. `wait`: taken from a load that another caller or
   * another process was running. `bypass`: loaded without Redis, which did not answer in time.
   */
  readonly how: How
  /** The whole call, in milliseconds. */
  readonly durationMs: number
}

/** What {@link CacheView.read} finds. */
export type CacheRead<T> =
  | { readonly found: true; readonly value: T; readonly source: 'redis' }
  | { readonly found: false }

/** A cache as one tenant sees it, or as all of it for a cache without tenants. */
export class CacheView<T> {
  readonly #instance: Instance
  readonly #tenant: string | undefined

  /** @internal */
  constructor(instance: Instance, tenant?: string) {
    this.#instance = instance
    this.#tenant = tenant
  }

  /**
   * The entry, or what `load` returns, which is then stored.
   *
   * Callers of this process share one load, and of the whole cluster at most one at a time may store. A value
   * that was being loaded when its entry was invalidated reaches those who had asked before, and is not stored.
   * Redis slow or away: the loader is called after `budgetMs`, and the call never fails because of Redis. Each
   * caller gets a value of its own, as JSON gives it back.
   *
   * @throws whatever `load` throws; {@link UncacheableValueError} if it returns what JSON cannot hold.
   */
  async getOrLoad(id: Id, load: Load<T>): Promise<T>
  async getOrLoad(id: Id, options: LoadOptions, load: Load<T>): Promise<T>
  async getOrLoad(id: Id, ...rest: readonly [Load<T>] | readonly [LoadOptions, Load<T>]): Promise<T> {
    const { value } =
      rest.length === 1 ? await this.fetch(id, rest[0]) : await this.fetch(id, rest[0], rest[1])
    return value
  }

  /**
   * {@link getOrLoad} that also tells where the value came from and how long it took.
   *
   * @example
   * ```ts
   * import type { Cache } from 'slotwise/cache'
   *
   * export async function show(cache: Cache<{ text: string }>, headers: Headers): Promise<string> {
   *   const { value, how, durationMs } = await cache.fetch('42', async () => ({ text: 'from the database' }))
   *   headers.set('Server-Timing', `cache;desc="${how}";dur=${durationMs.toFixed(1)}`)
   *   return value.text
   * }
   * ```
   */
  async fetch(id: Id, load: Load<T>): Promise<CacheAnswer<T>>
  async fetch(id: Id, options: LoadOptions, load: Load<T>): Promise<CacheAnswer<T>>
  async fetch(
    id: Id,
    ...rest: readonly [Load<T>] | readonly [LoadOptions, Load<T>]
  ): Promise<CacheAnswer<T>> {
    const [options, load] = rest.length === 1 ? [{}, rest[0]] : rest
    const from = performance.now()
    const key = this.#key(id)
    const ttlMs = this.#ttlMs(options.ttlMs)
    const found = await readThrough<T>(this.#instance, key, { load, ttlMs, signal: signalOf(options) })
    this.#instance.emit(found.how, key, from)
    return { ...found, durationMs: performance.now() - from }
  }

  /**
   * The entry as it lies in Redis, without loading. Not found as well: what cannot be read, and everything while
   * Redis does not answer within `budgetMs`, or `deadlineMs` where that is less.
   */
  async read(id: Id, { signal, deadlineMs = Infinity }: CallOptions = {}): Promise<CacheRead<T>> {
    const key = this.#key(id)
    signal?.throwIfAborted()
    const budget = new Budget(Math.min(this.#instance.settings.budgetMs, deadlineMs))
    const seen = await unlessAborted(look<T>(this.#instance, key, budget), signal)
    if (seen.state === 'found') {
      this.#instance.count('hits')
      return { found: true, value: seen.value, source: 'redis' }
    }
    if (seen.state !== 'unreachable') this.#instance.count('misses')
    return { found: false }
  }

  /**
   * Announces the write to Redis, runs `write`, then stores what it returned. Two round trips besides the write.
   *
   * **Once it has resolved, no read that starts later gets an older value from Redis.** Nothing is stored, and
   * the entry is left empty, if another write or an invalidation of the same entry overlapped, because the order
   * of the commits is not known here; and if `write` took longer than `leaseMs`. Up to then the intent also
   * covers a process that dies after its commit: nobody stores an older value, and the intent ends by itself.
   *
   * Redis away does not stop the write.
   *
   * @throws whatever `write` throws, with the entry emptied, for it may have been committed all the same;
   *   {@link InvalidationPendingError} if the write is done and Redis could not be told: what was written is in
   *   its `written`.
   */
  async writeThrough(id: Id, write: Write<T>): Promise<T>
  async writeThrough(id: Id, options: WriteOptions, write: Write<T>): Promise<T>
  async writeThrough(id: Id, ...rest: readonly [Write<T>] | readonly [WriteOptions, Write<T>]): Promise<T> {
    const [options, write] = rest.length === 1 ? [{}, rest[0]] : rest
    const key = this.#key(id)
    const deadlineMs =
      options.deadlineMs === undefined ? undefined : integer('deadlineMs', options.deadlineMs)
    return writeThrough(this.#instance, key, { ttlMs: this.#ttlMs(options.ttlMs), deadlineMs }, write)
  }

  /**
   * Removes one entry, and takes from every load of it under way, in any process, the right to store. Call it
   * after the change is committed. **Once it has resolved, no read that starts later gets an older value from
   * Redis**, but for what docs/patterns/cache.md names.
   *
   * @throws {@link InvalidationPendingError} if Redis does not answer. It goes on being tried in the background
   *   until it succeeds or the cache is closed, and until then this process does not read the entry from Redis.
   */
  async invalidate(id: Id, options: CallOptions = {}): Promise<void> {
    await invalidateKeys(this.#instance, [this.#key(id)], options)
  }

  /** {@link invalidate} for many entries: one round trip a node, in parallel, wherever their slots are. */
  async invalidateMany(ids: readonly Id[], options: CallOptions = {}): Promise<void> {
    const keys = ids.map((id) => this.#key(id))
    await invalidateKeys(this.#instance, [...new Set(keys)], options)
  }

  #key(id: Id): Key {
    if (this.#instance.closed) throw new ClosedError('the cache is closed')
    const { namespace } = this.#instance.port
    return keyOf(
      { namespace, pattern: 'cache', name: this.#instance.settings.name, tenant: this.#tenant },
      id,
    )
  }

  #ttlMs(asked: number | undefined): number {
    return asked === undefined ? this.#instance.settings.ttlMs : integer('ttlMs', asked)
  }
}
