import type { LocalCluster } from 'slotwise/local'
import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
import { inTurns, rateOf } from '../measuring/rates.js'
import { placeIn } from './server.js'
import { portOf } from './slotwise.js'
import { IN_FLIGHT } from './speed.js'
import { COMMAND_TIMEOUT_MS } from './subject.js'

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
      const rates = (some: readonly { readonly perSecond: number }[]) => some.map((one) => one.perSecond)
      results.push({ inFlight, asked: rates(asked), remembered: rates(remembered) })
    }
    return results
  } finally {
    await Promise.all(limiters.map((limiter) => limiter.close()))
  }
}
