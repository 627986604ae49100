import type { Key } from '../keys.js'
import { randomTag } from '../random.js'
import type { Policy } from './policy.js'

/** What an admission took, for {@link RateLimiter.refund}. Opaque: only a limiter of the same process reads it. */
export interface Receipt<N extends string = string> {
  /** What was taken of each tier. */
  readonly costs: Readonly<Record<N, number>>
}

/** What a limiter knows of an admission. */
export interface Taken {
  readonly key: Key
  readonly policy: Policy<string>
  readonly costs: readonly number[]
  /** As the script answered; nothing where this process decided. */
  readonly record: Buffer | undefined
  /** What was added to a concurrency. */
  readonly lease: Buffer
  /** By which Redis knows a repeated refund. */
  readonly mark: Buffer
  refunded: boolean
}

/** The admissions of a limiter that somebody still holds the receipt of. */
export class Receipts {
  readonly #taken = new WeakMap<object, Taken>()

  issue<N extends string>(
    policy: Policy<N>,
    taken: Pick<Taken, 'key' | 'costs' | 'record'> & { readonly id: Buffer },
  ): Receipt<N> {
    const { key, costs, record, id } = taken
    const receipt = { costs: policy.named(costs) }
    this.#taken.set(receipt, {
      key,
      policy,
      costs,
      record,
      lease: id.subarray(0, 6),
      mark: randomTag(8),
      refunded: false,
    })
    return receipt
  }

  find(receipt: object): Taken | undefined {
    return this.#taken.get(receipt)
  }
}
