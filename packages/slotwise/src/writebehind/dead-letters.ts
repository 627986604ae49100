import type { Key } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import bequeathSource from './bequeath.lua.js'
import { type Row, type RowId, rowOf } from './rows.js'

const bequeath = defineScript(bequeathSource, { repeat: 'safe', decode: (reply) => reply === 1 })

/** Beside the letters: how often the number of partitions had been changed when the layout began. No row has that name. */
const BEGAN = ''

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

  async list(options: CallOptions = {}): Promise<ReadonlyMap<string, DeadLetter<T>>> {
    const found = new Map<string, DeadLetter<T>>()
    for (const [name, letter] of await this.#letters(options)) {
      const { row, error, at } = JSON.parse(letter) as Kept<T>
      found.set(name, { ...rowOf(name), row, error, at: new Date(at) })
    }
    return found
  }

  /**
   * Carries those to where they belong when there is another number of partitions, `changes` being how often it was changed. A
   * letter is there before it is removed here. How many there were; `undefined` if that layout has begun here or there.
   */
  async bequeath(
    changes: number,
    heirOf: (name: string) => DeadLetters<T>,
    options: CallOptions,
  ): Promise<number | undefined> {
    let count = 0
    for (const [name, letter] of await this.#letters(options)) {
      const heir = heirOf(name)
      if (heir.#key === this.#key) continue
      if (!(await heir.#bequeath({ changes, name, letter }, options))) return undefined
      if (!(await this.#bequeath({ changes, name, letter: '' }, options))) return undefined
      count++
    }
    return count
  }

  /** From now on nothing is carried here for that layout any more. */
  async begin(changes: number, options: CallOptions): Promise<void> {
    await this.#bequeath({ changes, name: BEGAN, letter: '' }, options)
  }

  async #bequeath(
    args: { readonly changes: number; readonly name: string; readonly letter: string },
    options: CallOptions,
  ): Promise<boolean> {
    return await bequeath.run(this.#port, { letters: this.#key }, args, options)
  }

  async #letters(options: CallOptions): Promise<readonly (readonly [name: string, letter: string])[]> {
    const reply = await this.#call(['HGETALL', this.#key], options)
    const parts = (Array.isArray(reply) ? reply : []).map(String)
    const pairs = parts.flatMap((name, i) => (i % 2 === 0 ? [[name, parts[i + 1] ?? ''] as const] : []))
    return pairs.filter(([name]) => name !== BEGAN)
  }

  async #call(command: readonly [string, ...string[]], options: CallOptions): Promise<unknown> {
    return await this.#port.call({ key: this.#key, command, repeat: 'safe' }, options)
  }
}
