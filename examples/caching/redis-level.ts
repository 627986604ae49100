import type { Cache, ReadToken } from 'slotwise/cache'

/** `Get` and `Set` of the level in Redis, for code that loads by itself between them. */
export class RedisLevel<T> {
  readonly #cache: Cache<T>

  constructor(cache: Cache<T>) {
    this.#cache = cache
  }

  /** What is there and fresh, and in any case what `set` needs. */
  async get(id: string): Promise<{ readonly value: T | undefined; readonly token: ReadToken }> {
    const seen = await this.#cache.read(id)
    return { value: seen.found && !seen.stale ? seen.value : undefined, token: seen.token }
  }

  /** `false`: somebody has changed the entry since that `get`, so that this value may be older, and it is not stored. */
  async set(id: string, value: T, token: ReadToken): Promise<boolean> {
    return await this.#cache.set(id, value, { token })
  }
}
