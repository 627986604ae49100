import { ConfigurationError } from '../errors.js'
import { type Id, type Key, keyWithin } from '../keys.js'
import { shown } from '../options.js'
import type { OnPlanChange } from './plan.js'
import { idOf, Policy, type Subject } from './policy.js'
import type { Tier } from './tiers.js'

/** Tiers that are counted at one key. */
export interface Layer<N extends string> {
  /** Of which part of the subject; nothing for those of all of it. */
  readonly by: string | undefined
  readonly policy: Policy<N>
  /** Where its tiers are among all. */
  readonly places: readonly number[]
}

/** A layer of one subject. */
export interface Keyed<N extends string> extends Layer<N> {
  readonly key: Key
}

/** The layers of a policy: those of parts of a subject first, that of the whole of it last. A policy without `by` is one. */
export function layersOf<N extends string>(
  whole: Policy<N>,
  onPlanChange: OnPlanChange,
): readonly Layer<N>[] {
  const parts = [...new Set(whole.tiers.map(({ by }) => by))]
  if (parts.length === 1 && parts[0] === undefined)
    return [{ by: undefined, policy: whole, places: whole.names.map((_, i) => i) }]
  if (!parts.includes(undefined))
    throw new ConfigurationError('a limiter needs at least one tier without `by`, for the whole subject')
  const inOrder = [...parts.filter((by) => by !== undefined), undefined]
  return inOrder.map((by) => {
    const places = whole.tiers.flatMap((tier, i) => (tier.by === by ? [i] : []))
    const tiers = Object.fromEntries(places.map((i) => [whole.names[i], whole.tiers[i]])) as Record<
      N,
      Tier<string>
    >
    return { by, policy: new Policy<N>(tiers, onPlanChange), places }
  })
}

/** At whose key a layer is counted. @throws ConfigurationError the subject has no such part */
function idOfLayer({ by }: Layer<string>, subject: Subject): Id {
  if (by === undefined) return idOf(subject)
  const part: unknown = typeof subject === 'object' && by in subject ? Reflect.get(subject, by) : undefined
  if (typeof part === 'string' || typeof part === 'number' || typeof part === 'bigint')
    return ['by', by, part]
  throw new ConfigurationError(`a tier counts by ${shown(by)}, and this subject has no such part`)
}

/**
 * The layers at the keys of a subject. `together` puts the key of the whole of it into the slot of that of its part, which is the only
 * place where the words of a key are all that choose its slot.
 */
export function keyedBy<N extends string>(
  layers: readonly Layer<N>[],
  subject: Subject,
  { keyOf, together }: { readonly keyOf: (id: Id) => Key; readonly together: boolean },
): readonly Keyed<N>[] {
  const part = together ? layers.find(({ by }) => by !== undefined) : undefined
  const slot = part === undefined ? undefined : keyOf(idOfLayer(part, subject))
  return layers.map((layer) => {
    const id = idOfLayer(layer, subject)
    return { ...layer, key: slot === undefined || layer.by !== undefined ? keyOf(id) : keyWithin(slot, id) }
  })
}
