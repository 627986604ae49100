import { BatchFencedError, ConfigurationError, UnexpectedReplyError } from '../errors.js'
import type { Key } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { Argument, RedisPort, Reply } from '../redis/port.js'
import { defineScript, type ScriptSource } from '../redis/script.js'
import bequeathSource from './bequeath.lua.js'
import burySource from './bury.lua.js'
import type { Copies } from './copies.js'
import { isAsked, type Safety, waitOf } from './durability.js'
import forgetSource from './forget.lua.js'
import type { Line, Owner } from './journal.js'
import { lineOf } from './journal-reply.js'
import lettersSource from './letters.lua.js'
import { type Row, type RowId, rowOf } from './rows.js'

/** A row that the database does not take. */
export interface DeadLetter<T> {
  readonly id: RowId
  readonly tenant?: string
  /** What was to become of it. */
  readonly row: Row<T>
  /** What the database said, in words, of which there are at most 1,000 characters. */
  readonly error: string
  /** When it was given up. */
  readonly at: Date
}

/** A letter, and of which line of its row. */
export interface Found<T> {
  readonly letter: DeadLetter<T>
  readonly tag: Buffer
}

/** A letter as it was told: its row, and of which of its lines. */
interface Told {
  readonly name: string
  /** Empty for whichever there is. */
  readonly tag: Uint8Array | string
}

/** A row that is given up, and which of its lines was its last then. */
export interface Burial<T> {
  readonly name: string
  readonly tag: string
  readonly row: Row<T>
  readonly error: string
}

/** What has become of rows that are given up. */
export interface Buried {
  /** Those that have a letter now; the others have changed meanwhile. */
  readonly names: ReadonlySet<string>
  /** The last line that there was then. */
  readonly last: Line
}

/** How a letter is kept. */
interface Kept<T> {
  readonly row: Row<T>
  readonly error: string
  readonly at: number
}

const page = defineScript(lettersSource, { repeat: 'safe', decode: pageOf })
/** So many letters are asked for, or removed, at a time. */
const PAGE = 100

/**
 * The rows of one partition that were given up, each as it was last: in the key of its journal, so that what is said of a row
 * holds for what waits of it in the same step, and a failover takes both back or neither.
 *
 * What waits of a row is no letter: there is none any more from when a row is read to be written, and again one if the database
 * does not take it.
 */
export class DeadLetters<T> {
  readonly #port: RedisPort
  readonly #key: Key

  constructor(port: RedisPort, key: Key) {
    this.#port = port
    this.#key = key
  }

  /**
   * Of each row that is still what was refused; as safe as is asked for, or once that has taken too long. Of the others it is known that
   * they were passed over up to a line.
   *
   * @throws BatchFencedError a later one flushes: nothing was changed
   */
  async bury(
    owner: Owner,
    burials: readonly Burial<T>[],
    upTo: number,
    safety: Safety,
    options: CallOptions = {},
  ): Promise<Buried> {
    const at = Date.now()
    const args = burials.flatMap(({ name, tag, row, error }) => [
      name,
      tag,
      JSON.stringify({ row, error, at } satisfies Kept<T>),
    ])
    const call = this.#scriptCall(burySource, [owner, upTo, ...args])
    const reply = isAsked(safety)
      ? (await this.#port.writeThenWait(call, { ...options, ...waitOf(safety), binary: true })).reply
      : await this.#port.call(call, { ...options, binary: true })
    const [state, number, tag, ...names] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
    if (state === 0) throw fenced()
    return { names: new Set(names.map(String)), last: lineOf(number, tag) }
  }

  /**
   * Whichever these rows have. How many there were.
   *
   * @throws BatchFencedError a later one than the owner flushes: what was not forgotten until then is left
   */
  async forget(owner: Owner, names: readonly string[], options: CallOptions): Promise<number> {
    const whichever = names.map((name) => ({ name, tag: '' }))
    const count = await this.#forget(owner, whichever, options)
    if (count === undefined) throw fenced()
    return count
  }

  /**
   * How many of them there were still: none that tells of its row what has become of it since.
   *
   * @throws ConfigurationError they are being carried to other partitions: what was not forgotten until then is left
   */
  async discard(letters: readonly Told[], options: CallOptions): Promise<number> {
    const count = await this.#forget('', letters, options)
    if (count !== undefined) return count
    throw new ConfigurationError('the number of partitions has been changed, or is being changed')
  }

  /** Of each of these lines, which are gone, whether it was written, and not its row given up or passed over. */
  async areWritten(
    lines: readonly { readonly name: string; readonly number: number }[],
    options: CallOptions = {},
  ): Promise<readonly boolean[]> {
    if (lines.length === 0) return []
    const fields = lines.flatMap(({ name }) => [`x${name}`, `u${name}`])
    const command = ['HMGET', this.#key, ...fields] as const
    const reply = await this.#port.call({ key: this.#key, command, repeat: 'safe' }, options)
    const found = Array.isArray(reply) ? (reply as readonly Reply[]) : []
    return lines.map(({ number }, i) => {
      const [letter, passed] = [found[2 * i] ?? null, found[2 * i + 1] ?? null]
      return letter === null && (passed === null || Number(passed) < number)
    })
  }

  /** All that are there all the time until it has ended. */
  async list(options: CallOptions = {}): Promise<ReadonlyMap<string, Found<T>>> {
    const found = new Map<string, Found<T>>()
    for await (const letters of this.#pages(options)) {
      for (const { name, tag, text } of letters) {
        const { row, error, at } = JSON.parse(text) as Kept<T>
        found.set(name, { tag, letter: { ...rowOf(name), row, error, at: new Date(at) } })
      }
    }
    return found
  }

  /**
   * Carries those to where they belong that belong elsewhere, while neither here nor there any line is taken: what partitions
   * belong to says for which layout. A letter is there, and in the replicas, before it is removed here. How many were; fewer than there are where others
   * carry them too, or that layout has begun.
   */
  async bequeath(
    sealed: string,
    keyOf: (name: string) => Key,
    copies: Copies,
    options: CallOptions,
  ): Promise<number> {
    let count = 0
    for await (const letters of this.#pages(options)) {
      for (const key of new Set(letters.map(({ name }) => keyOf(name)))) {
        if (key === this.#key) continue
        const those = letters.filter(({ name }) => keyOf(name) === key)
        const args = those.flatMap(({ name, tag, text }) => [name, tag, text])
        const call = { ...this.#scriptCall(bequeathSource, [sealed, ...args]), keys: [key] as const }
        if ((await copies.call(call, options)) !== 1) continue
        count += (await this.#forget(sealed, those, options)) ?? 0
      }
    }
    return count
  }

  /** From the last to the first, so that none is missed that is there all the time. */
  async *#pages(options: CallOptions): AsyncGenerator<Page['letters']> {
    let from = 0
    do {
      const args = { from, most: PAGE }
      const keys = { partition: this.#key }
      const { next, letters } = await page.run(this.#port, keys, args, { ...options, binary: true })
      yield letters
      from = next
    } while (from > 0)
  }

  /** Some at a time: others wait for a script as long as it takes. `undefined` if the owner is not who may. */
  async #forget(owner: string, letters: readonly Told[], options: CallOptions): Promise<number | undefined> {
    let sum = 0
    for (let at = 0; at < letters.length; at += PAGE) {
      const args = letters.slice(at, at + PAGE).flatMap(({ name, tag }) => [name, tag])
      const count = Number(await this.#port.call(this.#scriptCall(forgetSource, [owner, ...args]), options))
      if (count < 0) return undefined
      sum += count
    }
    return sum
  }

  #scriptCall(script: ScriptSource, args: readonly Argument[]) {
    return { script, keys: [this.#key], args, repeat: 'safe' } as const
  }
}

const fenced = () => new BatchFencedError('another flusher has the partition')

interface Page {
  readonly next: number
  readonly letters: readonly { readonly name: string; readonly tag: Buffer; readonly text: string }[]
}

function pageOf(reply: Reply): Page {
  const [next, ...letters] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  if (typeof next !== 'number') throw new UnexpectedReplyError('a partition was answered with something else')
  return {
    next,
    letters: letters.flatMap((letter) => {
      const [name, tag, text] = Array.isArray(letter) ? (letter as readonly Reply[]) : []
      return Buffer.isBuffer(tag) ? [{ name: String(name), tag, text: String(text) }] : []
    }),
  }
}
