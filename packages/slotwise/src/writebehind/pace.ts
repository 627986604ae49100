import { ConfigurationError } from '../errors.js'
import { integer } from '../options.js'

/** How many lines of a journal are written at a time: what fits into a time, within bounds. */
export interface BatchSize {
  /** So many at least, however slow the database is. @defaultValue `10`, or `max` if that is less */
  readonly min?: number | undefined
  /** So many at most. @defaultValue `1000` */
  readonly max?: number | undefined
  /** A batch is to take no longer, in milliseconds. @defaultValue `250`, or half of `writeTimeoutMs` if that is less */
  readonly targetMs?: number | undefined
}

/** The same, checked and with its defaults. */
export interface PaceBounds {
  readonly min: number
  readonly max: number
  readonly start: number
  readonly targetMs: number
}

const MOST = 10_000
const START = 100
/** What is aimed at, of the target: a batch that takes a little longer than the last is still within it. */
const AIM = 0.9

/** A number is the upper bound, and where it begins. */
export function paceBoundsOf(given: number | BatchSize | undefined, writeTimeoutMs: number): PaceBounds {
  const usualMs = Math.max(1, Math.min(250, Math.floor(writeTimeoutMs / 2)))
  if (typeof given === 'number') {
    const max = integer('batchSize', given, { max: MOST })
    return { min: Math.min(10, max), max, start: max, targetMs: usualMs }
  }
  const max = integer('batchSize.max', given?.max ?? Math.max(1000, given?.min ?? 0), { max: MOST })
  const min = integer('batchSize.min', given?.min ?? Math.min(10, max), { max: MOST })
  if (min > max)
    throw new ConfigurationError(`batchSize.min must not be above batchSize.max, got ${min} and ${max}`)
  const targetMs = integer('batchSize.targetMs', given?.targetMs ?? usualMs, { max: writeTimeoutMs })
  return { min, max, start: Math.min(max, Math.max(min, START)), targetMs }
}

/**
 * How many lines the next batch may have: by the pace of the last one, at most twice as many as before, and at least half as
 * many; half after a failure. A batch that was not full says nothing about larger ones.
 */
export class Pace {
  readonly #bounds: PaceBounds
  #size: number

  constructor(bounds: PaceBounds) {
    this.#bounds = bounds
    this.#size = bounds.start
  }

  get size(): number {
    return this.#size
  }

  wrote(lines: number, ms: number): void {
    const { targetMs } = this.#bounds
    const fitting = Math.floor((lines * AIM * targetMs) / Math.max(ms, 0.001))
    if (ms > targetMs) this.#set(Math.max(fitting, lines / 2))
    else if (lines >= this.#size) {
      // Small ones take as long for one line more: where there is much time left, it is tried.
      const least = this.#size + (ms < targetMs / 2 ? 1 : 0)
      this.#set(Math.max(least, Math.min(fitting, 2 * this.#size)))
    }
  }

  failed(lines: number): void {
    this.#set(Math.min(lines, this.#size) / 2)
  }

  #set(size: number): void {
    const { min, max } = this.#bounds
    this.#size = Math.min(max, Math.max(min, Math.floor(size)))
  }
}
