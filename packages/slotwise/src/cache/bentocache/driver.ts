import type { RedisPort } from '../../redis/port.js'
import type { AdapterOptions } from '../shelf/options.js'
import { type Place, Shelves } from '../shelf/shelves.js'

/** What BentoCache 1 asks of a second level. */
export interface BentocacheDriver {
  readonly type: 'l2'
  namespace(namespace: string): BentocacheDriver
  /** `undefined` as well while Redis does not answer, within `budgetMs`, unless told otherwise. */
  get(key: string): Promise<string | undefined>
  /** Reads and removes in one step: of several who pull the same, one gets it. */
  pull(key: string): Promise<string | undefined>
  /** Without `ttl`, in milliseconds, it is kept for ever, or for the driver's own `ttlMs`. */
  set(key: string, value: string, ttl?: number): Promise<boolean>
  /** Removes everything of this namespace and those within it, on all primaries. Looks at every key of the servers. */
  clear(): Promise<void>
  /** Whether it was there. */
  delete(key: string): Promise<boolean>
  /** One round trip a node, whatever the slots. */
  deleteMany(keys: string[]): Promise<boolean>
  /** Refuses further calls; of a namespace, nothing, for it shares what its parent made. The port stays open. */
  disconnect(): Promise<void>
}

/**
 * A second level for BentoCache 1. What its stores with different prefixes hold shares nothing, whatever the prefixes
 * and keys are made of.
 *
 * While Redis does not answer, reads find nothing within `budgetMs`, so that the factory is called; writes reject, which
 * BentoCache logs (or throws, by `suppressL2Errors`), and what could not be overwritten is removed as soon as Redis
 * answers. `onError` hears of both. It is the second level alone: the bus between the first levels is BentoCache's.
 *
 * @example
 * ```ts
 * import { BentoCache, bentostore } from 'bentocache'
 * import { bentocacheDriver } from 'slotwise/cache/bentocache'
 * import { connect } from 'slotwise/ioredis'
 *
 * const port = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * const bento = new BentoCache({
 *   default: 'redis',
 *   stores: { redis: bentostore().useL2Layer(bentocacheDriver(port, { name: 'bento' })) },
 * })
 * console.log(await bento.getOrSet({ key: 'article-7', ttl: '1m', factory: () => 'from the database' }))
 * ```
 */
export function bentocacheDriver(
  port: RedisPort,
  options: AdapterOptions,
): {
  readonly options: Record<string, unknown>
  readonly factory: (config: { readonly prefix?: string | undefined }) => BentocacheDriver
} {
  return {
    options: {},
    factory: ({ prefix = '' }) => new Driver(new Shelves(port, options), withoutColon(prefix), []),
  }
}

class Driver implements BentocacheDriver {
  readonly type = 'l2'
  readonly #shelves: Shelves
  readonly #prefix: string
  readonly #within: readonly string[]

  constructor(shelves: Shelves, prefix: string, within: readonly string[]) {
    this.#shelves = shelves
    this.#prefix = prefix
    this.#within = within
  }

  namespace(namespace: string): BentocacheDriver {
    const within = [...this.#within, ...withoutColon(namespace).split(':')]
    return new Driver(this.#shelves, this.#prefix, within)
  }

  async get(key: string): Promise<string | undefined> {
    return textOf(await this.#shelves.get(this.#place(key)))
  }

  async pull(key: string): Promise<string | undefined> {
    return textOf(await this.#shelves.take(this.#place(key)))
  }

  async set(key: string, value: string, ttl?: number): Promise<boolean> {
    // 0 is no end, as with every driver of BentoCache itself.
    const ttlMs = ttl === 0 ? undefined : ttl
    const [stored = false] = await this.#shelves.put([{ ...this.#place(key), value, ttlMs }])
    return stored
  }

  async clear(): Promise<void> {
    await this.#shelves.clear(this.#prefix, this.#within)
  }

  async delete(key: string): Promise<boolean> {
    const [found = false] = await this.#shelves.remove([this.#place(key)])
    return found
  }

  async deleteMany(keys: string[]): Promise<boolean> {
    await this.#shelves.remove(keys.map((key) => this.#place(key)))
    return true
  }

  async disconnect(): Promise<void> {
    if (this.#within.length === 0) await this.#shelves.close()
  }

  /** A namespace is the beginning of a key, so that `users:1` of all is `1` of `users`: BentoCache asks for that. */
  #place(key: string): Place {
    return { shelf: this.#prefix, parts: [...this.#within, ...key.split(':')] }
  }
}

const withoutColon = (prefix: string): string => prefix.replace(/:+$/, '')

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
