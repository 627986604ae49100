import { setTimeout as sleep } from 'node:timers/promises'
import { RedisUnavailableError } from '../errors.js'

/** What one read may still spend on waiting for Redis. Time that the loader takes is not counted. */
export class Budget {
  #leftMs: number

  constructor(ms: number) {
    this.#leftMs = ms
  }

  /** What is left, in milliseconds. */
  get leftMs(): number {
    return Math.max(0, this.#leftMs)
  }

  /** The deadline of one call, to be followed by {@link end}; throws if nothing is left. */
  begin(): number {
    if (this.#leftMs < 1) throw new RedisUnavailableError('this read has spent its budget for Redis')
    return Math.ceil(this.#leftMs)
  }

  /** The call has ended, after so long. */
  end(tookMs: number): void {
    this.#leftMs -= tookMs
  }

  /** Runs one call within what is left, or rejects at once if nothing is. */
  async spend<R>(call: (deadlineMs: number) => Promise<R>): Promise<R> {
    const deadlineMs = this.begin()
    const from = performance.now()
    try {
      return await call(deadlineMs)
    } finally {
      this.end(performance.now() - from)
    }
  }

  /** Waits for something that hangs on Redis, and gives `otherwise` when the budget is spent first. */
  async await<R>(promise: Promise<R>, otherwise: R): Promise<R> {
    const stop = new AbortController()
    const timer = sleep(Math.max(0, this.#leftMs), otherwise, { ref: false, signal: stop.signal }).catch(
      () => otherwise,
    )
    const from = performance.now()
    try {
      return await Promise.race([promise, timer])
    } finally {
      stop.abort()
      this.#leftMs -= performance.now() - from
    }
  }
}
