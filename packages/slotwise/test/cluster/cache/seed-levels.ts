import {
  type Key,
  type KeySpace,
  keyOf,
  type RedisPort,
  type ShardSubscription,
} from '../../../src/redis/index.js'

const L1_TTL_MS = 5 * 60_000
const L2_TTL_MS = 3_600_000

/**
 * Memory before Redis as the article this project grew out of prints it: `get` and `set`, and five minutes of the one before an
 * hour of the other. Its sweep of what has ended is left out, since `get` looks at that by itself. How a process hears of a change
 * it announces in two chapters, and prints in none: `invalidate` is DEL, and a message by which every process forgets the key;
 * `invalidateAll` looks for keys by their beginning, which its client asks of one node of the cluster.
 */
export class SeedLevels {
  readonly #port: RedisPort
  readonly #space: KeySpace
  readonly #l1 = new Map<Key, { readonly data: string; readonly expiresAt: number }>()
  readonly #channel: Key
  #subscription: ShardSubscription | undefined

  private constructor(port: RedisPort, name: string) {
    this.#port = port
    this.#space = { namespace: port.namespace, pattern: 'seed', name }
    this.#channel = keyOf({ namespace: port.namespace, pattern: 'news', name }, 'invalidate')
  }

  static async open(port: RedisPort, name: string): Promise<SeedLevels> {
    const levels = new SeedLevels(port, name)
    levels.#subscription = await port.subscribe(levels.#channel, {
      message: (id) => void levels.#l1.delete(levels.#key(String(id))),
    })
    return levels
  }

  async get(id: string): Promise<string | undefined> {
    const key = this.#key(id)
    const held = this.#l1.get(key)
    if (held !== undefined && performance.now() < held.expiresAt) return JSON.parse(held.data) as string
    this.#l1.delete(key)
    const data = await this.#port.call({ key, command: ['GET', key], repeat: 'safe' })
    if (typeof data !== 'string') return undefined
    this.#hold(key, data)
    return JSON.parse(data) as string
  }

  async set(id: string, value: string): Promise<void> {
    const key = this.#key(id)
    const data = JSON.stringify(value)
    this.#hold(key, data)
    await this.#port.call({ key, command: ['SET', key, data, 'PX', L2_TTL_MS], repeat: 'safe' })
  }

  async invalidate(id: string): Promise<void> {
    const key = this.#key(id)
    await this.#port.call({ key, command: ['DEL', key], repeat: 'safe' })
    this.#l1.delete(key)
    await this.#port.call({ key: this.#channel, command: ['SPUBLISH', this.#channel, id], repeat: 'safe' })
  }

  async invalidateAll(): Promise<void> {
    const [node] = this.#port.topology().nodes.filter(({ role }) => role === 'primary')
    const prefix = this.#key('').replace(/\{.*/, '')
    const keys = await this.#port.onNode(node?.id ?? '', ['KEYS', `${prefix}*`])
    if (!Array.isArray(keys)) throw new Error(`KEYS answered ${String(keys)}`)
    for (const key of keys) await this.invalidate(/\{(.*)\}/.exec(String(key))?.[1] ?? '')
  }

  async close(): Promise<void> {
    await this.#subscription?.close()
  }

  #hold(key: Key, data: string): void {
    this.#l1.set(key, { data, expiresAt: performance.now() + L1_TTL_MS })
  }

  #key(id: string): Key {
    return keyOf(this.#space, id)
  }
}
