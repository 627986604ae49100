import type { LocalCluster } from 'slotwise/local'
import { RateLimiter, slidingWindow, tokenBucket } from 'slotwise/ratelimit'
import { inTurns, rateOf } from '../measuring/rates.js'
import { placeIn } from './server.js'
import { portOf } from './slotwise.js'
import { IN_FLIGHT } from './speed.js'
import { COMMAND_TIMEOUT_MS } from './subject.js'

const perSecond = (some: readonly { readonly perSecond: number }[]) => some.map((one) => one.perSecond)

/** Refusals a second of one subject. */
export interface Refusing {
  readonly inFlight: number
  /** Each asked of Redis. */
  readonly asked: readonly number[]
  /** Remembered in this process, and asked of Redis once a second. */
  readonly remembered: readonly number[]
}

/** What it costs to refuse somebody over and over, with and without memory in this process. */
export async function measureRefusals(
  cluster: LocalCluster,
  rounds: number,
  ms: number,
): Promise<readonly Refusing[]> {
  await using port = await portOf(placeIn(cluster))
  const limiterOf = (name: string, refusals: object | undefined) =>
    new RateLimiter(port, {
      name,
      tiers: { burst: tokenBucket({ capacity: 1, refillPerSecond: 0.0001 }) },
      whenUnavailable: 'deny',
      deadlineMs: COMMAND_TIMEOUT_MS,
      refusals,
    })
  const limiters = [limiterOf('asked', undefined), limiterOf('remembered', {})]
  const refuse = (limiter: (typeof limiters)[number]) => async () => {
    const decision = await limiter.consume('somebody')
    if (decision.allowed || decision.reason !== 'limited') throw new Error('it was to be refused')
  }
  try {
    for (const limiter of limiters) await limiter.consume('somebody')
    const results: Refusing[] = []
    for (const inFlight of IN_FLIGHT) {
      const measurements = limiters.map((limiter) => () => rateOf(refuse(limiter), inFlight, ms))
      for (const warmUp of measurements) await warmUp()
      const [asked = [], remembered = []] = await inTurns(rounds, measurements)
      results.push({ inFlight, asked: perSecond(asked), remembered: perSecond(remembered) })
    }
    return results
  } finally {
    await Promise.all(limiters.map((limiter) => limiter.close()))
  }
}

/** Admissions a second of one subject for which everybody asks. */
export interface Leasing {
  readonly exact: readonly number[]
  readonly leased: readonly number[]
  /** What came from leases of what was admitted by such a limiter. */
  readonly share: number
}

export const LEASE_MS = 50
export const ASKING = 64

/** The same three tiers, decided one by one and from leases, with limits that nobody reaches. */
export async function measureLease(cluster: LocalCluster, rounds: number, ms: number): Promise<Leasing> {
  await using port = await portOf(placeIn(cluster))
  const limiterOf = (name: string, lease: { readonly forMs: number } | undefined) =>
    new RateLimiter(port, {
      name,
      tiers: {
        second: tokenBucket({ capacity: 10_000_000, refillPerSecond: 1_000_000 }),
        minute: slidingWindow({ limit: 1_000_000_000, windowMs: 60_000 }),
        hour: slidingWindow({ limit: 10_000_000_000, windowMs: 3_600_000 }),
      },
      whenUnavailable: 'deny',
      deadlineMs: COMMAND_TIMEOUT_MS,
      lease,
    })
  const [exact, leased] = [limiterOf('exact', undefined), limiterOf('leased', { forMs: LEASE_MS })]
  let [admitted, fromLeases] = [0, 0]
  const admit = (limiter: typeof exact) => async () => {
    const decision = await limiter.consume('everybody')
    if (!decision.allowed) throw new Error('it was to be admitted')
    if (limiter === exact) return
    admitted++
    if (decision.decidedBy === 'lease') fromLeases++
  }
  try {
    const measurements = [exact, leased].map((limiter) => () => rateOf(admit(limiter), ASKING, ms))
    for (const warmUp of measurements) await warmUp()
    const [ones = [], many = []] = await inTurns(rounds, measurements)
    return { exact: perSecond(ones), leased: perSecond(many), share: fromLeases / admitted }
  } finally {
    await Promise.all([exact, leased].map((limiter) => limiter.close()))
  }
}
