import { ConfigurationError } from '../errors.js'
import { shown } from '../options.js'

/** What time it is for a Redis in memory. */
export interface Clock {
  /** Milliseconds since 1970; fractions count down to the microsecond. */
  now(): number
}

/**
 * The clock of this process, which fake timers turn that replace `Date`. Within a millisecond every look is a microsecond
 * later than the one before, as on a server, where nothing takes less.
 */
export class SystemClock implements Clock {
  #ms = 0
  #us = 0

  now(): number {
    const ms = Date.now()
    this.#us = ms === this.#ms ? Math.min(999, this.#us + 1) : 0
    this.#ms = ms
    return ms + this.#us / 1000
  }
}

/**
 * A clock that stands still until it is turned. What Redis counts follows it: `TIME`, expiry, leases, intents, buckets.
 * What a pattern counts in its own process does not: budgets, waits, deadlines. Those go by the timers of Node.
 *
 * @example
 * ```ts
 * import { TestClock, memoryPort } from 'slotwise/testing'
 * import { Cache } from 'slotwise/cache'
 *
 * const clock = new TestClock()
 * const prices = new Cache<number>(memoryPort({ clock }), { name: 'prices', ttlMs: 60_000 })
 * await prices.getOrLoad('book', () => 42)
 * clock.advance(60_001)
 * console.log((await prices.read('book')).found) // false
 * ```
 */
export class TestClock implements Clock {
  #us: number

  /** @param startMs milliseconds since 1970 @defaultValue the first instant of 2026 */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#us = inMicroseconds('startMs', startMs)
  }

  now(): number {
    return this.#us / 1000
  }

  /** Turns it on by so many milliseconds, or back where they are negative, as after a failover to a slower clock. */
  advance(ms: number): void {
    this.#us += inMicroseconds('ms', ms)
  }
}

function inMicroseconds(name: string, ms: number): number {
  const us = Math.round(ms * 1000)
  if (Number.isSafeInteger(us)) return us
  throw new ConfigurationError(`${name} must be a number of milliseconds, got ${shown(ms)}`)
}
