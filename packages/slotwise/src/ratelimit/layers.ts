import { ConfigurationError } from '../errors.js'
import type { Id } from '../keys.js'
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
export function idOfLayer({ by }: Layer<string>, subject: Subject): Id {
  if (by === undefined) return idOf(subject)
  const part: unknown = typeof subject === 'object' && by in subject ? Reflect.get(subject, by) : undefined
  if (typeof part === 'string' || typeof part === 'number' || typeof part === 'bigint')
    return ['by', by, part]
  throw new ConfigurationError(`a tier counts by ${shown(by)}, and this subject has no such part`)
}
