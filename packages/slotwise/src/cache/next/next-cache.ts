import { type IncrementalContext, type IncrementalHandler, incrementalHandler } from './incremental.js'
import { Opening } from './opening.js'
import { type NextCacheOptions, type NextCacheRedis, nextSettings } from './options.js'
import { type UseCacheHandler, useCacheHandler } from './use-cache.js'

/**
 * Both caches of Next 15 and 16 on Redis Cluster: `CacheHandler` for `cacheHandler` (pages, route handlers, `fetch`,
 * `unstable_cache`) and `useCache` for `cacheHandlers` (`use cache`, `use cache: remote`).
 *
 * Guaranteed: **after `revalidateTag`, `revalidatePath` or `updateTag` has resolved, no read that starts later in any
 * instance gets what was begun before**, however long its render takes; a page waits for Redis at most `budgetMs` for what it
 * reads and never fails because of it; deployments do not read each other's entries. What Next itself keeps (the
 * browser's router cache, a CDN) is not reached from here.
 *
 * @example
 * ```ts
 * import { NextCache } from 'slotwise/cache/next'
 * import { connect } from 'slotwise/ioredis'
 *
 * // Next is pointed at a file that has this as its default: `export default cache.CacheHandler`.
 * export const cache = new NextCache(() => connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' }), { name: 'web' })
 * ```
 */
export class NextCache {
  /** What the file exports that `cacheHandler` of next.config names. */
  readonly CacheHandler: new (
    context?: IncrementalContext,
  ) => IncrementalHandler
  /** What the file exports that `cacheHandlers` of next.config names, for any kind of `use cache`. */
  readonly useCache: UseCacheHandler
  readonly #opening: Opening

  /**
   * @param redis a port, or what makes one: called when Redis is first needed, and never by `next build`
   * @throws ConfigurationError an option is wrong
   */
  constructor(redis: NextCacheRedis, options: NextCacheOptions) {
    this.#opening = new Opening(redis, nextSettings(options))
    this.CacheHandler = incrementalHandler(this.#opening)
    this.useCache = useCacheHandler(this.#opening)
  }

  /**
   * What `revalidateTag` of Next does, from any process of Node: ends what bears one of the tags, or with `staleMs` makes it
   * stale for so long. One command a tag, whatever number of entries bears it.
   *
   * @throws InvalidationPendingError Redis does not answer: it goes on being tried until it succeeds or `close` is called,
   *   and ends what bears the tag
   */
  async revalidateTags(
    tags: readonly string[],
    options: { readonly staleMs?: number | undefined } = {},
  ): Promise<void> {
    await this.#opening.change(tags, options.staleMs)
  }

  /**
   * Removes the entries of a build, of this one unless told otherwise. Looks at all keys of the servers.
   *
   * @throws RedisUnavailableError a primary does not answer; InvalidationPendingError it goes on being tried
   */
  async clear(buildId?: string): Promise<void> {
    await this.#opening.clear(buildId)
  }

  /** Caches nothing from now on, and closes the port if it made it. Idempotent. */
  async close(): Promise<void> {
    await this.#opening.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
