import { ConfigurationError, RedisUnavailableError } from '../errors.js'
import type { CallOptions } from '../options.js'
import { within } from '../within.js'

const EVERY_MS = 60_000

/**
 * What all wait for, for one of them: no longer than its call may take. For the others it goes on.
 *
 * @throws RedisUnavailableError its time is over; its signal's reason
 */
export function inTime<R>(look: Promise<R>, { signal, deadlineMs }: CallOptions): Promise<R> {
  const tooLate = () =>
    new RedisUnavailableError(`no server has said within ${deadlineMs} ms whether it can be used`)
  return within(look, deadlineMs, { signal, tooLate })
}

/** What is left of a call after so many milliseconds of it. */
export function restOf(call: CallOptions, spentMs: number): CallOptions {
  const { signal, deadlineMs } = call
  if (deadlineMs === undefined || spentMs < 1) return call
  return { signal, deadlineMs: Math.max(1, Math.ceil(deadlineMs - spentMs)) }
}

/**
 * What only the servers can tell, looked at before the first operation and again every minute. Nobody waits for a later look:
 * what is wrong is told to the next call; that a server did not answer is no reason to stop what others serve.
 */
export class Readiness {
  readonly #look: () => Promise<void>
  readonly #report: (error: unknown) => void
  readonly #everyMs: number
  #ready: Promise<void> | undefined
  #isOver = false
  #lookedAt = 0

  constructor(look: () => Promise<void>, report: (error: unknown) => void, everyMs = EVERY_MS) {
    this.#look = look
    this.#report = report
    this.#everyMs = everyMs
  }

  /** Nobody waits for a look. */
  get isOver(): boolean {
    return this.#isOver
  }

  /**
   * Waits for the first look as {@link inTime}.
   *
   * @throws whatever the first look does, and of later ones a `ConfigurationError`
   */
  ready(call: CallOptions = {}): Promise<void> {
    if (this.#ready === undefined) {
      this.#lookedAt = performance.now()
      const first = this.#look()
      this.#ready = first
      this.#isOver = false
      first.then(
        // Not before those who wait for it have gone on: who comes meanwhile is not to overtake them.
        () => setImmediate(() => (this.#isOver = true)),
        () => {
          this.#ready = undefined
        },
      )
    }
    if (!this.#isOver) return inTime(this.#ready, call)
    if (performance.now() - this.#lookedAt >= this.#everyMs) {
      this.#lookedAt = performance.now()
      this.#look().catch((error: unknown) => {
        if (error instanceof ConfigurationError) this.#ready = undefined
        this.#report(error)
      })
    }
    return this.#ready
  }
}
