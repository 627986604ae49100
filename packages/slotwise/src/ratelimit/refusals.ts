import { LRUCache } from 'lru-cache'
import type { Key } from '../keys.js'
import type { Decision, TierState } from './decision.js'
import type { Policy } from './policy.js'

type Refusal<N extends string> = Extract<Decision<N>, { readonly retryAfterMs: number }>

interface Kept<N extends string> {
  readonly policy: Policy<N>
  readonly costs: readonly number[]
  readonly refusal: Refusal<N>
  /** When it was asked for: by then the server had not decided yet, so no turn is missed by counting from here. */
  readonly askedAt: number
}

/** Refusals that are still true, for as long as nobody gives anything back. */
export class Refusals<N extends string> {
  readonly #kept: LRUCache<Key, Kept<N>>
  readonly #maxAgeMs: number

  constructor({ maxEntries, maxAgeMs }: { readonly maxEntries: number; readonly maxAgeMs: number }) {
    this.#kept = new LRUCache({ max: maxEntries })
    this.#maxAgeMs = maxAgeMs
  }

  /** A place that somebody may give up at any time refuses nobody from here. */
  keep(key: Key, kept: Kept<N>): void {
    const ofLeases = (name: N) => kept.policy.tiers[kept.policy.names.indexOf(name)]?.kind === 'concurrency'
    if (!kept.refusal.violated.some(ofLeases)) this.#kept.set(key, kept)
  }

  find(key: Key, policy: Policy<N>, costs: readonly number[], now: number): Refusal<N> | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    const passedMs = now - kept.askedAt
    if (passedMs >= Math.min(kept.refusal.retryAfterMs, this.#maxAgeMs)) {
      this.#kept.delete(key)
      return undefined
    }
    if (kept.policy !== policy || kept.costs.some((cost, i) => cost !== costs[i])) return undefined
    const left = (ms: number) => Math.max(0, Math.ceil(ms - passedMs))
    return {
      ...kept.refusal,
      decidedBy: 'cache',
      retryAfterMs: left(kept.refusal.retryAfterMs),
      tiers: kept.refusal.tiers.map(
        (tier): TierState<N> => ({
          ...tier,
          resetMs: left(tier.resetMs),
          nextMs: left(tier.nextMs),
        }),
      ),
    }
  }

  drop(key: Key): void {
    this.#kept.delete(key)
  }
}
