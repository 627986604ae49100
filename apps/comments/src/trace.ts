import { AsyncLocalStorage } from 'node:async_hooks'

/** Where an answer came from: the cache, Postgres and then the cache, or Postgres alone. */
export type Origin = 'hit' | 'stale' | 'load' | 'bypass'

interface Timing {
  durationMs: number
  note: string | undefined
}

/** What one request learns on its way about where its answer came from and what took how long. */
export class Trace {
  origin: Origin = 'bypass'
  /** The write is done, but some cache could not be told yet. */
  pending = false
  readonly #timings = new Map<string, Timing>()

  record(name: string, durationMs: number, note?: string): void {
    const timing = this.#timings.get(name)
    if (timing === undefined) this.#timings.set(name, { durationMs, note })
    else {
      timing.durationMs += durationMs
      timing.note = note ?? timing.note
    }
  }

  /** As the header `Server-Timing` has it. */
  toString(): string {
    return Array.from(this.#timings, ([name, { durationMs, note }]) => {
      const description = note === undefined ? '' : `;desc="${note}"`
      return `${name}${description};dur=${durationMs.toFixed(1)}`
    }).join(', ')
  }
}

const current = new AsyncLocalStorage<Trace>()

export function withTrace<R>(trace: Trace, run: () => R): R {
  return current.run(trace, run)
}

/** The trace of the request that is being answered; `undefined` outside of one. */
export function traceOfRequest(): Trace | undefined {
  return current.getStore()
}

export function recordTiming(name: string, durationMs: number, note?: string): void {
  current.getStore()?.record(name, durationMs, note)
}

/** Runs something and notes how long it took, whether it succeeds or not. */
export async function timed<R>(name: string, run: () => Promise<R>): Promise<R> {
  const from = performance.now()
  try {
    return await run()
  } finally {
    recordTiming(name, performance.now() - from)
  }
}
