import { createHash } from 'node:crypto'
import { ConfigurationError } from '../errors.js'
import type { Id } from '../keys.js'
import { integer, shown } from '../options.js'
import type { TierDescription, TierState } from './decision.js'
import type { Tier } from './tiers.js'

/** Whose requests are counted: an id, or parts of which `tenant` and `user` make the key. */
export type Subject =
  | Id
  | {
      readonly tenant: string | number | bigint
      readonly user?: string | number | bigint | undefined
    }

/** What a request takes: the same from every tier, or for each tier its own. Tiers left out give 1. */
export type Cost<N extends string> = number | Readonly<Partial<Record<N, number>>>

/** The key's part of a subject. Other parts, such as a plan, only choose the tiers. */
export function idOf(subject: Subject): Id {
  if (typeof subject === 'string' || isParts(subject)) return subject
  const { tenant, user } = subject
  return user === undefined ? ['tenant', tenant] : ['tenant', tenant, 'user', user]
}

// Array.isArray does not narrow a readonly array.
const isParts = (subject: Subject): subject is readonly (string | number | bigint)[] => Array.isArray(subject)

/** The tiers of one subject in their order, ready to be sent. */
export class Policy<N extends string> {
  readonly #names: readonly N[]
  readonly #tiers: readonly Tier[]
  /** Names and kinds, so that a bucket is never read as another one's. Rates and capacities may change freely. */
  readonly layout: Uint8Array

  constructor(tiers: Readonly<Record<N, Tier>>) {
    this.#names = Object.keys(tiers) as N[]
    if (this.#names.length === 0) throw new ConfigurationError('a limiter needs at least one tier')
    this.#tiers = this.#names.map((name) => tiers[name])
    const description = this.#names.map((name) => [name, tiers[name].kind])
    this.layout = createHash('sha256').update(JSON.stringify(description)).digest().subarray(0, 8)
  }

  describe(): readonly TierDescription<N>[] {
    return this.#names.map((name, index) => {
      const { kind, limit, intervalUs } = this.#at(index)
      return { name, kind, limit, windowMs: Math.ceil((limit * intervalUs) / 1000) }
    })
  }

  /** By name, what a request took. */
  named(costs: readonly number[]): Readonly<Record<N, number>> {
    return Object.fromEntries(this.#names.map((name, index) => [name, costs[index] ?? 0])) as Record<
      N,
      number
    >
  }

  /** What a request takes of each tier. */
  costs(cost: Cost<N>): readonly number[] {
    const of = typeof cost === 'number' ? () => cost : (name: N) => cost[name] ?? 1
    if (typeof cost !== 'number') {
      const unknown = Object.keys(cost).find((name) => !this.#names.some((known) => known === name))
      if (unknown !== undefined) throw new ConfigurationError(`cost names an unknown tier: ${shown(unknown)}`)
    }
    return this.#names.map((name) => integer('cost', of(name), { min: 0 }))
  }

  /** The tiers that could not give so much even when full. */
  tooSmallFor(costs: readonly number[]): readonly N[] {
    return this.#names.filter((_, index) => (costs[index] ?? 0) > this.#at(index).limit)
  }

  /** For each tier how long it takes to fill, and how much of that the request takes. */
  plan(costs: readonly number[]): Uint8Array {
    const plan = Buffer.alloc(16 * this.#tiers.length)
    for (const [index, { limit, intervalUs }] of this.#tiers.entries()) {
      plan.writeDoubleBE(limit * intervalUs, 16 * index)
      plan.writeDoubleBE((costs[index] ?? 0) * intervalUs, 16 * index + 8)
    }
    return plan
  }

  /** Where each tier stands, from the microseconds until it is full. */
  states(debts: readonly number[]): readonly TierState<N>[] {
    return this.#names.map((name, index) => {
      const { limit, intervalUs } = this.#at(index)
      const debt = debts[index] ?? 0
      const remaining = Math.floor((limit * intervalUs - debt) / intervalUs)
      const nextUs = debt === 0 ? 0 : debt - (limit - remaining - 1) * intervalUs
      return { name, limit, remaining, resetMs: Math.ceil(debt / 1000), nextMs: Math.ceil(nextUs / 1000) }
    })
  }

  /** Which tiers refused, and how long until the last of them would not. */
  refusal(
    costs: readonly number[],
    debts: readonly number[],
  ): { violated: readonly N[]; retryAfterMs: number } {
    const missing = this.#names.map((_, index) => {
      const { limit, intervalUs } = this.#at(index)
      return (debts[index] ?? 0) + (costs[index] ?? 0) * intervalUs - limit * intervalUs
    })
    return {
      violated: this.#names.filter((_, index) => (costs[index] ?? 0) > 0 && (missing[index] ?? 0) > 0),
      retryAfterMs: Math.ceil(Math.max(...missing) / 1000),
    }
  }

  #at(index: number): Tier {
    const tier = this.#tiers[index]
    if (tier === undefined) throw new RangeError(`no tier ${index}`)
    return tier
  }
}
