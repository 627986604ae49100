import { LRUCache } from 'lru-cache'
import type { Key } from '../keys.js'
import type { Decision, TierState } from './decision.js'
import type { Policy } from './policy.js'

/** What this process may still give of one tier while Redis is away, and when that was so. */
interface Level {
  left: number
  atMs: number
}

const MAX_SUBJECTS = 10_000

/**
 * Decides while Redis is away: of each tier this process has a share of what was left when it last heard, which grows by the same
 * share of the limit in each window, up to that share of the limit. So it gives at most `share × limit × (1 + t / window)` of a
 * tier in an absence of `t`. What is under way of a concurrency comes back when it is given back, or at its deadline at the latest.
 */
export class LocalShare<N extends string> {
  readonly #share: number
  readonly #seen = new LRUCache<Key, readonly number[]>({ max: MAX_SUBJECTS })
  readonly #levels = new LRUCache<Key, readonly Level[]>({ max: MAX_SUBJECTS })

  constructor(share: number) {
    this.#share = share
  }

  /** Redis has answered: from here on its counts are the ones that count. */
  saw(key: Key, tiers: readonly TierState<N>[]): void {
    this.#levels.delete(key)
    this.#seen.set(
      key,
      tiers.map(({ remaining }) => remaining),
    )
  }

  /** `undefined` where the share is smaller than what is asked for, so that waiting never helps while Redis is away. */
  decide(
    key: Key,
    policy: Policy<N>,
    costs: readonly number[],
    nowMs: number,
  ):
    | { readonly allowed: true; readonly tiers: readonly TierState<N>[] }
    | Extract<Decision<N>, { readonly retryAfterMs: number }>
    | undefined {
    const most = policy.tiers.map(({ limit }) => limit * this.#share)
    if (costs.some((cost, i) => cost > (most[i] ?? 0))) return undefined
    const levels = this.#levelsOf(key, policy, nowMs)
    const missing = levels.map(({ left }, i) =>
      Math.max(0, (costs[i] ?? 0) === 0 ? 0 : (costs[i] ?? 0) - left),
    )
    const waits = missing.map((tokens, i) => this.#msFor(policy, i, tokens))
    const allowed = missing.every((tokens) => tokens === 0)
    if (allowed) levels.forEach((level, i) => (level.left -= costs[i] ?? 0))
    const tiers = policy.describe().map(({ name, limit }, i): TierState<N> => {
      const left = levels[i]?.left ?? 0
      const remaining = Math.max(0, Math.floor(left))
      const isFull = left >= (most[i] ?? 0)
      return {
        name,
        limit,
        remaining,
        resetMs: Math.ceil(this.#msFor(policy, i, (most[i] ?? 0) - left)),
        nextMs: isFull ? 0 : Math.ceil(this.#msFor(policy, i, remaining + 1 - left)),
      }
    })
    if (allowed) return { allowed, tiers }
    return {
      allowed,
      reason: 'limited',
      decidedBy: 'local',
      retryAfterMs: Math.max(1, Math.ceil(Math.max(...waits))),
      violated: policy.names.filter((_, index) => (missing[index] ?? 0) > 0),
      tiers,
    }
  }

  /** What a decision of this process took comes back, if Redis has not answered since. */
  giveBack(key: Key, costs: readonly number[], policy: Policy<N>): boolean {
    const levels = this.#levels.peek(key)
    levels?.forEach((level, i) => {
      level.left = Math.min((policy.tiers[i]?.limit ?? 0) * this.#share, level.left + (costs[i] ?? 0))
    })
    return levels !== undefined
  }

  #levelsOf(key: Key, policy: Policy<N>, nowMs: number): readonly Level[] {
    const seen = this.#seen.peek(key)
    const known = this.#levels.get(key)
    const levels =
      known?.length === policy.tiers.length
        ? known
        : policy.tiers.map(({ limit }, i): Level => {
            const left = seen?.length === policy.tiers.length ? Math.min(limit, seen[i] ?? 0) : limit
            return { left: left * this.#share, atMs: nowMs }
          })
    if (levels !== known) this.#levels.set(key, levels)
    for (const [i, level] of levels.entries()) {
      const { limit = 0, windowMs = 1 } = policy.tiers[i] ?? {}
      const most = limit * this.#share
      level.left = Math.min(most, level.left + ((nowMs - level.atMs) / windowMs) * most)
      level.atMs = nowMs
    }
    return levels
  }

  #msFor(policy: Policy<N>, i: number, tokens: number): number {
    const { limit = 0, windowMs = 1 } = policy.tiers[i] ?? {}
    return tokens <= 0 ? 0 : (tokens / (limit * this.#share)) * windowMs
  }
}
