/** A bucket as the textbook describes it, in exact arithmetic: the oracle that the script is held to. */
export class ExactBucket {
  readonly #capacity: bigint
  readonly #intervalUs: bigint
  /** Tokens times interval, so that a microsecond adds 1. */
  #level: bigint
  #at: bigint

  constructor(capacity: number, intervalUs: number, nowUs: bigint) {
    this.#capacity = BigInt(capacity) * BigInt(intervalUs)
    this.#intervalUs = BigInt(intervalUs)
    this.#level = this.#capacity
    this.#at = nowUs
  }

  #levelAt(nowUs: bigint): bigint {
    const level = this.#level + (nowUs - this.#at)
    return level > this.#capacity ? this.#capacity : level
  }

  has(cost: number, nowUs: bigint): boolean {
    return this.#levelAt(nowUs) >= BigInt(cost) * this.#intervalUs
  }

  take(cost: number, nowUs: bigint): void {
    this.#level = this.#levelAt(nowUs) - BigInt(cost) * this.#intervalUs
    this.#at = nowUs
  }

  /** Whole tokens. */
  remaining(nowUs: bigint): number {
    return Number(this.#levelAt(nowUs) / this.#intervalUs)
  }

  missingUs(cost: number, nowUs: bigint): number {
    const missing = BigInt(cost) * this.#intervalUs - this.#levelAt(nowUs)
    return missing > 0n ? Number(missing) : 0
  }
}
