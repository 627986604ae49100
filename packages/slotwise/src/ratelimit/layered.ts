import type { CallOptions } from '../options.js'
import type { Asked, Deciding } from './deciding.js'
import type { Decision, TierState } from './decision.js'
import type { Keyed } from './layers.js'
import { ofPlaces, type Policy } from './policy.js'
import { Admission, type Receipt } from './receipt.js'

type Admitted<N extends string> = Extract<Decision<N>, { readonly allowed: true }>

/** What all layers gave. */
export class LayeredReceipt<N extends string> implements Receipt<N> {
  readonly #policy: Policy<N>
  readonly #parts: readonly LayerReceipt<N>[]

  constructor(policy: Policy<N>, parts: readonly LayerReceipt<N>[]) {
    this.#policy = policy
    this.#parts = parts
  }

  get policy(): Policy<N> {
    return this.#policy
  }

  get costs(): Readonly<Record<N, number>> {
    const each = new Map(this.#parts.flatMap(({ receipt }) => Object.entries<number>(receipt.costs)))
    return this.#policy.named(this.#policy.names.map((name) => each.get(name) ?? 0))
  }

  /** Of the parts of the subject, then of the whole of it. */
  get parts(): readonly LayerReceipt<N>[] {
    return this.#parts
  }
}

/** What one layer gave. */
export interface LayerReceipt<N extends string> {
  readonly receipt: Receipt<N>
  /** Where its tiers are among all. */
  readonly places: readonly number[]
}

/** The states of all layers in the order of the whole policy. */
export function inOrder<N extends string>(
  whole: Policy<N>,
  states: readonly TierState<N>[],
): readonly TierState<N>[] {
  return whole.names.flatMap((name) => states.find((state) => state.name === name) ?? [])
}

/**
 * Asks the layers one after the other, those of parts of the subject first: by their leases that costs nothing. What they gave comes
 * back when a later one refuses, or has let the same request in before.
 */
export async function decideLayered<N extends string>(
  deciding: Deciding<N>,
  layers: readonly Keyed<N>[],
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
    const own = ofPlaces(costs, places)
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
  const parts = given.map(({ receipt }, i) => ({ receipt, places: layers[i]?.places ?? [] }))
  return {
    ...last,
    tiers: inOrder(
      whole,
      given.flatMap(({ tiers }) => tiers),
    ),
    receipt: new LayeredReceipt(whole, parts),
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
