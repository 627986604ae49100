import { distinct } from '../invalidation/tags/paths.js'
import type { Id, Key } from '../keys.js'
import { coverOf, deadlineOf, ttlMsOf } from './call-options.js'
import type { Instance } from './instance.js'
import { changeTags, type InvalidateOptions, invalidateKeys } from './invalidate.js'
import { type Mutation, mutateKeys } from './mutate.js'
import { putAll, type ReadToken } from './put.js'
import { Reading } from './reading.js'
import { Scope } from './scope.js'
import { pathsOf } from './tags.js'
import type { MutateOptions, SetOptions, Write, WriteOptions } from './view-options.js'

/** A cache as one tenant sees it, or as all of it for a cache without tenants. */
export class CacheView<T> extends Reading<T> {
  readonly #scope: Scope

  /** @internal */
  constructor(instance: Instance, tenant?: string) {
    const scope = new Scope(instance, tenant)
    super(scope)
    this.#scope = scope
  }

  /**
   * Stores a value that no loader brought, and takes from every load under way the right to store. Without the `token`
   * of a read it may overwrite what is newer: `writeThrough` and `mutate` cannot. `false` if it was not stored: a write
   * is under way, or with a token, something has happened since the read.
   *
   * @throws {@link UncacheableValueError} nothing was changed; {@link InvalidationPendingError} Redis does not answer:
   *   so that no older value stays, the entry will be removed. With a `token` it resolves with `false` then, and the entry stays.
   */
  async set(id: Id, value: T, options: SetOptions = {}): Promise<boolean> {
    const { token } = options
    const [stored = false] = await putAll(
      this.#scope.instance,
      [{ key: this.#scope.key(id), value, ttlMs: ttlMsOf(options), token, tags: pathsOf(options.tags) }],
      deadlineOf(options),
    )
    return stored
  }

  /** {@link set} for many: one round trip a node. Whether each was stored, in their order. */
  async setMany(
    entries: readonly { readonly id: Id; readonly value: T; readonly token?: ReadToken | undefined }[],
    options: Omit<SetOptions, 'token'> = {},
  ): Promise<readonly boolean[]> {
    const ttlMs = ttlMsOf(options)
    const tags = pathsOf(options.tags)
    const puts = entries.map(({ id, value, token }) => ({
      key: this.#scope.key(id),
      value,
      ttlMs,
      token,
      tags,
    }))
    return await putAll(this.#scope.instance, puts, deadlineOf(options))
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
   *
   * @example
   * ```ts
   * import type { Cache } from 'slotwise/cache'
   *
   * declare const update: (id: string, text: string, signal: AbortSignal) => Promise<string>
   *
   * export async function edit(comments: Cache<string>, id: string, text: string): Promise<string> {
   *   return await comments.writeThrough(id, { alsoInvalidate: [['list', 1]] }, ({ signal }) => update(id, text, signal))
   * }
   * ```
   */
  async writeThrough(id: Id, write: Write<T>): Promise<T>
  async writeThrough(id: Id, options: WriteOptions, write: Write<T>): Promise<T>
  async writeThrough(id: Id, ...rest: readonly [Write<T>] | readonly [WriteOptions, Write<T>]): Promise<T> {
    const [options, write] = rest.length === 1 ? [{}, rest[0]] : rest
    const { alsoInvalidate = [], alsoInvalidateTags = [] } = options
    const keys = new Set(this.#scope.keys([id, ...alsoInvalidate]))
    const terms = {
      intentMs: this.#scope.instance.settings.leaseMs,
      lingerMs: 0,
      deadlineMs: deadlineOf(options),
      ttlMs: ttlMsOf(options),
      bears: pathsOf(options.tags),
      everywhere: options.everywhere,
      tags: this.#scope.tags(alsoInvalidateTags),
    }
    return await mutateKeys(this.#scope.instance, [...keys], terms, write, (value) => value)
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
   *
   * @example
   * ```ts
   * import type { Cache } from 'slotwise/cache'
   *
   * declare const transaction: (signal: AbortSignal) => Promise<number>
   *
   * export async function rename(users: Cache<string>, id: string): Promise<number> {
   *   const what = { ids: [id], tags: ['org:7/users'], intentMs: 5000, replicaLagMs: 1000 }
   *   // Rolls back when the signal aborts, which it does before the intent ends.
   *   return await users.mutate(what, ({ signal }) => transaction(signal))
   * }
   * ```
   */
  async mutate<R>(what: MutateOptions, transaction: Mutation<R>): Promise<R> {
    const { instance } = this.#scope
    const keys = new Set(this.#scope.keys(what.ids ?? []))
    const terms = {
      ...coverOf(instance, what),
      deadlineMs: deadlineOf(what),
      tags: this.#scope.tags(what.tags ?? []),
      everywhere: what.everywhere,
    }
    return await mutateKeys(instance, [...keys], terms, transaction)
  }

  /**
   * Removes one entry, and takes from every load of it under way, in any process, the right to store. Call it
   * after the change is committed. **Once it has resolved, no read that starts later gets an older value from
   * Redis**, but for what docs/patterns/cache.md names.
   *
   * @throws {@link InvalidationPendingError} if Redis does not answer. It goes on being tried in the background
   *   until it succeeds or the cache is closed, and until then this process does not read the entry from Redis.
   *
   * @example
   * ```ts
   * import { InvalidationPendingError } from 'slotwise'
   * import type { Cache } from 'slotwise/cache'
   *
   * export async function changed(cache: Cache<string>, id: string): Promise<'done' | 'pending'> {
   *   try {
   *     await cache.invalidate(['article', id], { deadlineMs: 500 })
   *     return 'done'
   *   } catch (error) {
   *     if (!(error instanceof InvalidationPendingError)) throw error
   *     void error.settled.then((isThrough) => console.log(isThrough ? 'removed' : 'given up: the cache was closed'))
   *     return 'pending'
   *   }
   * }
   * ```
   */
  async invalidate(id: Id, options: InvalidateOptions = {}): Promise<void> {
    await invalidateKeys(this.#scope.instance, [this.#scope.key(id)], options)
  }

  /** {@link invalidate} for many entries: one round trip a node, in parallel, wherever their slots are. */
  async invalidateMany(ids: readonly Id[], options: InvalidateOptions = {}): Promise<void> {
    const keys = this.#scope.keys(ids)
    await invalidateKeys(this.#scope.instance, [...new Set(keys)], options)
  }

  /**
   * Changes the tags: **once it has resolved, no read that starts later gets from Redis an entry that bears one of them**,
   * or one below (`org:7` covers `org:7/users`), and was loaded before. One command a tag, whatever number of entries bears
   * it; nothing is removed, and memory comes back as entries end.
   *
   * @throws {@link InvalidationPendingError} as {@link invalidate}
   */
  async invalidateTags(tags: readonly string[], options: InvalidateOptions = {}): Promise<void> {
    const { store, paths } = this.#scope.tags(distinct(tags))
    await changeTags(this.#scope.instance, paths.map(store.keyOf), options)
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
    for await (const keys of this.#scope.every(options)) {
      const { signal, replicas, again, everywhere } = options
      await invalidateKeys(this.#scope.instance, keys, { signal, replicas, again, everywhere })
      for (const key of keys) found.add(key)
    }
    return found.size
  }
}
