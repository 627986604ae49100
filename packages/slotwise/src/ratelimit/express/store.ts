import { ConfigurationError } from '../../errors.js'
import type { RedisPort } from '../../redis/port.js'
import { Hits, type HitsOptions } from '../hits/hits.js'

/** Settings of an {@link ExpressRateLimitStore}. */
export type ExpressRateLimitStoreOptions = HitsOptions

/**
 * A store for express-rate-limit 8 on Redis Cluster. One round trip a call; windows to the millisecond, by the server's
 * clock; a hit whose answer was lost is not counted again.
 *
 * As the package asks for, refused requests are counted as well, and windows are fixed: up to twice the limit passes where two
 * of them meet. `decrement` after the end of a window changes nothing and leaves no key; where the next window has begun by
 * then, it takes a hit of that one, since the package does not say which request it is for. While Redis does not answer,
 * calls reject within `deadlineMs`: `passOnStoreError` is the package's choice.
 *
 * @example
 * ```ts
 * import { rateLimit } from 'express-rate-limit'
 * import { connect } from 'slotwise/ioredis'
 * import { ExpressRateLimitStore } from 'slotwise/ratelimit/express'
 *
 * const port = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * const store = new ExpressRateLimitStore(port, { name: 'api' })
 * export const limiter = rateLimit({ windowMs: 60_000, limit: 100, store })
 * ```
 */
export class ExpressRateLimitStore {
  /** Counts are shared by all processes. */
  readonly localKeys = false
  /** Tells stores apart where the package looks for requests that are counted twice. */
  readonly prefix: string
  readonly #hits: Hits
  #windowMs: number | undefined

  constructor(port: RedisPort, options: ExpressRateLimitStoreOptions) {
    this.#hits = new Hits(port, options)
    this.prefix = this.#hits.prefix
  }

  /** Called by the package, once. */
  init({ windowMs }: { readonly windowMs: number }): void {
    this.#windowMs = windowMs
  }

  async get(key: string): Promise<{ totalHits: number; resetTime: Date } | undefined> {
    const { hits, leftMs } = await this.#hits.look(key)
    return hits === 0 ? undefined : { totalHits: hits, resetTime: new Date(Date.now() + leftMs) }
  }

  async increment(key: string): Promise<{ totalHits: number; resetTime: Date }> {
    if (this.#windowMs === undefined) throw new ConfigurationError('this store was not given to rateLimit')
    const { hits, leftMs } = await this.#hits.count(key, this.#windowMs)
    return { totalHits: hits, resetTime: new Date(Date.now() + leftMs) }
  }

  async decrement(key: string): Promise<void> {
    await this.#hits.uncount(key)
  }

  async resetKey(key: string): Promise<void> {
    await this.#hits.forget(key)
  }
}
