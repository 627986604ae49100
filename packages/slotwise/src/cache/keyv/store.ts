import { EventEmitter } from 'node:events'
import { ConfigurationError } from '../../errors.js'
import type { RedisPort } from '../../redis/port.js'
import type { AdapterOptions } from '../shelf/options.js'
import { type Place, Shelves } from '../shelf/shelves.js'

/** An entry to be stored; `ttl` in milliseconds. */
export interface KeyvEntry {
  readonly key: string
  readonly value: unknown
  readonly ttl?: number | undefined
}

/**
 * What Keyv 5 asks of a store. Namespaces share nothing, whatever they and the keys are made of, and `clear` removes what
 * one of them has on all primaries and nothing else. **Each Keyv needs a store of its own**, which costs nothing: the
 * stores share the port.
 *
 * While Redis does not answer, reads give `undefined` within `budgetMs` and an `error` event; writes reject, so that
 * Keyv answers `false` and emits `error`, and what could not be overwritten is removed as soon as Redis answers.
 * Entries may be lost at any time, as in any cache.
 *
 * @example
 * ```ts
 * import { Keyv } from 'keyv'
 * import { KeyvStore } from 'slotwise/cache/keyv'
 * import { connect } from 'slotwise/ioredis'
 *
 * const port = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * const titles = new Keyv<string>({ store: new KeyvStore(port, { name: 'keyv' }), namespace: 'titles' })
 * await titles.set('article-7', 'Slots', 60_000)
 * console.log(await titles.get('article-7'))
 * ```
 */
export class KeyvStore extends EventEmitter {
  /** Keyv makes an iterator of a store whose dialect it knows. */
  readonly opts: { readonly dialect: 'redis'; readonly url: string; [setting: string]: unknown } = {
    dialect: 'redis',
    url: '',
  }
  readonly #shelves: Shelves
  /** Those given so far, the present one last. */
  #namespaces: (string | undefined)[] = []

  constructor(port: RedisPort, options: AdapterOptions) {
    super()
    this.#shelves = new Shelves(port, {
      ...options,
      onError: (error, context) => {
        options.onError?.(error, context)
        // A failed write reaches Keyv by itself. Without a listener, `error` would be thrown.
        if (context.operation === 'read' && this.listenerCount('error') > 0) this.emit('error', error)
      },
    })
  }

  /** Set by Keyv. */
  get namespace(): string | undefined {
    return this.#namespaces.at(-1)
  }

  set namespace(given: string | undefined) {
    const namespace = given === '' ? undefined : given
    this.#namespaces = [...this.#namespaces.filter((other) => other !== namespace), namespace]
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    return (await this.#shelves.get(this.#place(key))) as Value | undefined
  }

  /** One round trip a node. */
  async getMany<Value>(keys: readonly string[]): Promise<(Value | undefined)[]> {
    const values = await this.#shelves.getMany(keys.map((key) => this.#place(key)))
    return values as (Value | undefined)[]
  }

  /** Whether it was stored. */
  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    const [stored = false] = await this.#shelves.put([{ ...this.#place(key), value, ttlMs: ttl }])
    return stored
  }

  /** One round trip a node. Gives whether each was stored, which Keyv passes on: its declarations do not know of it. */
  async setMany(entries: readonly KeyvEntry[]): Promise<void> {
    const filings = entries.map(({ key, value, ttl }) => ({ ...this.#place(key), value, ttlMs: ttl }))
    return (await this.#shelves.put(filings)) as unknown as undefined
  }

  /** Whether it was there. */
  async delete(key: string): Promise<boolean> {
    const [found = false] = await this.#shelves.remove([this.#place(key)])
    return found
  }

  /** Whether any was there. One round trip a node. */
  async deleteMany(keys: readonly string[]): Promise<boolean> {
    const found = await this.#shelves.remove(keys.map((key) => this.#place(key)))
    return found.includes(true)
  }

  async has(key: string): Promise<boolean> {
    return (await this.get(key)) !== undefined
  }

  /** One round trip a node. */
  async hasMany(keys: readonly string[]): Promise<boolean[]> {
    return (await this.getMany(keys)).map((value) => value !== undefined)
  }

  /**
   * Removes everything of the namespace, on all primaries. Looks at every key of the servers.
   *
   * @throws ConfigurationError this store was given several namespaces, so which of them to clear is not known
   */
  async clear(): Promise<void> {
    if (this.#namespaces.length > 1) {
      const given = this.#namespaces.map(String).join(', ')
      throw new ConfigurationError(
        `this store was given several namespaces (${given}), so which of them to clear is not known: make a store for each Keyv`,
      )
    }
    await this.#shelves.clear(this.namespace ?? '')
  }

  /** Everything of a namespace, from all primaries, each once, also while slots move. Rejects if a primary does not answer. */
  async *iterator<Value>(namespace?: string): AsyncGenerator<(string | Awaited<Value> | undefined)[], void> {
    for await (const [parts, value] of this.#shelves.entries(namespace ?? '')) {
      const [first = '', bare] = parts
      const key = bare ?? (namespace === undefined ? first : `${namespace}:${first}`)
      yield [key, value as Awaited<Value>]
    }
  }

  /** Refuses further calls. The port stays open. Idempotent. */
  async disconnect(): Promise<void> {
    await this.#shelves.close()
  }

  /**
   * Keyv puts its namespace and a colon before a key, unless told not to. The key is parted from its namespace again, so
   * that `a` with `b:c` and `a:b` with `c` stay apart; keys that came bare lie apart from both.
   */
  #place(key: string): Place {
    const { namespace } = this
    const longestFirst = this.#namespaces.toSorted((a = '', b = '') => b.length - a.length)
    const own = [namespace, ...longestFirst].find((one) => one !== undefined && key.startsWith(`${one}:`))
    if (own !== undefined) return { shelf: own, parts: [key.slice(own.length + 1)] }
    return namespace === undefined ? { shelf: '', parts: [key] } : { shelf: namespace, parts: ['', key] }
  }
}
