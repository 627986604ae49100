import { setTimeout as sleep } from 'node:timers/promises'
import type { DeadLetters } from './dead-letters.js'
import type { Journal } from './journal.js'

/** A line that is waited for. */
export interface Awaited {
  readonly number: number
  /** By which it is known that it is this line, and not another one that has its number after a failover. */
  readonly mark: string
  /** Of its row. */
  readonly name: string
}

interface Waiter extends Awaited {
  readonly settle: (isWritten: boolean) => void
}

const POLL_MS = 25
/** So many are asked for at a time. */
const MOST = 100

/**
 * Tells when lines of one partition are in the database: one question every 25 ms for all that wait in this process, and none
 * while nobody does.
 *
 * A line is gone from the journal only once it is written or its row is given up, or passed over for a later line. That it is the same journal still, the mark
 * says, which was made in one step with the line: a failover that lost the line has lost the mark.
 */
export class Written {
  readonly #journal: Journal
  readonly #letters: Pick<DeadLetters<unknown>, 'areWritten'>
  readonly #hurry: () => void
  /** By their numbers, for lines go in that order. */
  readonly #waiters: Waiter[] = []
  #isAsking = false

  constructor(
    journal: Journal,
    letters: Pick<DeadLetters<unknown>, 'areWritten'>,
    /** Tells whoever flushes the partition in this process, if anybody does. */
    hurry: () => void,
  ) {
    this.#journal = journal
    this.#letters = letters
    this.#hurry = hurry
  }

  /** Whether it is written within so many milliseconds; `false` also if its row was given up, or a failover has lost it. */
  async wait(line: Awaited, ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    signal?.throwIfAborted()
    if (ms <= 0) return false
    return await new Promise<boolean>((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', stop)
        // Mostly the first, since those that came before it have left. Who has left may be told again, by a question from before.
        const at = this.#waiters.indexOf(waiter)
        if (at >= 0) this.#waiters.splice(at, 1)
      }
      const settle = (isWritten: boolean) => {
        leave()
        resolve(isWritten)
      }
      const stop = () => {
        leave()
        reject(signal?.reason as Error)
      }
      const waiter: Waiter = { ...line, settle }
      const timer = setTimeout(settle, ms, false).unref()
      signal?.addEventListener('abort', stop, { once: true })
      const at = this.#waiters.findLastIndex(({ number }) => number <= line.number)
      this.#waiters.splice(at + 1, 0, waiter)
      if (!this.#isAsking) void this.#ask()
    })
  }

  async #ask(): Promise<void> {
    this.#isAsking = true
    while (this.#waiters.length > 0) {
      this.#hurry()
      // Redis is away: who waits has a deadline.
      const settled = await this.#settle(this.#waiters.slice(0, MOST)).catch(() => 0)
      if (settled < MOST) await sleep(POLL_MS, undefined, { ref: false })
    }
    this.#isAsking = false
  }

  async #settle(oldest: readonly Waiter[]): Promise<number> {
    const first = await this.#journal.firstWith(oldest.map(({ mark }) => mark))
    const gone = oldest.filter((_, i) => first.has[i] === false)
    const over = oldest.filter(({ number }, i) => first.has[i] === true && number < first.number)
    const written = await this.#letters.areWritten(over)
    for (const waiter of gone) waiter.settle(false)
    for (const [i, waiter] of over.entries()) waiter.settle(written[i] === true)
    return gone.length + over.length
  }
}
