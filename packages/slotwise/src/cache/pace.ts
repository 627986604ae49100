/** How many answers are looked back upon, and how often. */
const REMEMBERED = 128
const RECKONED_EVERY = 32
/** So many times what the slowest answers took lately is more than an answer should take. */
const FACTOR = 4

/** Bounds of what one read may spend on waiting for Redis, in milliseconds. */
export interface BudgetBounds {
  readonly min: number
  readonly max: number
}

/**
 * How long it is worth waiting for Redis: a multiple of what its slowest answers took lately, within bounds. So a
 * cluster that answers in one millisecond costs little when it hangs, and one that is far away is not given up too soon.
 */
export class Pace {
  readonly #bounds: BudgetBounds
  readonly #took = new Float64Array(REMEMBERED)
  #count = 0
  #budgetMs: number

  constructor(bounds: BudgetBounds) {
    this.#bounds = bounds
    this.#budgetMs = bounds.max
  }

  get budgetMs(): number {
    return this.#budgetMs
  }

  /** An answer came after so long. */
  record(ms: number): void {
    this.#took[this.#count++ % REMEMBERED] = ms
    if (this.#count % RECKONED_EVERY === 0) this.#reckon()
  }

  /** None came within the budget: it may have been too small. */
  missed(): void {
    this.#budgetMs = Math.min(this.#bounds.max, this.#budgetMs * 2)
  }

  #reckon(): void {
    const { min, max } = this.#bounds
    const known = this.#took.slice(0, Math.min(this.#count, REMEMBERED)).toSorted()
    // One in a hundred may be an accident of this process, such as a collection of garbage.
    const slowest = known[Math.floor((known.length - 1) * 0.99)] ?? max
    this.#budgetMs = Math.min(max, Math.max(min, slowest * FACTOR))
  }
}
