import { OutcomeUnknownError } from '../../../src/errors.js'
import { RateLimiter, type Tier } from '../../../src/ratelimit/index.js'
import type { RedisPort, ScriptSource } from '../../../src/redis/index.js'
import type { Stage } from './stage.js'

/** A limiter whose scripts run on a stage, at the moment that is set, some perhaps with a mistake; and whose answers may be lost. */
export class StagedLimiter {
  nowUs: bigint
  /** How many of the next answers are lost. What was asked is done. */
  lose = 0
  readonly limiter: RateLimiter<string>

  constructor(
    stage: Stage,
    tiers: readonly Tier[],
    {
      startUs,
      priorities,
      instead = (script) => script,
    }: {
      readonly startUs: bigint
      readonly priorities?: Readonly<Record<string, number>>
      readonly instead?: (script: ScriptSource) => ScriptSource
    },
  ) {
    this.nowUs = startUs
    const call: RedisPort['call'] = async (one) => {
      if (!('script' in one)) throw new TypeError('only scripts run on a stage')
      const [key, other] = one.keys
      const keys = other === undefined ? key : ([key, other] as const)
      const reply = await stage.run(instead(one.script), keys, one.args, this.nowUs)
      if (this.lose === 0) return reply
      this.lose--
      throw new OutcomeUnknownError('lost', { node: 'stage' })
    }
    const port = { namespace: 'model', breaker: () => ({ state: 'closed' }), call } as unknown as RedisPort
    this.limiter = new RateLimiter(port, {
      name: 'm',
      tiers: Object.fromEntries(tiers.map((tier, i) => [`t${i}`, tier])),
      whenUnavailable: 'deny',
      priorities,
      evictionCheck: 'off',
    })
  }
}
