/** A key that is counted. */
interface Counted {
  key: string
  /** No more reads than this were there; never too few. */
  atMost: number
  /** So many there certainly were. */
  atLeast: number
  /** Its place among all that are counted, the most read one first. */
  place: number
}

/** How often a key was read lately. */
export interface Reads {
  readonly key: string
  readonly atLeast: number
  readonly atMost: number
}

/** So many are counted for each that may be hot: the more, the surer is who they are. */
const COUNTED_FOR_ONE = 8
/** A key that was read less often lately is no reason to hold anything. */
const LEAST = 4
/** Counts are halved after so many reads for each key that is counted. */
const HALVED_AFTER = 10

/**
 * Which keys are read most often: the Space-Saving sketch, whose counts fade. Of a fixed number of keys the reads are counted;
 * a key that is not among them takes the place of the one with the fewest, and its count.
 *
 * With n reads that count (each halving halves them) and m counted keys: of a counted key `atLeast` ≤ reads ≤ `atMost` ≤
 * reads + n / m + 1, and a key that is not counted was read n / m + 1 times at most. So whatever is read more often
 * than that is counted. The 1 is what halving whole numbers costs.
 *
 * Each read costs the same: the keys lie in the order of their counts, and one that was read changes its place with the
 * first of those that were read as often.
 *
 * @see {@link https://doi.org/10.1007/978-3-540-30570-5_27 | Efficient computation of frequent and top-k elements}
 */
export class HotKeys {
  readonly #most: number
  readonly #counted: number
  readonly #byKey = new Map<string, Counted>()
  /** The most read one first. */
  readonly #order: Counted[] = []
  /** By count: the first place of those who have it. */
  readonly #firsts = new Map<number, number>()
  #untilHalving: number

  /** @param most so many keys may be hot at a time */
  constructor(most: number) {
    this.#most = most
    this.#counted = most * COUNTED_FOR_ONE
    this.#untilHalving = this.#counted * HALVED_AFTER
  }

  /** How many keys are counted. */
  get size(): number {
    return this.#order.length
  }

  /** The key is read once more. */
  read(key: string): void {
    const counted = this.#byKey.get(key) ?? this.#admit(key)
    counted.atLeast++
    this.#raise(counted)
    if (--this.#untilHalving <= 0) this.#halve()
  }

  /** Whether the key is among those that were read most lately. */
  isHot(key: string): boolean {
    const counted = this.#byKey.get(key)
    return counted !== undefined && counted.place < this.#most && counted.atLeast >= LEAST
  }

  /** The hot ones, the most read one first. */
  hot(): readonly Reads[] {
    return this.#order
      .slice(0, this.#most)
      .filter(({ atLeast }) => atLeast >= LEAST)
      .map(({ key, atLeast, atMost }) => ({ key, atLeast, atMost }))
  }

  /** How often the key was read lately; of one that is not counted, that nothing is certain. */
  readsOf(key: string): Reads {
    const { atLeast, atMost } = this.#byKey.get(key) ?? { atLeast: 0, atMost: this.#fewest }
    return { key, atLeast, atMost }
  }

  get #fewest(): number {
    return this.#order.length < this.#counted ? 0 : (this.#order.at(-1)?.atMost ?? 0)
  }

  #admit(key: string): Counted {
    const last = this.#order.at(-1)
    if (last === undefined || this.#order.length < this.#counted) {
      const added = { key, atMost: 0, atLeast: 0, place: this.#order.length }
      this.#order.push(added)
      this.#byKey.set(key, added)
      if (!this.#firsts.has(0)) this.#firsts.set(0, added.place)
      return added
    }
    this.#byKey.delete(last.key)
    last.key = key
    last.atLeast = 0
    this.#byKey.set(key, last)
    return last
  }

  #raise(counted: Counted): void {
    const count = counted.atMost
    const first = this.#firsts.get(count) ?? counted.place
    const other = this.#order[first]
    if (other !== undefined && other !== counted) {
      this.#order[counted.place] = other
      other.place = counted.place
      this.#order[first] = counted
      counted.place = first
    }
    // Those of the same count begin one place later now, if there are any left.
    if (this.#order[first + 1]?.atMost === count) this.#firsts.set(count, first + 1)
    else this.#firsts.delete(count)
    counted.atMost = count + 1
    if (!this.#firsts.has(count + 1)) this.#firsts.set(count + 1, first)
  }

  /** What was read long ago counts less and less. Bounds are rounded outwards, which changes nobody's place. */
  #halve(): void {
    this.#untilHalving = this.#counted * HALVED_AFTER
    this.#firsts.clear()
    for (const [place, counted] of this.#order.entries()) {
      counted.atMost = Math.ceil(counted.atMost / 2)
      counted.atLeast = Math.floor(counted.atLeast / 2)
      if (!this.#firsts.has(counted.atMost)) this.#firsts.set(counted.atMost, place)
    }
  }
}
