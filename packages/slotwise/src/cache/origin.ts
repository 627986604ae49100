import { OriginBusyError } from '../errors.js'

/** How much of a cache's loading its origin bears. */
export interface OriginOptions {
  /** So many loads at a time in this process, those whose callers have given up among them; the others wait for their turn. */
  readonly maxConcurrent: number
  /** How long one waits before its callers get an `OriginBusyError`, in milliseconds. @defaultValue `1000` */
  readonly maxWaitMs?: number | undefined
}

interface Waiting {
  readonly go: () => void
  readonly fail: (error: Error) => void
}

/** Lets at most so many loads run at a time, and nobody wait for ever: what protects a database when Redis is away. */
export class Origin {
  readonly #maxConcurrent: number
  readonly #maxWaitMs: number
  readonly #waiting = new Set<Waiting>()
  #running = 0

  constructor({ maxConcurrent, maxWaitMs = 1000 }: OriginOptions) {
    this.#maxConcurrent = maxConcurrent
    this.#maxWaitMs = maxWaitMs
  }

  /** @throws OriginBusyError none of the places became free in time; `load` was not called */
  async run<R>(load: () => R | Promise<R>, signal: AbortSignal): Promise<R> {
    if (this.#running >= this.#maxConcurrent) await this.#turn(signal)
    else this.#running++
    try {
      return await load()
    } finally {
      this.#pass()
    }
  }

  /** The place goes to whoever has waited longest, so that none is taken in between. */
  #pass(): void {
    const [next] = this.#waiting
    if (next === undefined) this.#running--
    else next.go()
  }

  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(waiting)
        clearTimeout(timer)
        signal.removeEventListener('abort', aborted)
      }
      const waiting: Waiting = {
        go: () => {
          end()
          resolve()
        },
        fail: (error) => {
          end()
          reject(error)
        },
      }
      const aborted = (): void => waiting.fail(signal.reason as Error)
      const busy = `${this.#maxConcurrent} loads are running and ${this.#waiting.size} are waiting: none ended within ${this.#maxWaitMs} ms`
      const timer = setTimeout(() => waiting.fail(new OriginBusyError(busy)), this.#maxWaitMs).unref()
      signal.addEventListener('abort', aborted, { once: true })
      this.#waiting.add(waiting)
    })
  }
}
