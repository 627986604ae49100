import { ConfigurationError } from '../errors.js'
import { type Durability, reached } from './durability.js'
import type { Answer, Waiting } from './journal.js'
import type { Settings } from './options.js'

/** What becomes of a change. */
export type Accepted =
  /**
   * What was reached by now, never more; `'database'` if it had to wait until it was written. A row that was given up meanwhile is
   * not in the database.
   */
  | { readonly accepted: true; readonly durability: Durability | 'database' }
  | {
      readonly accepted: false
      /** So much waits in its partition, or its primary has so little memory left, that there is no room. Nothing was changed. */
      readonly reason: 'full' | 'memory'
      /** When lines go the next time, by the present pace of those who flush; `flushIntervalMs` where that is not known. */
      readonly retryAfterMs: number
    }

/** What becomes of an increment. */
export type Counted =
  | (Extract<Accepted, { readonly accepted: true }> & { readonly value: number })
  | Extract<Accepted, { readonly accepted: false }>

/** What waits to be written, of all partitions together. */
export interface Lag {
  readonly entries: number
  readonly bytes: number
  /** Since when the oldest of them waits. */
  readonly ms: number
}

/** A pace that nobody has kept for so long says nothing. */
const LONGEST_MS = 60_000

export function accepted(
  answer: Answer & { readonly isWritten?: boolean },
  { safety, flushIntervalMs }: Pick<Settings<unknown>, 'safety' | 'flushIntervalMs'>,
): Accepted {
  switch (answer.state) {
    case 'full': {
      const retryAfterMs = Math.min(LONGEST_MS, Math.max(1, answer.ms ?? flushIntervalMs))
      return { accepted: false, reason: 'full', retryAfterMs }
    }
    case 'out of memory':
      return { accepted: false, reason: 'memory', retryAfterMs: flushIntervalMs }
    case 'accepted':
      return { accepted: true, durability: answer.isWritten === true ? 'database' : reached(answer, safety) }
    default:
      throw new ConfigurationError(`the row takes no more: ${answer.state}`)
  }
}

export function lagOf(waiting: readonly Waiting[]): Lag {
  return {
    entries: waiting.reduce((sum, { first, last }) => sum + last - first + 1, 0),
    bytes: waiting.reduce((sum, { bytes }) => sum + bytes, 0),
    ms: Math.max(0, ...waiting.map(({ ms }) => ms)),
  }
}
