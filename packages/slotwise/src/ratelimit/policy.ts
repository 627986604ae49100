import { ConfigurationError } from '../errors.js'
import type { Id } from '../keys.js'
import { integer, shown } from '../options.js'
import type { Standing } from './algorithm.js'
import type { TierDescription, TierState } from './decision.js'
import { type OnPlanChange, Plan } from './plan.js'
import type { Tier } from './tiers.js'

/** Whose requests are counted: an id, or parts of which `tenant` and `user` make the key. */
export type Subject =
  | Id
  | {
      readonly tenant: string | number | bigint
      readonly user?: string | number | bigint | undefined
    }

/** The names of the parts of a subject. */
export type PartOf<S extends Subject> = S extends Id ? never : keyof S & string

/** What a request takes: the same from every tier, or for each tier its own. Tiers left out give 1. */
export type Cost<N extends string> = number | Readonly<Partial<Record<N, number>>>

/** What is neither this nor a number would have no entry for any tier, and be taken for 1. */
const isByTier = <N extends string>(cost: Cost<N> | null): cost is Readonly<Partial<Record<N, number>>> =>
  typeof cost === 'object' && cost !== null && !Array.isArray(cost)

/** The key's part of a subject. Other parts, such as a plan, only choose the tiers. */
export function idOf(subject: Subject): Id {
  if (typeof subject === 'string' || isParts(subject)) return subject
  const { tenant, user } = subject
  return user === undefined ? ['tenant', tenant] : ['tenant', tenant, 'user', user]
}

// Array.isArray does not narrow a readonly array.
const isParts = (subject: Subject): subject is readonly (string | number | bigint)[] => Array.isArray(subject)

/** What some tiers have of what is told for all. */
export const ofPlaces = (all: readonly number[], places: readonly number[]): readonly number[] =>
  places.map((i) => all[i] ?? 0)

/** The tiers of one subject in their order. */
export class Policy<N extends string> {
  readonly names: readonly N[]
  readonly tiers: readonly Tier<string>[]
  /** As the scripts are told of them. */
  readonly plan: Plan
  readonly #ones: readonly number[]

  constructor(tiers: Readonly<Record<N, Tier<string>>>, onPlanChange: OnPlanChange) {
    this.names = Object.keys(tiers) as N[]
    if (this.names.length === 0) throw new ConfigurationError('a limiter needs at least one tier')
    this.tiers = this.names.map((name) => tiers[name])
    this.#ones = this.names.map(() => 1)
    this.plan = new Plan(this.names, this.tiers, onPlanChange)
  }

  describe(): readonly TierDescription<N>[] {
    return this.#each(({ kind, limit, windowMs }, name) => ({ name, kind, limit, windowMs }))
  }

  /** What a request takes of each tier. */
  costs(cost: Cost<N>): readonly number[] {
    if (cost === 1) return this.#ones
    const of = isByTier(cost) ? (name: N) => cost[name] ?? 1 : () => cost
    if (isByTier(cost)) {
      const unknown = Object.keys(cost).find((name) => !this.names.some((known) => known === name))
      if (unknown !== undefined) throw new ConfigurationError(`cost names an unknown tier: ${shown(unknown)}`)
    }
    return this.names.map((name) => integer('cost', of(name), { min: 0 }))
  }

  /** By name, what a request took. */
  named(costs: readonly number[]): Readonly<Record<N, number>> {
    return Object.fromEntries(this.names.map((name, i) => [name, costs[i] ?? 0])) as Record<N, number>
  }

  /** The tiers that could not give so much even when nothing is taken. */
  tooSmallFor(costs: readonly number[]): readonly N[] {
    if (costs === this.#ones) return []
    return this.names.filter((_, i) => (costs[i] ?? 0) > (this.tiers[i]?.limit ?? 0))
  }

  /** Where each tier stands, in whole milliseconds, none too early. */
  states(standings: readonly Standing[]): readonly TierState<N>[] {
    return this.#each(({ limit }, name, i) => {
      const standing = standings[i]
      const remaining = Math.max(0, standing?.remaining ?? 0)
      return {
        name,
        limit,
        remaining,
        resetMs: Math.ceil((standing?.resetUs ?? 0) / 1000),
        nextMs: remaining >= limit ? 0 : Math.ceil((standing?.waitUs(remaining + 1) ?? 0) / 1000),
      }
    })
  }

  /** Which tiers refused, and how long until the last of them would not. */
  refusal(
    costs: readonly number[],
    standings: readonly Standing[],
  ): { violated: readonly N[]; retryAfterMs: number } {
    const waits = standings.map((standing, i) => {
      const cost = costs[i] ?? 0
      return cost === 0 ? 0 : standing.waitUs(cost)
    })
    return {
      violated: this.names.filter((_, i) => (waits[i] ?? 0) > 0),
      retryAfterMs: Math.ceil(Math.max(...waits) / 1000),
    }
  }

  #each<R>(of: (tier: Tier<string>, name: N, i: number) => R): readonly R[] {
    const all: R[] = []
    for (let i = 0; i < this.tiers.length; i++)
      all.push(of(this.tiers[i] as Tier<string>, this.names[i] as N, i))
    return all
  }
}
