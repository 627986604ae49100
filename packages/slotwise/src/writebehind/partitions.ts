import { setMaxListeners } from 'node:events'
import { type KeySpace, keyOf } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { type DeadLetter, DeadLetters } from './dead-letters.js'
import { type Change, Journal, type JournalBounds, type Waiting } from './journal.js'
import { partitionKeys, partitionOf } from './partition-keys.js'
import { bytesOf } from './values.js'

/** One partition: what waits in it, and what was given up. */
interface Partition<T> {
  readonly journal: Journal
  readonly letters: DeadLetters<T>
}

/** A dead letter, the name of its row, and in which partition it lies. */
export interface FoundLetter<T> {
  readonly name: string
  readonly partition: number
  readonly letter: DeadLetter<T>
}

/** All partitions of one instance. */
export class Partitions<T> {
  readonly #all: readonly Partition<T>[]
  readonly #port: RedisPort
  readonly #space: KeySpace

  constructor(port: RedisPort, space: KeySpace, count: number, bounds: JournalBounds) {
    this.#port = port
    this.#space = space
    this.#all = partitionKeys(space, count).map((key, index) => ({
      journal: new Journal(port, key, bounds),
      letters: this.lettersAt(index),
    }))
  }

  get count(): number {
    return this.#all.length
  }

  /** Also of a partition that there was once. */
  lettersAt(index: number): DeadLetters<T> {
    return new DeadLetters(this.#port, keyOf(this.#space, ['dead', index]))
  }

  at(index: number): Partition<T> {
    const found = this.#all[index]
    if (found === undefined) throw new RangeError(`there is no partition ${index}`)
    return found
  }

  indexOf(name: string): number {
    return partitionOf(name, this.#all.length)
  }

  journalOf(name: string): Journal {
    return this.at(this.indexOf(name)).journal
  }

  lettersOf(name: string): DeadLetters<T> {
    return this.at(this.indexOf(name)).letters
  }

  get journals(): readonly Journal[] {
    return this.#all.map(({ journal }) => journal)
  }

  async waiting({ signal: given, ...options }: CallOptions): Promise<readonly Waiting[]> {
    // Every partition listens to it; how many may listen to the caller's own is the caller's affair.
    const signal = given && AbortSignal.any([given])
    if (signal !== undefined) setMaxListeners(0, signal)
    return await Promise.all(this.#all.map(({ journal }) => journal.waiting({ ...options, signal })))
  }

  /** What was given up and is wanted. */
  async letters(
    isWanted: (name: string) => boolean,
    options: CallOptions,
  ): Promise<readonly FoundLetter<T>[]> {
    const lists = await Promise.all(this.#all.map(({ letters }) => letters.list(options)))
    return lists.flatMap((letters, partition) =>
      [...letters].flatMap(([name, letter]) => (isWanted(name) ? [{ name, partition, letter }] : [])),
    )
  }

  /** Forgets letters. How many there were. */
  async discard(found: readonly FoundLetter<T>[], options: CallOptions): Promise<number> {
    const counts = found.map(({ name, partition }) => this.at(partition).letters.remove([name], options))
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  }
}

/** What is to become of the row of a letter, unless something newer waits of it. */
export function changeOf<T>({ row }: DeadLetter<T>): Change {
  return row.deleted ? { kind: 'd', ifIdle: true } : { kind: 's', bytes: bytesOf(row.value), ifIdle: true }
}
