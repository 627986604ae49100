import { ConfigurationError } from '../errors.js'
import type { Answer, Waiting } from './journal.js'
import type { Durability, Settings } from './options.js'

/** What becomes of a change. */
export type Accepted =
  | { readonly accepted: true; readonly durability: Durability }
  /** So much waits that there is no room for it. Nothing was changed. */
  | { readonly accepted: false; readonly reason: 'full'; readonly retryAfterMs: number }

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

export function accepted(
  answer: Answer,
  { replicas, flushIntervalMs }: Pick<Settings<unknown>, 'replicas' | 'flushIntervalMs'>,
): Accepted {
  if (answer.state === 'full') return { accepted: false, reason: 'full', retryAfterMs: flushIntervalMs }
  if (answer.state === 'accepted') {
    const { acknowledgedBy = 0 } = answer
    const reached = Math.min(acknowledgedBy, replicas)
    return { accepted: true, durability: reached === 0 ? 'memory' : { replicas: reached } }
  }
  throw new ConfigurationError(`the row takes no more: ${answer.state}`)
}

export function lagOf(waiting: readonly Waiting[]): Lag {
  return {
    entries: waiting.reduce((sum, { first, last }) => sum + last - first + 1, 0),
    bytes: waiting.reduce((sum, { bytes }) => sum + bytes, 0),
    ms: Math.max(0, ...waiting.map(({ ms }) => ms)),
  }
}
