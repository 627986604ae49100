/** A subject that is refused, as {@link RateLimiter.topLimited} counts it. */
export interface LimitedSubject {
  /** Its key; `readKey` of `slotwise/redis` tells tenant and id. */
  readonly key: string
  /** How often this process has refused it since its limiter was made: no less than this, */
  readonly atLeast: number
  /** and no more. The two differ by at most all refusals over one more than the number of subjects that are watched. */
  readonly atMost: number
}

/**
 * Who is refused most, in memory that is bounded whoever comes: the counts of Misra and Gries ("Finding repeated elements", 1982).
 * Where a subject comes for which there is no room, everybody's count falls by one, and who has none left is forgotten. So each
 * count is too low by at most the number of falls; each of them takes the place of as many refusals as there are counts, and one
 * more, so there are at most all refusals over that, and each costs no more than what those refusals had added.
 */
export class MostRefused {
  readonly #most: number
  readonly #counts = new Map<string, number>()
  #falls = 0

  constructor(most = 1000) {
    this.#most = most
  }

  add(key: string): void {
    const count = this.#counts.get(key)
    if (count !== undefined || this.#counts.size < this.#most) {
      this.#counts.set(key, (count ?? 0) + 1)
      return
    }
    this.#falls++
    for (const [other, left] of this.#counts) {
      if (left === 1) this.#counts.delete(other)
      else this.#counts.set(other, left - 1)
    }
  }

  top(n: number): readonly LimitedSubject[] {
    return [...this.#counts]
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, n)
      .map(([key, count]) => ({ key, atLeast: count, atMost: count + this.#falls }))
  }
}
