import { createHash } from 'node:crypto'
import { Cache, type CacheAnswer, type ErrorContext, type Load, type LoadContext } from 'slotwise/cache'
import type { RedisPort } from 'slotwise/redis'
import type { Comment } from '../repositories/comments.js'
import type { Entity } from '../repositories/entities.js'
import type { CountedReaction } from '../repositories/reactions.js'
import type { Tenant } from '../repositories/tenants.js'
import type { Viewed } from '../repositories/views.js'
import { recordTiming, timed, traceOfRequest } from '../trace.js'
import { forgotten, told, written } from './pending.js'

/** An entity with all its comments, the oldest first, as one entry of the cache. */
export interface CachedThread {
  readonly entity: Entity
  readonly comments: readonly Comment[]
}

/** How long a read waits for what the database has of views and reactions. */
const BEHIND_MS = 1000

/** Settings of {@link Caches}. */
export interface CachesOptions {
  /** `false` reads from Postgres only. @defaultValue `true` */
  readonly enabled?: boolean
  readonly onError?: (error: Error, context: ErrorContext) => void
}

/** Below it is everything that a tenant has in the cache. */
const SITE = 'site'
const COMMENT_TAGS = [`${SITE}/comments`]
const BEHIND_TAGS = [`${SITE}/behind`]

/** What the tree of an entity bears. Ids hold anything, slashes too, and a tag below another is more than a name. */
const treeTag = (entityId: string): string =>
  `${SITE}/trees/${createHash('sha256').update(entityId).digest('base64url')}`

/** Comments and trees of a tenant bear tags of one space, so that one of them can take all of it away. */
const TAG_SPACE = 'comments-service'

/** A process that dies between its commit and its invalidation leaves the older value for so long at most. */
const TTL_MS = 600_000

/**
 * How long a write waits for Redis to forget what it changed. Longer, and a failover would hold up every write;
 * then the answer says `X-Cache: pending`, and the cache goes on trying.
 */
const INVALIDATE_MS = 500

/**
 * How long the intent of a change stands. Longer than a statement takes with all that may hold it up, a connection and the time-outs
 * of the database, so that nothing is committed behind it; shorter than what anybody would mind to be read past the cache after
 * a process has died in the middle.
 */
const CHANGE_MS = 15_000

/**
 * Everything the service keeps in Redis for reading, and the one place that knows which entries show what.
 * The importer and the routes change data only together with a call of {@link Caches.changed}.
 */
export class Caches implements AsyncDisposable {
  readonly #enabled: boolean
  readonly #comments: Cache<Comment>
  readonly #threads: Cache<CachedThread>
  readonly #keys: Cache<Tenant>
  readonly #behind: { readonly views: Cache<Viewed>; readonly reactions: Cache<readonly CountedReaction[]> }

  constructor(port: RedisPort, { enabled = true, onError = () => {} }: CachesOptions = {}) {
    this.#enabled = enabled
    this.#comments = new Cache(port, {
      name: 'comments',
      tagSpace: TAG_SPACE,
      ttlMs: TTL_MS,
      onError,
    })
    // A long thread takes a while to load. One reader of a busy one sees to the next before anybody has to wait for it.
    // Not `staleMs`: what has gone from the database without a word to the cache would be shown for as much longer.
    this.#threads = new Cache(port, {
      name: 'threads',
      tagSpace: TAG_SPACE,
      ttlMs: TTL_MS,
      earlyRefresh: 1,
      onError,
    })
    // Shown beside what was asked for: nobody waits for long for a process whose database does not answer it.
    const behind = { tagSpace: TAG_SPACE, ttlMs: TTL_MS, hardTimeoutMs: BEHIND_MS, onError }
    this.#behind = {
      views: new Cache(port, { name: 'views', ...behind }),
      reactions: new Cache(port, { name: 'reactions', ...behind }),
    }
    // A key that is taken back, or a new plan, is felt within this time even if nobody tells the cache.
    // Every request asks for one, so this process holds those that are used.
    const local = { maxEntries: 10_000, maxStalenessMs: 1000 }
    this.#keys = new Cache(port, { name: 'api-keys', ttlMs: 60_000, local, onError })
  }

  async comment(tenant: string, id: string, load: Load<Comment>): Promise<Comment> {
    return await this.#shown(this.#comments, tenant, id, COMMENT_TAGS, load)
  }

  async thread(tenant: string, entityId: string, load: Load<CachedThread>): Promise<CachedThread> {
    return await this.#shown(this.#threads, tenant, entityId, [treeTag(entityId)], load)
  }

  /** What the database has of a count of views. As what waits to be written, it says nothing about where the answer came from. */
  async views(tenant: string, row: string, load: Load<Viewed>): Promise<Viewed> {
    return (await this.#read('views', this.#behind.views, tenant, row, BEHIND_TAGS, load)).value
  }

  /** The same, if it is in the cache: for when the database does not answer. */
  async knownViews(tenant: string, row: string): Promise<Viewed | undefined> {
    if (!this.#enabled) return undefined
    const known = await this.#behind.views.forTenant(tenant).read(row)
    return known.found ? known.value : undefined
  }

  /** What the database has of the reactions in a thread. */
  async reactions(
    tenant: string,
    thread: string,
    load: Load<readonly CountedReaction[]>,
  ): Promise<readonly CountedReaction[]> {
    return (await this.#read('reactions', this.#behind.reactions, tenant, thread, BEHIND_TAGS, load)).value
  }

  /**
   * Writes to the database what waited, under intents for the entries that show it. Resolves only when Redis has forgotten them:
   * what was written waits until then, so nobody reads from an entry what is older than what waits no more.
   *
   * @param ids of the entries, by tenant
   */
  async writeBehind(
    kind: 'views' | 'reactions',
    ids: ReadonlyMap<string, readonly string[]>,
    signal: AbortSignal,
    write: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const cover = [...ids].reduce<(signal: AbortSignal) => Promise<void>>(
      (run, [tenant, some]) =>
        (outer) =>
          this.#behind[kind]
            .forTenant(tenant)
            .mutate({ ids: some, intentMs: CHANGE_MS, deadlineMs: INVALIDATE_MS }, ({ signal: inner }) =>
              run(AbortSignal.any([outer, inner])),
            )
            .catch((error: unknown) => forgotten(error, signal)),
      write,
    )
    await cover(signal)
  }

  /** The tenant of a key, by the hash of the key. It says nothing about where the answer itself came from. */
  async tenant(keyHash: string, load: Load<Tenant>): Promise<Tenant> {
    return timed('key', () =>
      this.#enabled ? this.#keys.getOrLoad(keyHash, load) : Promise.resolve(load(never)),
    )
  }

  /**
   * Writes a comment to the database, then to its entry, under an intent for the thread that does not show it yet: a
   * process that dies after its commit leaves no thread without it.
   *
   * @param write is told to roll back shortly before the intent ends
   */
  async create(
    tenant: string,
    { id, entityId }: { readonly id: string; readonly entityId: string },
    write: (signal: AbortSignal) => Promise<Comment>,
  ): Promise<Comment> {
    const comments = this.#comments.forTenant(tenant)
    const options = {
      tags: COMMENT_TAGS,
      alsoInvalidateTags: [treeTag(entityId)],
      deadlineMs: INVALIDATE_MS,
    }
    return await timed('write', () =>
      written(() => comments.writeThrough(id, options, ({ signal }) => write(signal))),
    )
  }

  /**
   * Changes a comment in the database under an intent for both entries that show it, so that neither an eviction inside of
   * the transaction nor a process that dies after its commit leaves the older text in Redis.
   *
   * @param run one statement, which the database ends in less time than the intent stands
   */
  async change<R>(
    tenant: string,
    { id, entityId }: { readonly id: string; readonly entityId: string },
    run: () => Promise<R>,
  ): Promise<R> {
    const comments = this.#comments.forTenant(tenant)
    const what = {
      ids: [id],
      tags: [treeTag(entityId)],
      intentMs: CHANGE_MS,
      deadlineMs: INVALIDATE_MS,
    }
    return await timed('write', () => written(() => comments.mutate(what, run)))
  }

  /**
   * Takes away every entry that shows one of these comments, and the threads of these entities. To be called when
   * the change is committed.
   *
   * @returns whether Redis knows of it; if not, it is told of it as soon as it can be
   */
  async changed(
    tenant: string,
    commentIds: readonly string[],
    entityIds: readonly string[],
  ): Promise<boolean> {
    const options = { deadlineMs: INVALIDATE_MS }
    const [comments, threads] = await timed('invalidate', () =>
      Promise.all([
        told(this.#comments.forTenant(tenant).invalidateMany(commentIds, options)),
        told(this.#threads.forTenant(tenant).invalidateTags(entityIds.map(treeTag), options)),
      ]),
    )
    return comments && threads
  }

  /** Takes everything of a tenant away, in one command, however much it is. Whether Redis knows of it. */
  async purge(tenant: string): Promise<boolean> {
    const options = { deadlineMs: INVALIDATE_MS }
    return await timed('invalidate', () =>
      told(this.#threads.forTenant(tenant).invalidateTags([SITE], options)),
    )
  }

  async close(): Promise<void> {
    const { views, reactions } = this.#behind
    const all = [this.#comments, this.#threads, this.#keys, views, reactions]
    await Promise.all(all.map((cache) => cache.close()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** What an answer is about, so where it came from is where the answer did. */
  async #shown<T>(
    cache: Cache<T>,
    tenant: string,
    id: string,
    tags: readonly string[],
    load: Load<T>,
  ): Promise<T> {
    const { value, how } = await this.#read('cache', cache, tenant, id, tags, load)
    const trace = traceOfRequest()
    if (trace !== undefined && how !== undefined) trace.origin = how === 'wait' ? 'load' : how
    return value
  }

  async #read<T>(
    timing: string,
    cache: Cache<T>,
    tenant: string,
    id: string,
    tags: readonly string[],
    load: Load<T>,
  ): Promise<{ readonly value: T; readonly how: CacheAnswer<T>['how'] | undefined }> {
    if (!this.#enabled) return { value: await load(never), how: undefined }
    const { value, how, durationMs } = await cache.forTenant(tenant).fetch(id, { tags }, load)
    recordTiming(timing, durationMs, how)
    return { value, how }
  }
}

/** For reads that go past the cache: nothing is stored, so there is nothing to say about that. */
const never: LoadContext = {
  signal: new AbortController().signal,
  setTtlMs: () => {},
  skipStore: () => {},
}
