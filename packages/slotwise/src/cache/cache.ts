import { ConfigurationError } from '../errors.js'
import { plainName } from '../keys.js'
import { integer, shown } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { type CacheStats, type ErrorContext, Instance } from './instance.js'
import { CacheView } from './view.js'

/** Settings of a {@link Cache}. */
export interface CacheOptions {
  /**
   * Part of every key: 1 to 64 letters, digits, `.`, `_`, `-`. Caches of the same name on the same namespace are
   * one cache. Put a version into it when the shape of what is stored changes: `comments-v2`.
   */
  readonly name: string
  /** How long an entry is served after it was stored, in milliseconds. */
  readonly ttlMs: number
  /**
   * The share of `ttlMs` by which an entry may end earlier, at random, so that what was stored together does not
   * end together; from 0 to 1.
   *
   * @defaultValue `0.1`
   */
  readonly jitter?: number
  /**
   * How long a load may take and still be stored, and a write and still be covered by its intent, in milliseconds.
   * Also how long readers in other processes wait for a load whose process has died.
   *
   * @defaultValue `10000`
   */
  readonly leaseMs?: number
  /**
   * How long a read waits for Redis in total before it goes to the loader, in milliseconds. Waiting for the load
   * of another process is not counted, as long as Redis answers that it goes on.
   *
   * @defaultValue `100`
   */
  readonly budgetMs?: number
  /** Told of every failure that does not reach a caller: Redis away during a read, a retried invalidation. */
  readonly onError?: (error: Error, context: ErrorContext) => void
}

/**
 * Cache-aside and write-through that never serve from Redis what was invalidated.
 *
 * After `invalidate` or `writeThrough` has resolved, no read that starts later gets an older value from Redis: a
 * load carries a token which an invalidation takes away, so a slow one cannot store over it. At most one load of
 * an entry at a time may store, in the whole cluster. A hit costs one round trip, a miss two before its caller
 * has the value and one after.
 *
 * What it cannot promise: an invalidation that a primary acknowledged and lost in a failover, because replication
 * is asynchronous, and reads from a primary that was replaced and has not learnt it yet. Both end at the TTL.
 *
 * @example
 * ```ts
 * import { Cache } from 'slotwise/cache'
 * import { connect } from 'slotwise/ioredis'
 *
 * const port = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * const titles = new Cache<string | null>(port, { name: 'titles', ttlMs: 60_000 })
 * const title = await titles.getOrLoad(['article', 7], async () => 'from the database')
 * console.log(title)
 * await titles.invalidate(['article', 7])
 * ```
 */
export class Cache<T> extends CacheView<T> {
  readonly #instance: Instance

  constructor(port: RedisPort, options: CacheOptions) {
    const instance = new Instance(port, {
      name: plainName('name', options.name),
      ttlMs: integer('ttlMs', options.ttlMs),
      jitter: share('jitter', options.jitter ?? 0.1),
      leaseMs: integer('leaseMs', options.leaseMs ?? 10_000),
      budgetMs: integer('budgetMs', options.budgetMs ?? 100),
      onError: options.onError ?? (() => {}),
    })
    super(instance)
    this.#instance = instance
  }

  /** The same cache as one tenant sees it: costs nothing, shares loads and statistics, ends with the cache. */
  forTenant(tenant: string): CacheView<T> {
    return new CacheView(this.#instance, tenant)
  }

  /** Over all tenants, since this object was made. */
  stats(): CacheStats {
    return this.#instance.stats()
  }

  /**
   * Refuses further calls, gives up invalidations that are still being tried, and waits for values that are being
   * stored. Loads under way still answer their callers and are not stored. The port stays open. Idempotent.
   */
  async close(): Promise<void> {
    await this.#instance.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function share(name: string, value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value
  throw new ConfigurationError(`${name} must be a number from 0 to 1, got ${shown(value)}`)
}
