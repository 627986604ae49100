import { LRUCache } from 'lru-cache'
import type { Key } from '../keys.js'
import type { Decision, TierState } from './decision.js'
import type { Policy } from './policy.js'

const MAX_SUBJECTS = 10_000
/** A lease that is smaller costs as many round trips as none. */
const WORTHWHILE = 4
/** How often somebody waits for a lease that others use up before it asks for itself. */
const PATIENCE = 3

/** So many requests that Redis has counted already, to be let in here until a moment. */
interface Lease<N extends string> {
  left: number
  readonly endsAt: number
  readonly tiers: readonly TierState<N>[]
}

interface Hot<N extends string> {
  since: number
  count: number
  /** A millisecond, as it was in the last `forMs`. */
  rate: number
  lease: Lease<N> | undefined
  pending: Promise<unknown> | undefined
}

/** A request that was let in by a lease. */
export interface Leased<N extends string> {
  readonly tiers: readonly TierState<N>[]
  /** Gives so much of it back, as long as the lease lasts. */
  readonly giveBack: (cost: number) => boolean
}

/**
 * Subjects that are asked for often, which this process takes several requests for at once, counted by Redis when they are taken
 * and let in here until `forMs` after that was asked for. What is left then is dropped: to give it back would let the next
 * lease begin before the bucket has filled, and many processes would get past every bound.
 */
export class HotSubjects<N extends string> {
  readonly #forMs: number
  readonly #most: number
  readonly #hot = new LRUCache<Key, Hot<N>>({ max: MAX_SUBJECTS })

  constructor({ forMs, most }: { readonly forMs: number; readonly most: number }) {
    this.#forMs = forMs
    this.#most = most
  }

  /** @param take asks Redis for so many times the same */
  async consume(
    key: Key,
    policy: Policy<N>,
    cost: number,
    take: (times: number) => Promise<Decision<N>>,
  ): Promise<Decision<N> | Leased<N>> {
    const hot = this.#see(key)
    for (let tries = 0; tries < PATIENCE; tries++) {
      const leased = this.#spend(hot, cost)
      if (leased !== undefined) return leased
      if (hot.pending === undefined) break
      await hot.pending
    }
    const smallest = Math.min(...policy.tiers.map(({ limit }) => limit))
    const times = Math.floor(Math.min(hot.rate * this.#forMs, this.#most, smallest / 2 / cost))
    if (times < WORTHWHILE || hot.pending !== undefined) return await take(1)
    const asked = this.#ask(hot, times, cost, take)
    const done = asked.then(
      () => {},
      () => {},
    )
    hot.pending = done
    void done.then(() => {
      hot.pending = undefined
    })
    const decision = await asked
    return decision ?? this.#spend(hot, cost) ?? (await take(1))
  }

  drop(key: Key): void {
    this.#hot.delete(key)
  }

  #see(key: Key): Hot<N> {
    const now = performance.now()
    const hot = this.#hot.get(key) ?? { since: now, count: 0, rate: 0, lease: undefined, pending: undefined }
    if (hot.count === 0) this.#hot.set(key, hot)
    hot.count++
    if (now - hot.since >= this.#forMs) {
      hot.rate = hot.count / (now - hot.since)
      hot.since = now
      hot.count = 1
    }
    return hot
  }

  #spend(hot: Hot<N>, cost: number): Leased<N> | undefined {
    const { lease } = hot
    if (lease === undefined) return undefined
    const now = performance.now()
    if (now >= lease.endsAt) {
      hot.lease = undefined
      return undefined
    }
    if (lease.left < cost) return undefined
    lease.left -= cost
    const passedMs = this.#forMs - (lease.endsAt - now)
    const later = (ms: number) => Math.max(0, Math.ceil(ms - passedMs))
    return {
      tiers: lease.tiers.map((tier) => ({
        ...tier,
        remaining: tier.remaining + lease.left,
        resetMs: later(tier.resetMs),
        nextMs: later(tier.nextMs),
      })),
      giveBack: (back) => {
        if (performance.now() >= lease.endsAt) return false
        lease.left += back
        return true
      },
    }
  }

  /** Takes a lease, or what there is of one; else what Redis said to the request itself. */
  async #ask(
    hot: Hot<N>,
    times: number,
    cost: number,
    take: (times: number) => Promise<Decision<N>>,
  ): Promise<Decision<N> | undefined> {
    // The lease ends by when it was asked for: Redis counted it later.
    let endsAt = performance.now() + this.#forMs
    let decision = await take(times)
    if (!decision.allowed && decision.reason === 'limited' && decision.decidedBy === 'redis') {
      const left = Math.min(times, ...decision.tiers.map(({ remaining }) => Math.floor(remaining / cost)))
      if (left <= 1) return await take(1)
      endsAt = performance.now() + this.#forMs
      times = left
      decision = await take(left)
    }
    if (!decision.allowed || decision.decidedBy !== 'redis')
      return decision.allowed ? decision : await take(1)
    hot.lease = { left: times * cost, endsAt, tiers: decision.tiers }
    return undefined
  }
}
