import { ConfigurationError } from '../errors.js'

const EVERY_MS = 60_000

/**
 * What only the servers can tell, looked at before the first operation and again every minute. Nobody waits for a later look:
 * what is wrong is told to the next call; that a server did not answer is no reason to stop what others serve.
 */
export class Readiness {
  readonly #look: () => Promise<void>
  readonly #report: (error: unknown) => void
  readonly #everyMs: number
  #ready: Promise<void> | undefined
  #lookedAt = 0

  constructor(look: () => Promise<void>, report: (error: unknown) => void, everyMs = EVERY_MS) {
    this.#look = look
    this.#report = report
    this.#everyMs = everyMs
  }

  /** @throws whatever the first look does, and of later ones a `ConfigurationError` */
  ready(): Promise<void> {
    if (this.#ready === undefined) {
      this.#lookedAt = performance.now()
      const first = this.#look()
      this.#ready = first
      first.catch(() => {
        this.#ready = undefined
      })
      return first
    }
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
