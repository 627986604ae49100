import { createHash } from 'node:crypto'
import { ConfigurationError } from '../errors.js'
import type { Key } from '../keys.js'
import { randomTag } from '../random.js'
import type { Answer } from './plan.js'
import type { Policy } from './policy.js'

/** What an admission took, for {@link RateLimiter.refund}. Opaque: only a limiter of the same process reads it. */
export interface Receipt<N extends string = string> {
  /** What was taken of each tier. */
  readonly costs: Readonly<Record<N, number>>
}

/** What a limiter knows of an admission. Made for each, so it holds what there is and works out the rest when it is asked. */
export class Admission<N extends string> implements Receipt<N> {
  readonly #owner: object
  readonly #key: Key
  readonly #policy: Policy<N>
  #costs: readonly number[]
  /** What of it the decision itself took and nobody has given back. */
  #own: readonly number[]
  readonly #answer: Answer | undefined
  readonly #id: Buffer | undefined
  readonly #isKept: boolean
  readonly #locally: ((cost: number) => boolean) | undefined
  #mark: Buffer | undefined
  #refunded = false
  /** Of a settlement that is under way, or of which nobody knows whether it is done. */
  #marks: { readonly costs: readonly number[]; readonly give: Buffer; readonly take: Buffer } | undefined

  /**
   * @param answer the script's; nothing where this process decided
   * @param asked the id of the decision, and whether Redis keeps it
   * @param locally gives back what this process decided
   */
  constructor(
    owner: object,
    key: Key,
    policy: Policy<N>,
    costs: readonly number[],
    answer: Answer | undefined,
    { id, isKept }: { readonly id?: Buffer | undefined; readonly isKept?: boolean } = {},
    locally?: (cost: number) => boolean,
  ) {
    this.#owner = owner
    this.#key = key
    this.#policy = policy
    this.#costs = costs
    this.#own = costs
    this.#answer = answer
    this.#id = id
    this.#isKept = isKept === true
    this.#locally = locally
  }

  get costs(): Readonly<Record<N, number>> {
    return this.#policy.named(this.#costs)
  }

  /** What is behind a receipt; nothing where another limiter gave it. */
  static of<N extends string>(receipt: Receipt<N>, owner: object): Taken<N> | undefined {
    return receipt instanceof Admission && receipt.#owner === owner ? receipt.#taken() : undefined
  }

  #taken(): Taken<N> {
    return {
      key: this.#key,
      policy: this.#policy,
      costs: this.#costs,
      own: this.#own,
      answer: this.#answer,
      locally: this.#locally,
      lease: (this.#id ?? NOBODY).subarray(0, 6),
      mark: (this.#mark ??= this.#markOf()),
      isRefunded: this.#refunded,
      refunded: () => {
        this.#refunded = true
      },
      settling: (costs) => this.#settling(costs),
      settled: (costs, given) => {
        this.#costs = costs
        this.#own = this.#own.map((cost, i) => cost - (given[i] ?? 0))
        this.#marks = undefined
      },
    }
  }

  /** What was admitted again has several receipts, and is given back once. */
  #markOf(): Buffer {
    if (!this.#isKept || this.#id === undefined) return randomTag(8)
    return createHash('sha256').update(this.#id).digest().subarray(0, 8)
  }

  #settling(costs: readonly number[]): { readonly give: Buffer; readonly take: Buffer } {
    this.#marks ??= { costs, give: randomTag(8), take: randomTag(8) }
    if (this.#marks.costs.some((cost, i) => cost !== costs[i]))
      throw new ConfigurationError('settled before at another cost, and whether that was done is not known')
    return this.#marks
  }
}

const NOBODY = Buffer.alloc(8)

/** The same, to be given back. */
export interface Taken<N extends string> {
  readonly key: Key
  readonly policy: Policy<N>
  readonly costs: readonly number[]
  /** What of it the decision itself took and nobody has given back: less than it cost, where more was taken to settle it. */
  readonly own: readonly number[]
  /** As the script answered; nothing where this process decided. */
  readonly answer: Answer | undefined
  /** Gives back what this process decided by a lease. */
  readonly locally: ((cost: number) => boolean) | undefined
  /** What was added to a concurrency. */
  readonly lease: Buffer
  /** By which Redis knows a repeated refund. */
  readonly mark: Buffer
  readonly isRefunded: boolean
  refunded(): void
  /** By which Redis knows a repeated settlement at these costs. @throws ConfigurationError one at others may have been done */
  settling(costs: readonly number[]): { readonly give: Buffer; readonly take: Buffer }
  settled(costs: readonly number[], given: readonly number[]): void
}
