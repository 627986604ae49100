import type { Budget } from './budget.js'

/** What a flight has brought, or why it has brought nothing. */
export type Landing = {
  /**
   * The reading of the cache's counter just before the value was asked for: no invalidation that resolved
   * before it is missing from the value.
   */
  readonly since: number
} & (
  | {
      readonly ok: true
      /** A value of the caller's own each time. */
      readonly value: () => unknown
      /** As it is to be stored; `undefined` for what came from there. */
      readonly entry: Buffer | undefined
      readonly source: 'redis' | 'loader'
      readonly how: How
    }
  | {
      readonly ok: false
      readonly error: unknown
      /** Nothing was tried: somebody else is refreshing the value already. */
      readonly skipped?: true
    }
)

/** How a caller got its value. */
export type How = 'hit' | 'stale' | 'load' | 'wait' | 'bypass'

/** Whether the value was stored, and the reading of the counter just before it was sent to be stored. */
export interface Storing {
  readonly accepted: boolean
  readonly since: number
}

/** The steps of one flight. None of the promises ever rejects. */
export interface Course {
  readonly landing: Promise<Landing>
  readonly storing: Promise<Storing>
  /** Resolves with the reading at which the load began, once that load has outlived its lease. */
  readonly overdue: Promise<{ readonly since: number }>
}

/** One load of one entry, for which any number of callers of this process wait. */
export class Flight {
  readonly #course: Course
  readonly #abort = new AbortController()
  #callers = 0
  #landed = false

  constructor(take: (signal: AbortSignal) => Course) {
    this.#course = take(this.#abort.signal)
    void this.#watch()
  }

  async #watch(): Promise<void> {
    await this.#course.landing
    this.#landed = true
  }

  /** Resolves when nobody new should join: its value was stored or refused, or everybody has given up. */
  get over(): Promise<unknown> {
    return Promise.race([this.#course.storing, this.#course.overdue])
  }

  /** Resolves when it has brought something or failed. */
  get landed(): Promise<Landing> {
    return this.#course.landing
  }

  join(): void {
    this.#callers++
  }

  /** Aborts the load when the last caller has given up; `true` if so. */
  leave(): boolean {
    if (--this.#callers > 0 || this.#landed) return false
    this.#abort.abort()
    return true
  }

  /**
   * The outcome for a caller that began at the given reading, or `undefined` if it must try again.
   *
   * A value may be handed to those who began before it was asked for. Those who began later may have seen an
   * invalidation resolve in between; they may have it only if it was stored, because Redis refuses to store
   * over an invalidation, and only if they began before it was sent there.
   */
  async outcome(began: number, budget: Budget): Promise<Landing | undefined> {
    const { landing, overdue, storing } = this.#course
    const first = await Promise.race([landing, overdue])
    if (first.since > began) return landing
    if (!('ok' in first) || !first.ok) return undefined
    const stored = await budget.await(storing, { accepted: false, since: 0 })
    return stored.accepted && stored.since > began ? first : undefined
  }
}
