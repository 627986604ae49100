import { PLANS, RateLimiter, type TierDescription, tokenBucket } from 'slotwise/ratelimit'
import { type HeaderList, type Proxies, protect, type RequestFacts } from 'slotwise/ratelimit/http'
import type { RedisPort } from 'slotwise/redis'
import type { Tenant } from '../repositories/tenants.js'
import type { PlanName } from '../tenants.js'
import { recordTiming } from '../trace.js'

/** What is counted of a tenant; `writes` of what changes something, besides the others. */
export type TierName = 'minute' | 'hour' | 'day' | 'writes'

interface Asked {
  readonly tenant: string
  readonly plan: PlanName
  readonly isWrite: boolean
}

/** So many at once, and so many a minute in the long run: who is refused has a turn again within seconds. */
const perMinute = (count: number) => tokenBucket({ capacity: count, refillPerSecond: count / 60 })

/** One object for each plan, and what a minute, an hour and a day allow is the plan's. */
const tiersOf = (plan: PlanName) => {
  const { minute, hour, day } = PLANS[plan]
  return { minute: perMinute(minute.limit), hour, day, writes: perMinute(minute.limit / 2) }
}
const TIERS = {
  FREE: tiersOf('FREE'),
  STARTER: tiersOf('STARTER'),
  BUSINESS: tiersOf('BUSINESS'),
  ENTERPRISE: tiersOf('ENTERPRISE'),
} as const satisfies Record<PlanName, object>

/** Of one client: who mistypes a key is not shut out, and who guesses gets nowhere. */
const WRONG_KEYS = { minute: tokenBucket({ capacity: 20, refillPerSecond: 20 / 60 }) }

/** Who sent a request, as far as it is known before its key is. */
export type Client = RequestFacts

/** What the limiter says of a request. */
export interface Allowance {
  readonly allowed: boolean
  /** `RateLimit` and `RateLimit-Policy`. */
  readonly headers: HeaderList
  /** Until the same request is allowed; 0 where it is. */
  readonly retryAfterMs: number
}

/** How requests are limited. */
export interface LimitSettings {
  readonly evictionCheck?: 'refuse' | 'warn' | 'off'
  /** Who tells whose a request without a valid key is. @defaultValue nobody: the other end of the connection is the client */
  readonly proxies?: Proxies | undefined
  readonly onError?: (error: unknown) => void
}

/**
 * What tenants may ask, by their plan, and clients whose keys are wrong; counted for all processes. While Redis does not answer
 * everybody is let in, after a short wait: to turn tenants away would make an outage of the counter one of the comments.
 */
export class LimitService {
  readonly #requests: RateLimiter<TierName, Asked>
  readonly #wrongKeys: RateLimiter<'minute'>
  readonly #ask
  readonly #askWrong

  constructor(port: RedisPort, { proxies, ...others }: LimitSettings = {}) {
    // Shorter, and a busy process would let everybody in: it is the time until the answer is read, not until it is there.
    const settings = { whenUnavailable: 'allow', deadlineMs: 250, ...others } as const
    this.#requests = new RateLimiter<TierName, Asked>(port, {
      ...settings,
      name: 'requests',
      // What was used before a change of plan counts after it.
      tiers: ({ plan }) => TIERS[plan],
    })
    this.#ask = protect(
      this.#requests,
      { key: (asked: Asked) => asked, cost: ({ isWrite }) => ({ writes: isWrite ? 1 : 0 }) },
      () => NOWHERE,
    )
    // Who goes on with a wrong key costs Redis nothing.
    this.#wrongKeys = new RateLimiter(port, {
      ...settings,
      name: 'wrong-keys',
      tiers: WRONG_KEYS,
      refusals: {},
    })
    this.#askWrong = protect(this.#wrongKeys, { proxies, headers: 'none' }, (client: Client) => client)
  }

  of(plan: PlanName): readonly TierDescription<TierName>[] {
    return this.#requests.describe({ tenant: '', plan, isWrite: false })
  }

  async consume({ id, plan }: Tenant, isWrite: boolean): Promise<Allowance> {
    const from = performance.now()
    const verdict = await this.#ask({ tenant: id, plan, isWrite })
    const { decision } = verdict ?? {}
    const source = decision?.allowed === true ? decision.decidedBy : decision?.reason
    recordTiming('limit', performance.now() - from, source)
    return allowanceOf(verdict)
  }

  /** Counts a key that was wrong, for the client that sent it. */
  async wrongKey(client: Client): Promise<Allowance> {
    return allowanceOf(await this.#askWrong(client))
  }

  async close(): Promise<void> {
    await Promise.all([this.#requests.close(), this.#wrongKeys.close()])
  }
}

/** A tenant is known by its key, from wherever it asks. */
const NOWHERE: Client = { header: () => undefined, remoteAddress: undefined }

function allowanceOf(verdict: Awaited<ReturnType<ReturnType<typeof protect>>>): Allowance {
  const { allowed = true, decision, headers = [] } = verdict ?? {}
  const retryAfterMs = decision !== undefined && 'retryAfterMs' in decision ? decision.retryAfterMs : 0
  return { allowed, retryAfterMs, headers: headers.filter(([name]) => name.startsWith('RateLimit')) }
}
