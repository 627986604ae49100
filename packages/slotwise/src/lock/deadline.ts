/**
 * When the holder must stop, on two clocks. The monotonic clock stands still while the machine is suspended, the
 * wall clock jumps when it is set; a lock is over as soon as either says so. Counted from before the request was
 * sent, less one hundredth and two milliseconds for clocks that run at different speeds.
 */
export class Deadline {
  readonly #monotonic: number
  readonly #wall: number

  private constructor(monotonic: number, wall: number) {
    this.#monotonic = monotonic
    this.#wall = wall
  }

  /** Starts counting; call before sending, and the result with the time that was granted. */
  static starting(): (ttlMs: number) => Deadline {
    const monotonic = performance.now()
    const wall = Date.now()
    return (ttlMs) => {
      const usable = ttlMs - ttlMs / 100 - 2
      return new Deadline(monotonic + usable, wall + usable)
    }
  }

  /** Never negative. */
  remainingMs(): number {
    return Math.max(0, Math.min(this.#monotonic - performance.now(), this.#wall - Date.now()))
  }
}
