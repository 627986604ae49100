import { ConfigurationError } from '../errors.js'
import { shown } from '../options.js'
import type { Policy } from './policy.js'

const MILLION = 1_000_000

/**
 * Which part of each limit every priority leaves for those above it: a request of priority p is let in while no more than
 * `limit × (1 − what is reserved for higher ones)` is taken, by whomever.
 */
export class Priorities {
  /** Of each, what is reserved for all above it, in parts of a million: fractions do not add up exactly. */
  readonly #above = new Map<string, number>()
  readonly #spares = new WeakMap<Policy<string>, Map<string, readonly number[] | undefined>>()

  /** @param reserved by name, the highest first */
  constructor(reserved: Readonly<Record<string, number>>) {
    let above = 0
    for (const [name, share] of Object.entries(reserved)) {
      if (!(share >= 0 && share < 1))
        throw new ConfigurationError(
          `priorities.${name} must be a share from 0 to below 1, got ${shown(share)}`,
        )
      this.#above.set(name, above)
      above += Math.round(share * MILLION)
    }
    if (above >= MILLION) throw new ConfigurationError('priorities must reserve less than all together')
  }

  /** Of each tier; nothing for the highest, which leaves nothing. */
  sparesOf(policy: Policy<string>, priority: string): readonly number[] | undefined {
    const known = this.#spares.get(policy) ?? new Map<string, readonly number[] | undefined>()
    this.#spares.set(policy, known)
    if (known.has(priority)) return known.get(priority)
    const above = this.#above.get(priority)
    if (above === undefined)
      throw new ConfigurationError(
        `priority must be one of ${[...this.#above.keys()].join(', ')}, got ${shown(priority)}`,
      )
    const ofLimit = (limit: number) => Number((BigInt(limit) * BigInt(above) + 999_999n) / 1_000_000n)
    const spares = above === 0 ? undefined : policy.tiers.map(({ limit }) => ofLimit(limit))
    known.set(priority, spares)
    return spares
  }
}
