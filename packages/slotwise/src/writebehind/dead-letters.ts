import type { Key } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { type Row, type RowId, rowOf } from './rows.js'

/** A row that the database does not take. */
export interface DeadLetter<T> {
  readonly id: RowId
  readonly tenant?: string
  /** What was to become of it. */
  readonly row: Row<T>
  /** What the database said, in words. */
  readonly error: string
  /** When it was given up. */
  readonly at: Date
}

/** How a letter is kept. */
interface Kept<T> {
  readonly row: Row<T>
  readonly error: string
  readonly at: number
}

/**
 * The rows of one partition that were given up, each as it was last: beside the journal, in a key of their own. One that is
 * written in the end has no letter any more.
 */
export class DeadLetters<T> {
  readonly #port: RedisPort
  readonly #key: Key

  constructor(port: RedisPort, key: Key) {
    this.#port = port
    this.#key = key
  }

  async add(letters: ReadonlyMap<string, Omit<Kept<T>, 'at'>>, options: CallOptions): Promise<void> {
    const at = Date.now()
    const fields = [...letters].flatMap(([name, letter]) => [name, JSON.stringify({ ...letter, at })])
    await this.#call(['HSET', this.#key, ...fields], options)
  }

  /** How many of them there were. */
  async remove(names: readonly string[], options: CallOptions = {}): Promise<number> {
    return names.length === 0 ? 0 : Number(await this.#call(['HDEL', this.#key, ...names], options))
  }

  /** Which of these rows have one. */
  async has(names: readonly string[], options: CallOptions = {}): Promise<ReadonlySet<string>> {
    if (names.length === 0) return new Set()
    const reply = await this.#call(['HMGET', this.#key, ...names], options)
    const found = Array.isArray(reply) ? (reply as readonly unknown[]) : []
    return new Set(names.filter((_, i) => found[i] !== null))
  }

  async list(options: CallOptions = {}): Promise<ReadonlyMap<string, DeadLetter<T>>> {
    const reply = await this.#call(['HGETALL', this.#key], options)
    const parts = (Array.isArray(reply) ? reply : []).map(String)
    const found = new Map<string, DeadLetter<T>>()
    for (let i = 0; i < parts.length; i += 2) {
      const name = parts[i] ?? ''
      const { row, error, at } = JSON.parse(parts[i + 1] ?? '') as Kept<T>
      found.set(name, { ...rowOf(name), row, error, at: new Date(at) })
    }
    return found
  }

  async #call(command: readonly [string, ...string[]], options: CallOptions): Promise<unknown> {
    return await this.#port.call({ key: this.#key, command, repeat: 'safe' }, options)
  }
}
