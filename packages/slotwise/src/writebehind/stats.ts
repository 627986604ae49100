import type { Taken } from './journal.js'
import type { Lag } from './results.js'

/** What a process knows of the partitions that it has, without asking anybody. */
export interface WriteBehindStats {
  /** How many partitions it flushes. */
  readonly partitions: number
  /** What waited in them when each was looked at last, which is every `flushIntervalMs`; its age goes on meanwhile. */
  readonly lag: Lag
  /** How many rows of them the database does not take. */
  readonly deadLetters: number
  /** How many lines a batch may have at the moment, on average over them; 0 for none. */
  readonly batchSize: number
}

/** What the flusher of one partition has seen of it. */
export class Seen {
  #entries = 0
  #bytes = 0
  #since = 0
  #letters = 0

  /** The partition was looked at. */
  took({ from, to, bytes, ms, letters }: Taken): void {
    this.#entries = Math.max(0, to.seen.number - from + 1)
    this.#bytes = bytes
    this.#since = performance.now() - ms
    this.#letters = letters
  }

  /** So many lines are left, and so many rows were given up. */
  wrote(left: number, given: number): void {
    this.#entries = left
    this.#letters += given
  }

  get letters(): number {
    return this.#letters
  }

  get lag(): Lag {
    if (this.#entries === 0) return { entries: 0, bytes: 0, ms: 0 }
    return { entries: this.#entries, bytes: this.#bytes, ms: performance.now() - this.#since }
  }
}

export function statsOf(
  all: readonly { readonly seen: Seen; readonly batchSize: number }[],
): WriteBehindStats {
  const sum = (of: (one: (typeof all)[number]) => number) => all.reduce((total, one) => total + of(one), 0)
  return {
    partitions: all.length,
    lag: {
      entries: sum(({ seen }) => seen.lag.entries),
      bytes: sum(({ seen }) => seen.lag.bytes),
      ms: Math.max(0, ...all.map(({ seen }) => seen.lag.ms)),
    },
    deadLetters: sum(({ seen }) => seen.letters),
    batchSize: sum(({ batchSize }) => batchSize) / Math.max(1, all.length),
  }
}
