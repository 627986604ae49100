import { UncacheableValueError } from '../errors.js'
import type { Id } from '../keys.js'
import type { Load, LoadContext } from './course.js'
import type { Instance } from './instance.js'

/** What a loader of many is told, and what it may say of the values that it brings. */
export interface LoadManyContext {
  /** Aborted when every caller that waits for any of these loads has given up. */
  readonly signal: AbortSignal
  /** As `setTtlMs` of a single load; of the id at this place, or of all. */
  readonly setTtlMs: (ttlMs: number, index?: number) => void
  /** As `skipStore` of a single load; of the id at this place, or of all. */
  readonly skipStore: (index?: number) => void
}

/** Fetches values of many ids, in their order; an `Error` in the place of a value is that id's failure alone. */
export type LoadMany<I extends Id, T> = (
  ids: readonly I[],
  context: LoadManyContext,
) => readonly (T | Error)[] | Promise<readonly (T | Error)[]>

interface Wanted<I, T> {
  readonly id: I
  readonly context: LoadContext
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

/**
 * Collects the loads of one call for many ids until it is known of each whether it is loaded here, and makes them one
 * call of the loader. Those whose turn comes later, after the load of another process, are collected by themselves.
 */
export class Batch<I extends Id, T> {
  readonly #instance: Instance
  readonly #load: LoadMany<I, T>
  #undecided: number
  #wanted: Wanted<I, T>[] = []

  constructor(instance: Instance, count: number, load: LoadMany<I, T>) {
    this.#instance = instance
    this.#undecided = count
    this.#load = load
  }

  /** The part of one id: what loads it, and what is to be called when it is known whether that is needed. */
  member(id: I): { readonly load: Load<T>; readonly decided: () => void } {
    let isDecided = false
    return {
      load: (context) =>
        new Promise<T>((resolve, reject) => {
          this.#wanted.push({ id, context, resolve, reject })
          this.#flushSoon()
        }),
      decided: () => {
        if (isDecided) return
        isDecided = true
        this.#undecided--
        this.#flushSoon()
      },
    }
  }

  /** Whoever was the last to be decided asks for its load only then. */
  #flushSoon(): void {
    if (this.#undecided > 0) return
    setImmediate(() => {
      const wanted = this.#wanted.splice(0)
      if (wanted.length > 0) void this.#flush(wanted)
    })
  }

  async #flush(wanted: readonly Wanted<I, T>[]): Promise<void> {
    const signal = allAborted(wanted.map(({ context }) => context.signal))
    const at = (index: number | undefined): readonly Wanted<I, T>[] =>
      index === undefined ? wanted : wanted.slice(index, index + 1)
    const context: LoadManyContext = {
      signal,
      setTtlMs: (ttlMs, index) => at(index).forEach((one) => one.context.setTtlMs(ttlMs)),
      skipStore: (index) => at(index).forEach((one) => one.context.skipStore()),
    }
    try {
      const ids = wanted.map(({ id }) => id)
      const values: unknown = await this.#instance.load(async () => this.#load(ids, context), signal)
      if (!Array.isArray(values) || values.length !== wanted.length) {
        throw new UncacheableValueError(
          `a loader of ${wanted.length} values must return as many, in the order of the ids; it returned ${Array.isArray(values) ? `${values.length} values` : typeof values}`,
        )
      }
      wanted.forEach(({ resolve, reject }, i) => {
        const value = values[i] as T | Error
        if (value instanceof Error) reject(value)
        else resolve(value)
      })
    } catch (error) {
      for (const { reject } of wanted) reject(error)
    }
  }
}

/** A signal that aborts when all of them have. */
function allAborted(signals: readonly AbortSignal[]): AbortSignal {
  const all = new AbortController()
  let left = signals.length
  const count = (): void => {
    if (--left === 0) all.abort()
  }
  for (const signal of signals) {
    if (signal.aborted) count()
    else signal.addEventListener('abort', count, { once: true })
  }
  return all.signal
}
