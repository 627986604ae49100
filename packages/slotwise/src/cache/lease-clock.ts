/** Watches, by this process's clock, whether a load outlives its lease. Only decides who goes on waiting. */
export class LeaseClock {
  readonly overdue: Promise<{ readonly since: number }>
  readonly #leaseMs: number
  #resolve: (began: { readonly since: number }) => void = () => {}
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
    this.overdue = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** The load begins, at this reading of the cache's counter. */
  start(since: number): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => this.#resolve({ since }), this.#leaseMs).unref()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }
}
