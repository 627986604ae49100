import { integer } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { CacheAudit } from './audit/audit.js'
import { type AuditOptions, auditSettings } from './audit/options.js'
import { type CacheOptions, settingsOf } from './cache-options.js'
import { type CacheStats, Instance } from './instance.js'
import { type HotKey, hottest } from './local/hottest.js'
import { CacheView } from './view.js'

/**
 * Cache-aside and write-through that never serve from Redis what was invalidated.
 *
 * After `invalidate`, `writeThrough` or `mutate` has resolved, no read that starts later gets an older value from Redis:
 * a load carries a token which an invalidation takes away, so a slow one cannot store over it. At most one load of
 * an entry at a time may store, in the whole cluster. A hit costs one round trip, a miss two before its caller
 * has the value and one after.
 *
 * What it cannot promise: an invalidation that a primary acknowledged and lost in a failover, because replication
 * is asynchronous (`replicas` closes that), and reads from a primary that was replaced and has not learnt it yet. Both
 * end at the TTL.
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

  constructor(port: RedisPort, options: CacheOptions<T>) {
    const instance = new Instance(port, settingsOf(options))
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
   * The keys that are read most often in this process, over all tenants, the most read one first; none unless the cache has a
   * level with `holds: 'hot'`. They name tenants and ids, which may be personal data: that is why no metric has them.
   *
   * @throws ConfigurationError `top` (10) is not a whole number above zero
   */
  hotKeys({ top = 10 }: { readonly top?: number | undefined } = {}): readonly HotKey[] {
    const { local } = this.#instance
    return local === undefined ? [] : hottest(local, integer('top', top))
  }

  /**
   * Looks, for a sample of the keys, whether what readers get is what the origin has: after each hit, fill and invalidation, a second, ten
   * seconds and a minute later. Costs nothing before it is called. Ends with {@link CacheAudit.close}, or with the cache.
   *
   * It does not repair anything, and sees what this process does alone. An entry counts as inconsistent if two looks have found the same one, and the
   * origin, asked before and after, has had something else all the time: what has just been changed does not count.
   *
   * @throws ConfigurationError for a wrong option, or if an audit of this cache is running
   *
   * @example
   * ```ts
   * import type { Cache } from 'slotwise/cache'
   *
   * export function watched(cache: Cache<string | null>, find: (id: string) => Promise<string | null>) {
   *   return cache.audit({ ppm: 1000, load: ({ id }) => find(id.join('/')) })
   * }
   * ```
   */
  audit(options: AuditOptions<T>): CacheAudit {
    const { settings } = this.#instance
    return new CacheAudit(this.#instance, auditSettings(options, settings.local?.maxStalenessMs ?? 0))
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
