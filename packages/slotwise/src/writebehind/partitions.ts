import { setMaxListeners } from 'node:events'
import type { KeySpace } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { DeadLetters, type Found } from './dead-letters.js'
import { Journal, type JournalBounds, type Waiting } from './journal.js'
import { partitionKeys, partitionOf } from './partition-keys.js'

/** One partition: what waits in it, and what was given up. */
interface Partition<T> {
  readonly journal: Journal
  readonly letters: DeadLetters<T>
}

/** A dead letter, the name of its row, and in which partition it lies. */
export interface FoundLetter<T> extends Found<T> {
  readonly name: string
  readonly partition: number
}

/** All partitions of one instance. */
export class Partitions<T> {
  readonly #all: readonly Partition<T>[]

  constructor(port: RedisPort, space: KeySpace, count: number, bounds: JournalBounds) {
    this.#all = partitionKeys(space, count).map((key) => ({
      journal: new Journal(port, key, bounds),
      letters: new DeadLetters(port, key),
    }))
  }

  get count(): number {
    return this.#all.length
  }

  get journals(): readonly Journal[] {
    return this.#all.map(({ journal }) => journal)
  }

  at(index: number): Partition<T> {
    const found = this.#all[index]
    if (found === undefined) throw new RangeError(`there is no partition ${index}`)
    return found
  }

  /** In which of them a row is. */
  of(name: string): number {
    return partitionOf(name, this.#all.length)
  }

  journalOf(name: string): Journal {
    return this.at(this.of(name)).journal
  }

  async waiting(options: CallOptions): Promise<readonly Waiting[]> {
    const each = forMany(options)
    return await Promise.all(this.#all.map(({ journal }) => journal.waiting(each)))
  }

  /** What was given up and is wanted. */
  async letters(
    isWanted: (name: string) => boolean,
    options: CallOptions,
  ): Promise<readonly FoundLetter<T>[]> {
    const each = forMany(options)
    const lists = await Promise.all(this.#all.map(({ letters }) => letters.list(each)))
    return lists.flatMap((letters, partition) =>
      [...letters].flatMap(([name, found]) => (isWanted(name) ? [{ ...found, name, partition }] : [])),
    )
  }

  /** Forgets letters. How many there were still. */
  async discard(found: readonly FoundLetter<T>[], options: CallOptions): Promise<number> {
    const each = forMany(options)
    const counts = this.#all.map(({ letters }, at) =>
      letters.discard(
        found.filter(({ partition }) => partition === at),
        each,
      ),
    )
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  }
}

/** The same for many calls at once, all of which listen to its signal; how many may listen to the caller's own is the caller's affair. */
export function forMany<O extends CallOptions>({ signal: given, ...options }: O) {
  const signal = given && AbortSignal.any([given])
  if (signal !== undefined) setMaxListeners(0, signal)
  return { ...options, signal }
}
