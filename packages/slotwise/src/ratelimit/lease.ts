import type { Standing } from './algorithm.js'

/** Tokens that were debited together, and when what is left of them is dropped. */
export interface Batch {
  left: number
  untilMs: number
}

/** What a decision took, and of which batches. */
export type Spent = readonly { readonly batch: Batch; tokens: number }[]

/** What Redis said last of a subject, by the monotonic clock of this process. */
export interface Heard {
  readonly sentAtMs: number
  readonly receivedAtMs: number
  readonly standings: readonly Standing[]
  /** Of a block. */
  readonly blockedUs: number
  /** Whether less was there than was wanted. */
  readonly wasShort: boolean
}

/**
 * What this process holds of one subject, and how much is asked of it here.
 *
 * Every token is spent less than `forMs` after it was debited, since that is counted from before the request for it was sent. So what
 * any number of processes spend in an interval was debited in that interval or less than `forMs` before it.
 */
export class Lease {
  readonly forMs: number
  #batches: Batch[] = []
  #heard: Heard | undefined
  #demand = 0
  #demandAtMs = 0
  dropped = 0

  constructor(forMs: number) {
    this.forMs = forMs
  }

  get heard(): Heard | undefined {
    return this.#heard
  }

  /** What is asked for here in `forMs`, the more recent the heavier: of a steady rate it is that rate times `forMs`. */
  demand(nowMs: number): number {
    return this.#demand * Math.exp((this.#demandAtMs - nowMs) / this.forMs)
  }

  asked(cost: number, nowMs: number): number {
    this.#demand = this.demand(nowMs) + cost
    this.#demandAtMs = nowMs
    return this.#demand
  }

  held(nowMs: number): number {
    this.#prune(nowMs)
    let sum = 0
    for (const { left } of this.#batches) sum += left
    return sum
  }

  /** Takes the tokens that end first; nothing where there are too few. */
  take(cost: number, nowMs: number): Spent | undefined {
    const [first] = this.#batches
    // Nearly all decisions are this one.
    if (first !== undefined && nowMs < first.untilMs && first.left >= cost) {
      first.left -= cost
      return [{ batch: first, tokens: cost }]
    }
    if (this.held(nowMs) < cost) return undefined
    let missing = cost
    const spent: { readonly batch: Batch; tokens: number }[] = []
    for (const batch of this.#batches) {
      const tokens = Math.min(batch.left, missing)
      if (tokens === 0) continue
      batch.left -= tokens
      missing -= tokens
      spent.push({ batch, tokens })
    }
    return spent
  }

  /** So many tokens come back to where they were, and end when they would have ended. How many did. */
  giveBack(spent: Spent, tokens: number, nowMs: number): number {
    let back = 0
    for (const one of spent) {
      const { batch } = one
      if (nowMs >= batch.untilMs) continue
      const some = Math.min(one.tokens, tokens - back)
      one.tokens -= some
      batch.left += some
      back += some
      if (!this.#batches.includes(batch)) this.#batches.unshift(batch)
    }
    return back
  }

  /** Redis has answered. */
  granted(tokens: number, heard: Heard): void {
    this.#heard = heard
    if (heard.blockedUs > 0) this.drop()
    if (tokens > 0) this.#batches.push({ left: tokens, untilMs: heard.sentAtMs + this.forMs })
  }

  /** What is held is spent by nobody. */
  drop(): void {
    for (const batch of this.#batches) {
      this.dropped += batch.left
      batch.left = 0
      // What is given back of it later is not spent either.
      batch.untilMs = Number.NEGATIVE_INFINITY
    }
    this.#batches = []
  }

  #hasEnded(nowMs: number): boolean {
    for (const { left, untilMs } of this.#batches) if (left === 0 || nowMs >= untilMs) return true
    return false
  }

  #prune(nowMs: number): void {
    if (!this.#hasEnded(nowMs)) return
    this.#batches = this.#batches.filter((batch) => {
      if (batch.left > 0 && nowMs < batch.untilMs) return true
      this.dropped += batch.left
      batch.left = 0
      return false
    })
  }
}
