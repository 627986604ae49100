import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'

const TTL_MS = 3_600_000

/**
 * Cache-aside and write-through as the article this project grew out of prints them: GET, or the fallback, whose value is
 * stored behind the caller's back; the database first, then SET. Each miss loads for itself. What it does not print is
 * how a reader learns of a change, so `invalidate` is the DEL that it uses for the tree of comments.
 */
export class SeedCache {
  readonly #port: RedisPort

  constructor(port: RedisPort) {
    this.#port = port
  }

  async getOrLoad(id: string, fallback: () => Promise<string>): Promise<string> {
    const cached = await this.read(id).catch(() => ({ found: false }) as const)
    if (cached.found) return cached.value
    const value = await fallback()
    void this.#set(id, value).catch(() => {})
    return JSON.parse(JSON.stringify(value)) as string
  }

  async read(id: string): Promise<{ found: true; value: string } | { found: false }> {
    const key = this.#key(id)
    const cached = await this.#port.call({ key, command: ['GET', key], repeat: 'safe' })
    return typeof cached === 'string'
      ? { found: true, value: JSON.parse(cached) as string }
      : { found: false }
  }

  async writeThrough(id: string, write: () => Promise<string>): Promise<string> {
    const value = await write()
    // The cache is not critical, it says.
    await this.#set(id, value).catch(() => {})
    return value
  }

  async invalidate(id: string): Promise<void> {
    const key = this.#key(id)
    await this.#port.call({ key, command: ['DEL', key], repeat: 'safe' })
  }

  async #set(id: string, value: string): Promise<void> {
    const key = this.#key(id)
    await this.#port.call({ key, command: ['SET', key, JSON.stringify(value), 'PX', TTL_MS], repeat: 'safe' })
  }

  #key(id: string): Key {
    return keyOf({ namespace: this.#port.namespace, pattern: 'cache', name: 'seed' }, id)
  }
}
