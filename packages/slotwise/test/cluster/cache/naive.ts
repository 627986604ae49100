import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'

/**
 * Cache-aside and write-through as textbooks have them: GET, load, SET; write to the database, then SET; DEL.
 * Loads are shared within the process. It is here to fail the tests of the real one.
 */
export class NaiveCache<T> {
  readonly #port: RedisPort
  readonly #name: string
  readonly #loads = new Map<Key, Promise<T>>()

  constructor(port: RedisPort, { name }: { readonly name: string }) {
    this.#port = port
    this.#name = name
  }

  async getOrLoad(id: string, load: () => Promise<T>): Promise<T> {
    const cached = await this.read(id)
    if (cached.found) return cached.value
    const key = this.#key(id)
    const present = this.#loads.get(key)
    if (present !== undefined) return present
    const loading = this.#load(key, load).finally(() => this.#loads.delete(key))
    this.#loads.set(key, loading)
    return loading
  }

  async read(id: string): Promise<{ found: true; value: T } | { found: false }> {
    const key = this.#key(id)
    const cached = await this.#port.call({ key, command: ['GET', key], repeat: 'safe' })
    return typeof cached === 'string' ? { found: true, value: JSON.parse(cached) as T } : { found: false }
  }

  async writeThrough(id: string, write: () => Promise<T>): Promise<T> {
    const value = await write()
    await this.#set(this.#key(id), value)
    return value
  }

  async invalidate(id: string): Promise<void> {
    const key = this.#key(id)
    await this.#port.call({ key, command: ['DEL', key], repeat: 'safe' })
  }

  async #load(key: Key, load: () => Promise<T>): Promise<T> {
    const value = await load()
    await this.#set(key, value)
    return value
  }

  async #set(key: Key, value: T): Promise<void> {
    await this.#port.call({ key, command: ['SET', key, JSON.stringify(value), 'PX', 60_000], repeat: 'safe' })
  }

  #key(id: string): Key {
    return keyOf({ namespace: this.#port.namespace, pattern: 'cache', name: this.#name }, id)
  }
}
