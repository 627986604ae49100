import type { CallOptions } from '../options.js'
import type { DeadLetter } from './dead-letters.js'
import type { Answer, Change } from './journal.js'
import type { Partitions } from './partitions.js'
import { toldOfLetters } from './told.js'
import { textOf } from './values.js'

/** So many are on their way at a time: others are accepted meanwhile, and each has its deadline. */
const AT_ONCE = 100

/** Some of the rows that were given up, in whichever partition, and what their owner does about them. */
export class GivenUp<T> {
  readonly #name: string
  readonly #partitions: Partitions<T>
  readonly #isWanted: (name: string) => boolean

  constructor(name: string, partitions: Partitions<T>, isWanted: (name: string) => boolean) {
    this.#name = name
    this.#partitions = partitions
    this.#isWanted = isWanted
  }

  async list(options: CallOptions): Promise<readonly DeadLetter<T>[]> {
    return (await this.#found(options)).map(({ letter }) => letter)
  }

  /** Each as it was told here: one that has changed since, or is gone, is not tried. */
  async replay(
    accept: (name: string, change: Change) => Promise<Answer>,
    options: CallOptions,
  ): Promise<number> {
    const found = await this.#found(options)
    let count = 0
    for (let at = 0; at < found.length; at += AT_ONCE) {
      const tried = found.slice(at, at + AT_ONCE).map(async ({ name, letter, tag }) => {
        const { row } = letter
        const change: Change = row.deleted
          ? { kind: 'd', ifLetter: tag }
          : { kind: 's', bytes: textOf(row.value), ifLetter: tag }
        return await accept(name, change)
      })
      count += (await Promise.all(tried)).filter(({ state }) => state === 'accepted').length
    }
    toldOfLetters(this.#name, 'replayed', count)
    return count
  }

  async discard(options: CallOptions): Promise<number> {
    const count = await this.#partitions.discard(await this.#found(options), options)
    toldOfLetters(this.#name, 'discarded', count)
    return count
  }

  async #found(options: CallOptions) {
    return await this.#partitions.letters(this.#isWanted, options)
  }
}
