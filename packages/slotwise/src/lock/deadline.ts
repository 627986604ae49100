/** What tells a handle the time, and wakes it. */
export interface Clocks {
  /** Never set, and stands still while the machine is suspended. */
  monotonicMs(): number
  /** Goes on while the machine is suspended, and jumps when it is set. */
  wallMs(): number
  /** Calls back once, within 24 days, on a timer that keeps no process alive; returns how to do without. */
  after(ms: number, then: () => void): () => void
  /** Calls back when the two have come apart; returns how to stop. */
  onStep(listener: () => void): () => void
}

/**
 * How often the two are compared while anything is held: a holder is to hear within 10 ms that its time is over, also where a clock
 * was set or the machine suspended. By how much they may differ more than before: clocks are corrected all the time.
 */
const COMPARED_EVERY_MS = 8
const STEP_MS = 2
/** Node takes a longer one for the shortest. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

class SystemClocks implements Clocks {
  readonly #listeners = new Set<() => void>()
  #timer: NodeJS.Timeout | undefined
  #apartMs = 0

  monotonicMs(): number {
    return performance.now()
  }

  wallMs(): number {
    return Date.now()
  }

  after(ms: number, then: () => void): () => void {
    const timer = setTimeout(then, Math.min(ms, LONGEST_TIMER_MS)).unref()
    return () => clearTimeout(timer)
  }

  onStep(listener: () => void): () => void {
    this.#listeners.add(listener)
    // One for all handles: thousands may be held.
    if (this.#timer === undefined) {
      this.#apartMs = this.#apart()
      this.#timer = setInterval(() => this.#compare(), COMPARED_EVERY_MS).unref()
    }
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  #apart(): number {
    return Date.now() - performance.now()
  }

  #compare(): void {
    const apartMs = this.#apart()
    const isStep = Math.abs(apartMs - this.#apartMs) > STEP_MS
    this.#apartMs = apartMs
    if (isStep) for (const listener of this.#listeners) listener()
  }
}

export const CLOCKS: Clocks = new SystemClocks()

/** Waits so long, or until the signal aborts. */
export function pause(clocks: Clocks, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clocks.after(Math.ceil(ms), wake)
    function wake(): void {
      cancel()
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    signal?.addEventListener('abort', wake, { once: true })
    if (signal?.aborted === true) wake()
  })
}

/**
 * When the holder must stop, on two clocks. The monotonic clock stands still while the machine is suspended, the
 * wall clock jumps when it is set; a lock is over as soon as either says so. Counted from before the request was
 * sent, less one hundredth and two milliseconds for clocks that run at different speeds.
 */
export class Deadline {
  readonly #clocks: Clocks
  readonly #monotonic: number
  readonly #wall: number

  private constructor(clocks: Clocks, monotonic: number, wall: number) {
    this.#clocks = clocks
    this.#monotonic = monotonic
    this.#wall = wall
  }

  /** Starts counting; call before sending, and the result with the time that was granted. */
  static starting(clocks: Clocks): (ttlMs: number) => Deadline {
    const monotonic = clocks.monotonicMs()
    const wall = clocks.wallMs()
    return (ttlMs) => {
      const usable = ttlMs - ttlMs / 100 - 2
      return new Deadline(clocks, monotonic + usable, wall + usable)
    }
  }

  /** Never negative. */
  remainingMs(): number {
    const monotonic = this.#monotonic - this.#clocks.monotonicMs()
    return Math.max(0, Math.min(monotonic, this.#wall - this.#clocks.wallMs()))
  }
}
