/** How a look ended. */
export type Outcome =
  /** All that readers would get is what the origin has. */
  | 'consistent'
  /** Two looks have found the same entry, which differs from what the origin has, and had all the time between. */
  | 'inconsistent'
  /** Nothing is cached. */
  | 'absent'
  /** There was a difference, and then the entry or the origin was another. */
  | 'moving'
  /** The origin or Redis did not tell in time, or the look came too late. */
  | 'failed'

/** What the looks of one window have found, since the audit began. */
export interface WindowTally extends Readonly<Record<Outcome, number>> {
  readonly windowMs: number
  /** The inconsistent ones of those that could tell; `undefined` before the first. */
  readonly inconsistentRatio: number | undefined
}

export class Tally {
  readonly #counts: ReadonlyMap<number, Record<Outcome, number>>

  constructor(windowsMs: readonly number[]) {
    this.#counts = new Map(
      windowsMs.map((ms) => [ms, { consistent: 0, inconsistent: 0, absent: 0, moving: 0, failed: 0 }]),
    )
  }

  count(windowMs: number, outcome: Outcome): void {
    const counts = this.#counts.get(windowMs)
    if (counts !== undefined) counts[outcome]++
  }

  windows(): readonly WindowTally[] {
    return [...this.#counts].map(([windowMs, counts]) => {
      const told = counts.consistent + counts.inconsistent
      return { windowMs, ...counts, inconsistentRatio: told === 0 ? undefined : counts.inconsistent / told }
    })
  }
}
