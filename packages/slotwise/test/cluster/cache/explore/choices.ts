/** Says which of several things happens next. */
export interface Choices {
  /** From 0 to `count` - 1. */
  next(count: number): number
}

/** Every sequence of choices there is, one after the other: the last choice that has more to offer is changed. */
export class EveryChoice implements Choices {
  readonly #taken: { choice: number; readonly count: number }[] = []
  #at = 0

  next(count: number): number {
    const known = this.#taken[this.#at]
    if (known === undefined) this.#taken.push({ choice: 0, count })
    this.#at++
    return known?.choice ?? 0
  }

  /** Goes on to the next sequence; `false` when there is none. */
  advance(): boolean {
    this.#at = 0
    for (;;) {
      const last = this.#taken.at(-1)
      if (last === undefined) return false
      if (++last.choice < last.count) return true
      this.#taken.pop()
    }
  }
}

/** Choices by chance that a seed repeats (mulberry32). */
export class SampledChoice implements Choices {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  next(count: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let bits = this.#state
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) % count
  }
}
