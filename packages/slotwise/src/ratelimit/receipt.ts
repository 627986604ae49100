import type { Key } from '../keys.js'
import { randomTag } from '../random.js'
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
  readonly #record: Buffer | undefined
  readonly #id: Buffer | undefined
  #mark: Buffer | undefined
  #refunded = false

  /** @param record as the script answered; nothing where this process decided */
  constructor(
    owner: object,
    key: Key,
    policy: Policy<N>,
    costs: readonly number[],
    record: Buffer | undefined,
    id: Buffer | undefined,
  ) {
    this.#owner = owner
    this.#key = key
    this.#policy = policy
    this.#costs = costs
    this.#record = record
    this.#id = id
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
      reply: this.#record,
      lease: (this.#id ?? NOBODY).subarray(0, 6),
      mark: (this.#mark ??= randomTag(8)),
      isRefunded: this.#refunded,
      refunded: () => {
        this.#refunded = true
      },
    }
  }
}

const NOBODY = Buffer.alloc(8)

/** The same, to be given back. */
export interface Taken<N extends string> {
  readonly key: Key
  readonly policy: Policy<N>
  readonly costs: readonly number[]
  /** As the script answered; nothing where this process decided. */
  readonly reply: Buffer | undefined
  /** What was added to a concurrency. */
  readonly lease: Buffer
  /** By which Redis knows a repeated refund. */
  readonly mark: Buffer
  readonly isRefunded: boolean
  refunded(): void
}
