import type { RedisPort } from '../../redis/port.js'
import { BEYOND, Hits, type HitsOptions } from '../hits/hits.js'

/** Settings of {@link fastifyRateLimitStore}. */
export type FastifyRateLimitStoreOptions = HitsOptions

/** What the package tells a store, of all routes or of one. */
interface StoreSettings {
  readonly continueExceeding?: boolean
  readonly exponentialBackoff?: boolean
}

/** The route that a store is for; empty for one that was made by `createRateLimit`. */
interface Route {
  readonly routeInfo?: { readonly method?: string | readonly string[]; readonly url?: string }
}

type Callback = (error: Error | null, result?: { current: number; ttl: number }) => void

/** What @fastify/rate-limit 11 asks of a store. */
export interface FastifyRateLimitStore {
  incr(key: string, callback: Callback, timeWindow: number, max: number): void
  /** Tells without counting, for `increment: false`. */
  read(key: string, callback: Callback): void
  /** A store for a route with settings of its own. */
  child(route: object): FastifyRateLimitStore
}

/**
 * A class of stores for @fastify/rate-limit 11 on Redis Cluster, for its option `store`. One round trip a call; windows to the
 * millisecond, by the server's clock; a hit whose answer was lost is not counted again. Routes with limits of their own
 * count apart. `continueExceeding` and `exponentialBackoff` are kept, the latter up to a year.
 *
 * As the package asks for, refused requests are counted as well, and windows are fixed: up to twice the limit passes where
 * two of them meet. While Redis does not answer, calls fail within `deadlineMs`: `skipOnError` is the package's choice.
 *
 * @example
 * ```ts
 * import { fastifyRateLimit } from '@fastify/rate-limit'
 * import { fastify } from 'fastify'
 * import { connect } from 'slotwise/ioredis'
 * import { fastifyRateLimitStore } from 'slotwise/ratelimit/fastify'
 *
 * const port = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * const store = fastifyRateLimitStore(port, { name: 'api' })
 * await fastify().register(fastifyRateLimit, { max: 100, timeWindow: 60_000, store })
 * ```
 */
export function fastifyRateLimitStore(
  port: RedisPort,
  options: FastifyRateLimitStoreOptions,
): new (
  settings: object,
) => FastifyRateLimitStore {
  const hits = new Hits(port, options)

  return class Store implements FastifyRateLimitStore {
    readonly #beyond: 0 | 1 | 2
    readonly #scope: readonly string[]

    constructor(settings: StoreSettings, scope: readonly string[] = []) {
      const { continueExceeding = false, exponentialBackoff = false } = settings
      this.#beyond = continueExceeding ? BEYOND.restart : exponentialBackoff ? BEYOND.double : BEYOND.nothing
      this.#scope = scope
    }

    incr(key: string, callback: Callback, timeWindow: number, max: number): void {
      void answer(hits.count(this.#id(key), timeWindow, max, this.#beyond), callback)
    }

    read(key: string, callback: Callback): void {
      void answer(hits.look(this.#id(key)), callback)
    }

    child(route: StoreSettings & Route): FastifyRateLimitStore {
      const { method = '', url = '' } = route.routeInfo ?? {}
      return new Store(route, [...this.#scope, String(method), url])
    }

    /** A key may be a number, whatever its type says. */
    #id(key: string | number): readonly string[] {
      return [...this.#scope, String(key)]
    }
  }
}

/** Never rejects. */
async function answer(window: Promise<{ hits: number; leftMs: number }>, callback: Callback): Promise<void> {
  try {
    const { hits, leftMs } = await window
    callback(null, { current: hits, ttl: leftMs })
  } catch (error) {
    callback(error instanceof Error ? error : new Error(String(error)))
  }
}
