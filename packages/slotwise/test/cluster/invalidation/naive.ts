import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'

/** Tags as most caches have them: a number that each change raises, absent being nought. */
export class CountedTags {
  readonly #port: RedisPort
  readonly #name: string

  constructor(port: RedisPort, name: string) {
    this.#port = port
    this.#name = `n${name.slice(0, 8)}`
  }

  keyOf(tag: string): Key {
    return keyOf({ namespace: this.#port.namespace, pattern: 'naive', name: this.#name }, tag)
  }

  async snapshot(tags: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const counts = tags.map(async (tag): Promise<[string, number]> => {
      const key = this.keyOf(tag)
      return [tag, Number((await this.#port.call({ key, command: ['GET', key] })) ?? 0)]
    })
    return new Map(await Promise.all(counts))
  }

  async isCurrent(snapshot: ReadonlyMap<string, number>): Promise<boolean> {
    const now = await this.snapshot([...snapshot.keys()])
    return [...snapshot].every(([tag, count]) => now.get(tag) === count)
  }

  async bump(tags: readonly string[]): Promise<void> {
    for (const tag of tags) {
      const key = this.keyOf(tag)
      await this.#port.call({ key, command: ['INCR', key] })
    }
  }
}
