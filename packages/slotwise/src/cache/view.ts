import { ClosedError, ConfigurationError } from '../errors.js'
import { type Id, type Key, keyOf, keysOf } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import { signalOf, unlessAborted } from './abort.js'
import { Batch, type LoadMany } from './batch.js'
import { Budget } from './budget.js'
import type { Load } from './course.js'
import { everyKey } from './everything.js'
import type { Instance } from './instance.js'
import { type InvalidateOptions, invalidateKeys } from './invalidate.js'
import { look, lookMany } from './look.js'
import { type Mutation, mutateKeys } from './mutate.js'
import { putAll, type ReadToken } from './put.js'
import { readWithToken } from './read.js'
import { type Found, readThrough, type Wish } from './read-through.js'
import type {
  CacheAnswer,
  CacheRead,
  LoadOptions,
  MutateOptions,
  SetOptions,
  Warmed,
  WarmOptions,
  Write,
  WriteOptions,
} from './view-options.js'

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
   * Redis slow or away: the loader is called after the budget, and the call never fails because of Redis. Each
   * caller gets a value of its own, as the serializer gives it back.
   *
   * A stale value (older than `ttlMs`, not yet than `ttlMs + staleMs`) is served at once, or after `softTimeoutMs`, while
   * one process loads the next; `load` may then run after this call has returned.
   *
   * @throws whatever `load` throws, unless there is a stale value; {@link UncacheableValueError} if it returns what the
   *   serializer cannot hold or the schema does not allow; {@link LoadTimeoutError} after `hardTimeoutMs`;
   *   {@link OriginBusyError} if the origin has no room for one more load.
   */
  async getOrLoad(id: Id, load: Load<T>): Promise<T>
  async getOrLoad(id: Id, options: LoadOptions, load: Load<T>): Promise<T>
  async getOrLoad(id: Id, ...rest: readonly [Load<T>] | readonly [LoadOptions, Load<T>]): Promise<T> {
    const from = performance.now()
    const key = this.#key(id)
    const found = await readThrough<T>(this.#instance, key, this.#wishOf(rest))
    this.#instance.emit(found.how, key, from)
    return found.value
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
    const from = performance.now()
    const key = this.#key(id)
    return this.#answer(key, await readThrough<T>(this.#instance, key, this.#wishOf(rest)), from)
  }

  /**
   * {@link getOrLoad} for many ids, in their order, each with its own outcome: one round trip a node for what is there,
   * and one call of `loadMany` for what is not. What another process is loading is waited for.
   *
   * @example
   * ```ts
   * import type { Cache } from 'slotwise/cache'
   *
   * declare const rowsOf: (ids: readonly string[]) => Promise<readonly { id: string; name: string }[]>
   *
   * export async function names(cache: Cache<string | null>, ids: readonly string[]): Promise<(string | null)[]> {
   *   const results = await cache.getOrLoadMany(ids, async (missing) => {
   *     const rows = new Map((await rowsOf(missing)).map(({ id, name }) => [id, name]))
   *     return missing.map((id) => rows.get(id) ?? null)
   *   })
   *   return results.map((result) => (result.status === 'fulfilled' ? result.value : null))
   * }
   * ```
   */
  async getOrLoadMany<I extends Id>(
    ids: readonly I[],
    loadMany: LoadMany<I, T>,
  ): Promise<readonly PromiseSettledResult<T>[]>
  async getOrLoadMany<I extends Id>(
    ids: readonly I[],
    options: LoadOptions,
    loadMany: LoadMany<I, T>,
  ): Promise<readonly PromiseSettledResult<T>[]>
  async getOrLoadMany<I extends Id>(
    ids: readonly I[],
    ...rest: readonly [LoadMany<I, T>] | readonly [LoadOptions, LoadMany<I, T>]
  ): Promise<readonly PromiseSettledResult<T>[]> {
    const [options, loadMany] = rest.length === 1 ? [{}, rest[0]] : rest
    const from = performance.now()
    const instance = this.#instance
    const keys = ids.map((id) => this.#key(id))
    options.signal?.throwIfAborted()
    const budget = new Budget(instance.pace.budgetMs)
    const looks = await unlessAborted(lookMany(instance, keys, budget), options.signal)
    const batch = new Batch<I, T>(instance, ids.length, loadMany)
    return await Promise.allSettled(
      ids.map(async (id, i) => {
        const [key, seen] = [keys[i] ?? this.#key(id), looks[i]]
        const { load, decided } = batch.member(id)
        const wish = { ...this.#wish(options, load), decided }
        const found = await readThrough<T>(instance, key, wish, seen).finally(decided)
        return this.#answer(key, found, from).value
      }),
    )
  }

  /**
   * The entry as it lies in Redis, if it is fresh, without loading. `undefined` as well for what cannot be read, and for
   * everything while Redis does not answer within the budget.
   */
  async get(id: Id, options: CallOptions = {}): Promise<T | undefined> {
    const key = this.#key(id)
    options.signal?.throwIfAborted()
    const seen = await unlessAborted(look(this.#instance, key, this.#budget(options)), options.signal)
    return this.#fresh([seen])[0]
  }

  /** {@link get} for many: one round trip a node, all nodes in parallel, wherever the slots are. */
  async getMany(ids: readonly Id[], options: CallOptions = {}): Promise<readonly (T | undefined)[]> {
    const keys = ids.map((id) => this.#key(id))
    options.signal?.throwIfAborted()
    const looks = lookMany(this.#instance, keys, this.#budget(options))
    return this.#fresh(await unlessAborted(looks, options.signal))
  }

  /**
   * The entry with all that is known of it, and a token with which {@link set} stores only if nothing has happened to
   * the entry in between. One round trip. Where there is no entry it leaves a mark in Redis for `leaseMs`; {@link get}
   * does not.
   */
  async read(id: Id, options: CallOptions = {}): Promise<CacheRead<T>> {
    const key = this.#key(id)
    options.signal?.throwIfAborted()
    return await unlessAborted(readWithToken<T>(this.#instance, key, this.#budget(options)), options.signal)
  }

  /**
   * Stores a value that no loader brought, and takes from every load under way the right to store. Without the `token`
   * of a read it may overwrite what is newer: `writeThrough` and `mutate` cannot. `false` if it was not stored: a write
   * is under way, or with a token, something has happened since the read.
   *
   * @throws {@link UncacheableValueError} nothing was changed; {@link InvalidationPendingError} Redis does not answer:
   *   so that no older value stays, the entry will be removed.
   */
  async set(id: Id, value: T, options: SetOptions = {}): Promise<boolean> {
    const { token } = options
    const [stored = false] = await putAll(
      this.#instance,
      [{ key: this.#key(id), value, ttlMs: this.#ttlMs(options.ttlMs), token }],
      deadlineOf(options),
    )
    return stored
  }

  /** {@link set} for many: one round trip a node. Whether each was stored, in their order. */
  async setMany(
    entries: readonly { readonly id: Id; readonly value: T; readonly token?: ReadToken | undefined }[],
    options: Omit<SetOptions, 'token'> = {},
  ): Promise<readonly boolean[]> {
    const ttlMs = this.#ttlMs(options.ttlMs)
    const puts = entries.map(({ id, value, token }) => ({ key: this.#key(id), value, ttlMs, token }))
    return await putAll(this.#instance, puts, deadlineOf(options))
  }

  /**
   * Announces the write to Redis, runs `write`, then stores what it returned. Two round trips besides the write.
   *
   * **Once it has resolved, no read that starts later gets an older value from Redis.** Nothing is stored, and
   * the entry is left empty, if another write or an invalidation of the same entry overlapped, because the order
   * of the commits is not known here; and if `write` took longer than `leaseMs`. Up to then the intent also
   * covers a process that dies after its commit: nobody stores an older value, and the intent ends by itself.
   * `alsoInvalidate` names entries that show the same and are emptied under the same cover.
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
    const { alsoInvalidate = [] } = options
    const keys = new Set([id, ...alsoInvalidate].map((one) => this.#key(one)))
    const terms = {
      intentMs: this.#instance.settings.leaseMs,
      lingerMs: 0,
      deadlineMs: deadlineOf(options),
      ttlMs: this.#ttlMs(options.ttlMs),
    }
    return await mutateKeys(this.#instance, [...keys], terms, write, (value) => value)
  }

  /**
   * Runs a change of the database under an intent for every entry that shows what it changes, and empties them.
   *
   * **Once it has resolved, no read that starts later gets an older value from Redis**, and none that begins after the
   * commit does while the intent stands: it stands from before the change to its end and `replicaLagMs` longer, and
   * nothing is stored meanwhile. So these end in the new value as well: a process that dies between its commit and
   * the invalidation, an invalidation inside of the transaction, a loader that reads a lagging replica of the database.
   *
   * The change is bounded by `intentMs`, shortly before whose end `signal` aborts. **A change that is committed after
   * that** is covered by the invalidation at its end only, so one that does not listen can lose the guarantee by
   * dying just there. The same if Redis cannot be told of the intent, which does not stop the change.
   *
   * @throws whatever the change throws, with the entries emptied; {@link InvalidationPendingError} if it is done and
   *   Redis could not be told of it: the result is in its `written`.
   */
  async mutate<R>(what: MutateOptions, transaction: Mutation<R>): Promise<R> {
    const { leaseMs } = this.#instance.settings
    const keys = new Set(what.ids.map((id) => this.#key(id)))
    const terms = {
      intentMs: what.intentMs === undefined ? leaseMs : integer('intentMs', what.intentMs),
      lingerMs: what.replicaLagMs === undefined ? 0 : integer('replicaLagMs', what.replicaLagMs, { min: 0 }),
      deadlineMs: deadlineOf(what),
    }
    return await mutateKeys(this.#instance, [...keys], terms, transaction)
  }

  /**
   * Removes one entry, and takes from every load of it under way, in any process, the right to store. Call it
   * after the change is committed. **Once it has resolved, no read that starts later gets an older value from
   * Redis**, but for what docs/patterns/cache.md names.
   *
   * @throws {@link InvalidationPendingError} if Redis does not answer. It goes on being tried in the background
   *   until it succeeds or the cache is closed, and until then this process does not read the entry from Redis.
   */
  async invalidate(id: Id, options: InvalidateOptions = {}): Promise<void> {
    await invalidateKeys(this.#instance, [this.#key(id)], options)
  }

  /** {@link invalidate} for many entries: one round trip a node, in parallel, wherever their slots are. */
  async invalidateMany(ids: readonly Id[], options: InvalidateOptions = {}): Promise<void> {
    const keys = ids.map((id) => this.#key(id))
    await invalidateKeys(this.#instance, [...new Set(keys)], options)
  }

  /** The same as {@link invalidate}. */
  async delete(id: Id, options: InvalidateOptions = {}): Promise<void> {
    await this.invalidate(id, options)
  }

  /** The same as {@link invalidateMany}. */
  async deleteMany(ids: readonly Id[], options: InvalidateOptions = {}): Promise<void> {
    await this.invalidateMany(ids, options)
  }

  /**
   * {@link invalidate} for every entry of this cache, or of this tenant: looks for them on every primary, all keys of
   * the servers being looked at, so it takes long where there are many. What is stored while it runs may stay.
   *
   * @returns how many entries and loads under way were found
   * @throws RedisUnavailableError a primary does not answer, or slots keep on moving for `deadlineMs` (60,000)
   */
  async invalidateAll(options: InvalidateOptions = {}): Promise<number> {
    const found = new Set<Key>()
    for await (const keys of this.#every(options)) {
      await invalidateKeys(this.#instance, keys, { signal: options.signal, replicas: options.replicas })
      for (const key of keys) found.add(key)
    }
    return found.size
  }

  /**
   * A function that reads through this cache, by an id made of its arguments.
   *
   * @param idOf what the arguments are called here @defaultValue the arguments themselves, which must be text or numbers
   *
   * @example
   * ```ts
   * import type { Cache } from 'slotwise/cache'
   *
   * export const priced = (cache: Cache<number>) =>
   *   cache.wrap(async (product: string, country: string) => product.length + country.length)
   * // const price = priced(cache); await price('book-7', 'nz')
   * ```
   */
  wrap<A extends readonly unknown[]>(
    load: (...args: A) => T | Promise<T>,
    idOf: (...args: A) => Id = (...args) => args as unknown as Id,
    options: LoadOptions = {},
  ): (...args: A) => Promise<T> {
    return async (...args) => await this.getOrLoad(idOf(...args), options, () => load(...args))
  }

  /**
   * Loads what is not there yet, many at a time: before a release, or after a cluster was emptied.
   *
   * @returns what became of them; a failure is told to `onError` and does not end it
   */
  async warm<I extends Id>(
    ids: Iterable<I> | AsyncIterable<I>,
    options: WarmOptions,
    loadMany: LoadMany<I, T>,
  ): Promise<Warmed> {
    const batchSize = integer('batchSize', options.batchSize ?? 100)
    const concurrency = integer('concurrency', options.concurrency ?? 2)
    let [done, failed, present] = [0, 0, 0]
    const run = async (batch: readonly I[]): Promise<void> => {
      options.signal?.throwIfAborted()
      let loaded = 0
      const results = await this.getOrLoadMany(
        batch,
        { ttlMs: options.ttlMs, signal: options.signal },
        (missing, context) => {
          loaded += missing.length
          return loadMany(missing, context)
        },
      )
      results.forEach((result, i) => {
        if (result.status === 'fulfilled') return
        failed++
        this.#instance.report(result.reason, 'load', this.#key(batch[i] ?? ''))
      })
      done += batch.length
      present += batch.length - loaded
      options.onProgress?.({ done, failed, present })
    }
    const running = new Set<Promise<void>>()
    const start = async (batch: readonly I[]): Promise<void> => {
      const one = run(batch).finally(() => running.delete(one))
      running.add(one)
      if (running.size >= concurrency) await Promise.race(running)
    }
    try {
      let batch: I[] = []
      for await (const id of ids) {
        if (batch.push(id) < batchSize) continue
        await start(batch)
        batch = []
      }
      if (batch.length > 0) await start(batch)
    } finally {
      // One that failed is not to leave the others without anybody who hears of them.
      await Promise.allSettled(running)
    }
    return { done, failed, present }
  }

  /** Keys of everything that is there, in batches. @internal */
  async *keys(options: CallOptions = {}): AsyncGenerator<readonly Key[]> {
    yield* this.#every(options)
  }

  #every({ signal, deadlineMs = 60_000 }: CallOptions): AsyncGenerator<readonly Key[]> {
    this.#key('')
    return everyKey(this.#instance.port, keysOf(this.#space()), { signal, deadlineMs })
  }

  #wishOf(rest: readonly [Load<T>] | readonly [LoadOptions, Load<T>]): Wish<T> {
    const [options, load] = rest.length === 1 ? [{}, rest[0]] : rest
    const instance = this.#instance
    return this.#wish(options, (context) => instance.load(() => load(context), context.signal))
  }

  #wish(options: LoadOptions, load: Load<T>): Wish<T> {
    const { softTimeoutMs, hardTimeoutMs } = this.#instance.settings
    return {
      load,
      ttlMs: this.#ttlMs(options.ttlMs),
      softTimeoutMs: timeout('softTimeoutMs', options.softTimeoutMs, softTimeoutMs),
      hardTimeoutMs: timeout('hardTimeoutMs', options.hardTimeoutMs, hardTimeoutMs),
      allowStale: options.allowStale ?? false,
      signal: signalOf(options),
    }
  }

  #answer(key: Key, found: Found<T>, from: number): CacheAnswer<T> {
    this.#instance.emit(found.how, key, from)
    return { ...found, durationMs: performance.now() - from }
  }

  #fresh(looks: readonly Awaited<ReturnType<typeof look>>[]): (T | undefined)[] {
    return looks.map((seen) => {
      if (seen.state === 'found' && !seen.stale) {
        this.#instance.count('hits')
        return seen.value as T
      }
      if (seen.state !== 'unreachable') this.#instance.count('misses')
      return undefined
    })
  }

  #budget({ deadlineMs = Infinity }: CallOptions): Budget {
    return new Budget(Math.min(this.#instance.pace.budgetMs, deadlineMs))
  }

  #space() {
    const { port, settings } = this.#instance
    return { namespace: port.namespace, pattern: 'cache', name: settings.name, tenant: this.#tenant }
  }

  #key(id: Id): Key {
    if (this.#instance.closed) throw new ClosedError('the cache is closed')
    return keyOf(this.#space(), id)
  }

  #ttlMs(asked: number | undefined): number | undefined {
    return asked === undefined ? undefined : integer('ttlMs', asked, { max: MOST_MS })
  }
}

/** A hundred years, and the most that the header of an entry could hold is more. */
const MOST_MS = 100 * 365 * 86_400_000

function deadlineOf({ deadlineMs }: { readonly deadlineMs?: number | undefined }): number | undefined {
  return deadlineMs === undefined ? undefined : integer('deadlineMs', deadlineMs)
}

function timeout(name: string, asked: number | undefined, otherwise: number): number {
  if (asked === undefined) return otherwise
  if (asked === Infinity || (Number.isSafeInteger(asked) && asked >= 0 && asked <= 2 ** 31 - 1)) return asked
  throw new ConfigurationError(
    `${name} must be a whole number from 0 to ${2 ** 31 - 1}, or Infinity, got ${asked}`,
  )
}
