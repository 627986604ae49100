import type { Clocks } from '../../src/lock/deadline.js'
import { TestClock } from '../../src/testing/index.js'

/** The clocks of one process, which stand still until the time they share is turned; its wall clock may be wrong. */
export class VirtualTime {
  /** Of the servers. */
  readonly servers = new TestClock()
  readonly #timers = new Set<{ readonly at: number; readonly wake: () => void }>()
  #ms = 0

  get ms(): number {
    return this.#ms
  }

  /** Turns all clocks on; whoever waits is called in order. */
  async advance(ms: number): Promise<void> {
    const until = this.#ms + ms
    for (;;) {
      await settled()
      const [next] = [...this.#timers].filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#turn(Math.max(next.at, this.#ms))
      next.wake()
    }
    this.#turn(until)
    await settled()
  }

  /** Turns the clocks on while whoever waits is not called, as in a process that stands still. */
  stall(ms: number): void {
    this.#turn(this.#ms + ms)
  }

  /** Calls whoever was to be called by now. */
  wake(): void {
    for (const timer of [...this.#timers].toSorted((a, b) => a.at - b.at)) {
      if (timer.at > this.#ms || !this.#timers.delete(timer)) continue
      timer.wake()
    }
  }

  clocks({ skewMs = 0 }: { readonly skewMs?: number } = {}): Clocks {
    const start = this.servers.now() - this.#ms
    return {
      monotonicMs: () => this.#ms,
      wallMs: () => start + this.#ms + skewMs,
      after: (ms, then) => {
        const timer = { at: this.#ms + ms, wake: then }
        this.#timers.add(timer)
        return () => this.#timers.delete(timer)
      },
      onStep: () => () => {},
    }
  }

  #turn(to: number): void {
    this.servers.advance(to - this.#ms)
    this.#ms = to
  }
}

/** Lets everything run that waits for nothing but a turn of the event loop. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => void setImmediate(resolve))
}
