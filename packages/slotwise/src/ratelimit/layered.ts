import type { Key } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { Asked, Deciding } from './deciding.js'
import type { Decision } from './decision.js'
import type { Layer } from './layers.js'
import type { Policy } from './policy.js'
import { Admission, type Receipt } from './receipt.js'

type Admitted<N extends string> = Extract<Decision<N>, { readonly allowed: true }>

/** What all layers gave. */
export class LayeredReceipt<N extends string> implements Receipt<N> {
  readonly #policy: Policy<N>
  readonly #costs: readonly number[]
  readonly #receipts: readonly Receipt<N>[]

  constructor(policy: Policy<N>, costs: readonly number[], receipts: readonly Receipt<N>[]) {
    this.#policy = policy
    this.#costs = costs
    this.#receipts = receipts
  }

  get costs(): Readonly<Record<N, number>> {
    return this.#policy.named(this.#costs)
  }

  /** Of the parts of the subject, then of the whole of it. */
  get receipts(): readonly Receipt<N>[] {
    return this.#receipts
  }
}

/**
 * Asks the layers one after the other, those of parts of the subject first: by their leases that costs nothing. What they gave comes
 * back when a later one refuses, or has let the same request in before.
 */
export async function decideLayered<N extends string>(
  deciding: Deciding<N>,
  layers: readonly (Layer<N> & { readonly key: Key })[],
  whole: Policy<N>,
  costs: readonly number[],
  asked: Asked,
): Promise<Decision<N>> {
  const tooSmall = whole.tooSmallFor(costs)
  if (tooSmall.length > 0) return { allowed: false, reason: 'exceeds-capacity', violated: tooSmall }
  const given: Admitted<N>[] = []
  const giveBack = async (): Promise<void> => {
    for (const { receipt } of given) await giveBackOne(deciding, receipt, asked.call)
  }
  for (const { by, policy, places, key } of layers) {
    const own = places.map((i) => costs[i] ?? 0)
    try {
      const decision =
        by === undefined
          ? await deciding.exactly(policy, own, key, asked)
          : await deciding.decide(policy, own, key, { call: asked.call })
      if (!decision.allowed) {
        await giveBack()
        return decision
      }
      if (by === undefined && isRepeated(deciding, decision.receipt)) await giveBack()
      given.push(decision)
    } catch (error) {
      await giveBack()
      throw error
    }
  }
  const last = given.at(-1) as Admitted<N>
  const states = new Map(given.flatMap(({ tiers }) => tiers.map((state) => [state.name, state] as const)))
  const receipts = given.map(({ receipt }) => receipt)
  return {
    ...last,
    tiers: whole.names.flatMap((name) => states.get(name) ?? []),
    receipt: new LayeredReceipt(whole, costs, receipts),
  }
}

const isRepeated = <N extends string>(deciding: Deciding<N>, receipt: Receipt<N>): boolean =>
  Admission.of(receipt, deciding)?.answer?.verdict === 'repeated'

/** Whether anything came back. From a lease nobody is asked; what could not be given back is heard of, and comes back by itself. */
async function giveBackOne<N extends string>(
  deciding: Deciding<N>,
  receipt: Receipt<N>,
  call: CallOptions,
): Promise<void> {
  const taken = Admission.of(receipt, deciding)
  if (taken === undefined || taken.isRefunded) return
  taken.refunded()
  // The caller's own deadline may be what ended the decision.
  const { signal: _, ...rest } = call
  await deciding
    .giveBack(taken, taken.own, taken.mark, rest)
    .catch((error: unknown) => deciding.report(error))
}
