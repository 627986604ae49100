import type { Id, Key } from '../keys.js'
import { areCachesHeard } from '../telemetry.js'
import { unlessAborted } from './abort.js'
import { Batch, type LoadMany } from './batch.js'
import { Budget } from './budget.js'
import { budgetOf, termsOf, wishOf } from './call-options.js'
import type { Load } from './course.js'
import { look, lookMany } from './look.js'
import type { Look } from './look-reply.js'
import { readWithToken } from './read.js'
import { type Found, readThrough, type Wish } from './read-through.js'
import type { Scope } from './scope.js'
import type { CacheAnswer, CacheRead, LoadOptions, ReadOptions, Warmed, WarmOptions } from './view-options.js'
import { warmUp } from './warm.js'

/** How long a warm-up waits for Redis where the port does not say how long a command may take. */
const PATIENCE_MS = 3000

/** The half of a view that reads: with a loader for what is not there, or without. */
export class Reading<T> {
  readonly #scope: Scope

  /** @internal */
  constructor(scope: Scope) {
    this.#scope = scope
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
   *   {@link OriginBusyError} if the origin has no room for one more load; {@link ClosedError}.
   *
   * @example
   * ```ts
   * import type { Cache } from 'slotwise/cache'
   *
   * declare const find: (id: string, signal: AbortSignal) => Promise<string | null>
   *
   * export async function title(cache: Cache<string | null>, id: string): Promise<string | null> {
   *   return await cache.getOrLoad(['article', id], { hardTimeoutMs: 2000 }, async ({ signal, setTtlMs }) => {
   *     const found = await find(id, signal)
   *     if (found === null) setTtlMs(5000)
   *     return found
   *   })
   * }
   * ```
   */
  async getOrLoad(id: Id, load: Load<T>): Promise<T>
  async getOrLoad(id: Id, options: LoadOptions, load: Load<T>): Promise<T>
  async getOrLoad(id: Id, ...rest: readonly [Load<T>] | readonly [LoadOptions, Load<T>]): Promise<T> {
    const { instance } = this.#scope
    const key = this.#scope.key(id)
    const { local } = instance
    const held = local?.find(key)
    // All of a hit in this process: what a promise more would cost is as much as all of this.
    if (local !== undefined && held !== undefined && mayBeLocal(rest)) {
      instance.count('localHits')
      if (instance.audit !== undefined) instance.audit.sawHeld(key, held.version)
      if (areCachesHeard()) instance.publish('local', key, performance.now())
      const value = local.valueOf(held)
      return (value instanceof Promise ? await value : value) as T
    }
    const from = performance.now()
    const found = await readThrough<T>(instance, key, this.#wishOf(rest))
    instance.emit(found.source === 'local' ? 'local' : found.how, key, from)
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
    const key = this.#scope.key(id)
    return this.#answer(key, await readThrough<T>(this.#scope.instance, key, this.#wishOf(rest)), from)
  }

  /**
   * {@link getOrLoad} for many ids, in their order, each with its own outcome: one round trip a node for what is there,
   * and one call of `loadMany` for what is not, or is stale and is refreshed by this call. What another process is loading is
   * waited for; if that brings nothing, `loadMany` is called once more, for those ids.
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
    const found = await this.#foundMany(ids, options, loadMany, this.#scope.instance.pace.budgetMs)
    return found.map((one) =>
      one.status === 'fulfilled' ? { status: 'fulfilled', value: one.value.value } : one,
    )
  }

  async #foundMany<I extends Id>(
    ids: readonly I[],
    options: LoadOptions,
    loadMany: LoadMany<I, T>,
    budgetMs: number,
  ): Promise<readonly PromiseSettledResult<Found<T>>[]> {
    const from = performance.now()
    const { instance } = this.#scope
    const keys = this.#scope.keys(ids)
    const terms = termsOf(instance, options)
    terms.signal?.throwIfAborted()
    const looks = await unlessAborted(
      lookMany(instance, keys, new Budget(budgetMs), { named: terms.tags, isStrict: terms.isStrict }),
      terms.signal,
    )
    const batch = new Batch<I, T>(instance, ids.length, loadMany)
    return await Promise.allSettled(
      ids.map(async (id, i) => {
        const [key, seen] = [keys[i] ?? this.#scope.key(id), looks[i]]
        const { load, decided } = batch.member(id)
        const wish = wishOf(terms, load, decided)
        const found = await readThrough<T>(instance, key, wish, seen, budgetMs).catch((error: unknown) => {
          // Whoever gets a value is decided where it is known whether it is also to be refreshed.
          decided()
          throw error
        })
        this.#answer(key, found, from)
        return found
      }),
    )
  }

  /**
   * The entry as it lies in Redis, if it is fresh, without loading. `undefined` as well for what cannot be read, and for
   * everything while Redis does not answer within the budget: it never rejects because of Redis.
   *
   * @throws the reason of `signal`; {@link ClosedError}
   */
  async get(id: Id, options: ReadOptions = {}): Promise<T | undefined> {
    const { instance } = this.#scope
    const key = this.#scope.key(id)
    options.signal?.throwIfAborted()
    const terms = { isStrict: options.strict ?? false }
    const seen = await unlessAborted(look(instance, key, budgetOf(instance, options), terms), options.signal)
    return this.#fresh([key], [seen])[0]
  }

  /** {@link get} for many, in their order: one round trip a node, all nodes in parallel, wherever the slots are. */
  async getMany(ids: readonly Id[], options: ReadOptions = {}): Promise<readonly (T | undefined)[]> {
    const { instance } = this.#scope
    const keys = this.#scope.keys(ids)
    options.signal?.throwIfAborted()
    const looks = lookMany(instance, keys, budgetOf(instance, options), { isStrict: options.strict ?? false })
    return this.#fresh(keys, await unlessAborted(looks, options.signal))
  }

  /**
   * The entry with all that is known of it, and a token with which {@link set} stores only if nothing has happened to
   * the entry in between. One round trip. Where there is no entry it leaves a mark in Redis for `leaseMs`; {@link get}
   * does not. Where Redis does not answer within the budget nothing is found, and nothing is ever stored with the token.
   *
   * @throws the reason of `signal`; {@link ClosedError}
   *
   * @example
   * ```ts
   * import type { Cache } from 'slotwise/cache'
   *
   * export async function trim(cache: Cache<string>, id: string): Promise<boolean> {
   *   const seen = await cache.read(id)
   *   return seen.found && (await cache.set(id, seen.value.trim(), { token: seen.token }))
   * }
   * ```
   */
  async read(id: Id, options: ReadOptions = {}): Promise<CacheRead<T>> {
    const { instance } = this.#scope
    const key = this.#scope.key(id)
    options.signal?.throwIfAborted()
    return await unlessAborted(
      readWithToken<T>(instance, key, budgetOf(instance, options), options.strict),
      options.signal,
    )
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
   * Loads what is not there yet, many at a time: before a release, or after a cluster was emptied. Stored as what
   * {@link getOrLoadMany} loads, by one process of all that warm the same.
   *
   * @returns what became of them; a failure is told to `onError` and does not end it
   * @throws the reason of `signal`, or what the source of the ids or `onProgress` throws, when the batches under way have ended
   *
   * @example
   * ```ts
   * import type { Cache } from 'slotwise/cache'
   *
   * declare const rowsOf: (ids: readonly string[]) => Promise<ReadonlyMap<string, string>>
   *
   * export async function warmed(cache: Cache<string | null>, ids: AsyncIterable<string>): Promise<number> {
   *   const onProgress = ({ done, failed }: { done: number; failed: number }) => console.log(`${done}, ${failed} failed`)
   *   const { failed } = await cache.warm(ids, { batchSize: 500, onProgress }, async (missing) => {
   *     const rows = await rowsOf(missing)
   *     return missing.map((id) => rows.get(id) ?? null)
   *   })
   *   return failed
   * }
   * ```
   */
  async warm<I extends Id>(
    ids: Iterable<I> | AsyncIterable<I>,
    options: WarmOptions,
    loadMany: LoadMany<I, T>,
  ): Promise<Warmed> {
    const { instance } = this.#scope
    // Nobody waits for an answer: what is loaded past a Redis that is slow for a moment would not be there.
    const patienceMs = () =>
      Math.max(instance.pace.budgetMs, instance.port.setup?.commandTimeoutMs ?? PATIENCE_MS)
    const warming = {
      foundMany: (some: readonly I[], how: LoadOptions, loader: LoadMany<I, T>) =>
        this.#foundMany(some, how, loader, patienceMs()),
      failed: (error: unknown, id: I) => instance.report(error, 'load', this.#scope.key(id)),
    }
    return await warmUp<I, T>(warming, ids, options, loadMany)
  }

  #wishOf(rest: readonly [Load<T>] | readonly [LoadOptions, Load<T>]): Wish<T> {
    const [options, load] = rest.length === 1 ? [{}, rest[0]] : rest
    const { instance } = this.#scope
    return wishOf(termsOf(instance, options), (context) => instance.load(() => load(context), context.signal))
  }

  #answer(key: Key, found: Found<T>, from: number): CacheAnswer<T> {
    this.#scope.instance.emit(found.source === 'local' ? 'local' : found.how, key, from)
    const { value, source, how } = found
    return { value, source, how, durationMs: performance.now() - from }
  }

  #fresh(keys: readonly Key[], looks: readonly Look[]): (T | undefined)[] {
    const { instance } = this.#scope
    return looks.map((seen, i) => {
      if (seen.state === 'found' && !seen.stale) {
        instance.count(seen.source === 'local' ? 'localHits' : 'hits')
        const key = keys[i]
        if (instance.audit !== undefined && key !== undefined) instance.audit.saw('hit', key)
        return seen.value as T
      }
      if (seen.state !== 'unreachable') instance.count('misses')
      return undefined
    })
  }
}

/** Whether a caller takes what this process holds. */
function mayBeLocal([options]: readonly unknown[]): boolean {
  if (typeof options !== 'object') return true
  const { allowStale, strict, signal } = options as LoadOptions
  return allowStale !== true && strict !== true && signal?.aborted !== true
}
