import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
import type { RedisPort } from 'slotwise/redis'
import type { Tenant } from '../repositories/tenants.js'
import type { PlanName } from '../tenants.js'
import { recordTiming } from '../trace.js'

interface Bucket {
  readonly capacity: number
  readonly refillPerSecond: number
}

interface Caller {
  readonly tenant: string
  readonly plan: PlanName
}

/** What a plan allows: so many at once, and so many a minute in the long run. */
const BUCKETS = {
  FREE: { capacity: 10, refillPerSecond: 10 / 60 },
  STARTER: { capacity: 100, refillPerSecond: 100 / 60 },
  BUSINESS: { capacity: 1000, refillPerSecond: 1000 / 60 },
  ENTERPRISE: { capacity: 10_000, refillPerSecond: 10_000 / 60 },
} as const satisfies Record<PlanName, Bucket>

const TIERS = {
  FREE: { plan: tokenBucket(BUCKETS.FREE) },
  STARTER: { plan: tokenBucket(BUCKETS.STARTER) },
  BUSINESS: { plan: tokenBucket(BUCKETS.BUSINESS) },
  ENTERPRISE: { plan: tokenBucket(BUCKETS.ENTERPRISE) },
} as const satisfies Record<PlanName, object>

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
  readonly #limiter: RateLimiter<'plan', Caller>

  constructor(
    port: RedisPort,
    {
      evictionCheck,
      onError,
    }: {
      readonly evictionCheck?: 'refuse' | 'warn' | 'off'
      readonly onError?: (error: unknown) => void
    } = {},
  ) {
    this.#limiter = new RateLimiter<'plan', Caller>(port, {
      name: 'requests',
      // A bucket is the tenant's, whatever the plan: what was used before a change of plan counts after it.
      tiers: ({ plan }) => TIERS[plan],
      whenUnavailable: 'allow',
      // Shorter, and a busy process would let everybody in: it is the time until the answer is read, not until it is there.
      deadlineMs: 250,
      evictionCheck,
      onError,
    })
  }

  of(plan: PlanName): Bucket {
    return BUCKETS[plan]
  }

  async consume({ id, plan }: Tenant): Promise<Allowance> {
    const from = performance.now()
    const decision = await this.#limiter.consume({ tenant: id, plan })
    recordTiming('limit', performance.now() - from, decision.allowed ? decision.decidedBy : decision.reason)
    const [tier] = 'tiers' in decision ? decision.tiers : []
    return {
      allowed: decision.allowed,
      limit: BUCKETS[plan].capacity,
      // Nobody counted: what is promised is the least, that this one was let in.
      remaining: tier?.remaining ?? 0,
      resetMs: tier?.resetMs ?? 0,
      retryAfterMs: 'retryAfterMs' in decision ? decision.retryAfterMs : 0,
    }
  }

  async close(): Promise<void> {
    await this.#limiter.close()
  }
}
