import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
import type { RedisPort } from 'slotwise/redis'
import type { Tenant } from '../repositories/tenants.js'
import type { PlanName } from '../tenants.js'
import { recordTiming } from '../trace.js'

/** What a plan allows: so many at once, and so many a minute in the long run. */
const BUCKETS = {
  FREE: { capacity: 10, refillPerSecond: 10 / 60 },
  STARTER: { capacity: 100, refillPerSecond: 100 / 60 },
  BUSINESS: { capacity: 1000, refillPerSecond: 1000 / 60 },
  ENTERPRISE: { capacity: 10_000, refillPerSecond: 10_000 / 60 },
} as const satisfies Record<PlanName, { capacity: number; refillPerSecond: number }>

/** What the limiter says of a request. */
export interface Allowance {
  readonly allowed: boolean
  readonly limit: number
  readonly remaining: number
  /** Until the bucket is full again. */
  readonly resetMs: number
  /** Until the same request is allowed; 0 where it is. */
  readonly retryAfterMs: number
}

/**
 * The requests of a tenant, counted in one bucket for all processes. While Redis does not answer everybody is let
 * in, after a short wait: to turn tenants away would make an outage of the counter one of the comments.
 */
export class LimitService {
  readonly #limiter: RateLimiter<'plan'>

  constructor(port: RedisPort) {
    this.#limiter = new RateLimiter(port, {
      name: 'requests',
      tiers: ({ plan }: { plan: PlanName }) => ({ plan: tokenBucket(BUCKETS[plan]) }),
      whenUnavailable: 'allow',
      deadlineMs: 50,
    })
  }

  of(plan: PlanName): { readonly capacity: number; readonly refillPerSecond: number } {
    return BUCKETS[plan]
  }

  async consume({ id, plan }: Tenant): Promise<Allowance> {
    const from = performance.now()
    const decision = await this.#limiter.consume({ tenant: id, plan })
    recordTiming('limit', performance.now() - from, decision.allowed ? decision.decidedBy : 'refused')
    const { capacity } = BUCKETS[plan]
    return { allowed: decision.allowed, limit: capacity, remaining: 0, resetMs: 0, retryAfterMs: 0 }
  }
}
