/** A process of a tenant that asks for much more than it is allowed. */
import { setTimeout as sleep } from 'node:timers/promises'
import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
import { serve } from '../measuring/serve.js'
import { portOf } from './slotwise.js'
import { COMMAND_TIMEOUT_MS, type Place } from './subject.js'

interface Settings {
  readonly place: Place
  readonly name: string
  readonly remembers: boolean
}

export interface Offered {
  readonly offered: number
  /** As it really was: who has no time left, or too many under way, offers less than it was told to. */
  readonly perSecond: number
  readonly admitted: number
  readonly refused: number
  readonly failed: number
}

/** More than these are not under way at once: who offers so much does not wait for answers, and has a bound all the same. */
const MOST_UNDER_WAY = 2000

export class NoisyTasks {
  readonly #settings: Settings
  #over = new AbortController()

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /** Until it is told to stop, so many a second, whether they are answered or not. */
  async offer(subject: string, perSecond: number): Promise<Offered> {
    const { place, name, remembers } = this.#settings
    await using port = await portOf(place)
    const limiter = new RateLimiter(port, {
      name,
      tiers: { burst: tokenBucket({ capacity: 100, refillPerSecond: 100 }) },
      whenUnavailable: 'deny',
      deadlineMs: COMMAND_TIMEOUT_MS,
      ...(remembers && { refusals: {} }),
    }).forTenant('noisy')
    const sum = { offered: 0, admitted: 0, refused: 0, failed: 0 }
    let underWay = 0
    const ask = async () => {
      underWay++
      const decision = await limiter.consume(subject)
      underWay--
      if (decision.allowed) sum.admitted++
      else if (decision.reason === 'limited') sum.refused++
      else sum.failed++
    }
    this.#over = new AbortController()
    const { signal } = this.#over
    const from = performance.now()
    while (!signal.aborted) {
      const due = ((performance.now() - from) / 1000) * perSecond
      while (sum.offered < due && underWay < MOST_UNDER_WAY) {
        sum.offered++
        void ask()
      }
      await sleep(1)
    }
    const reached = (1000 * sum.offered) / (performance.now() - from)
    while (underWay > 0) await sleep(1)
    await limiter.close()
    return { ...sum, perSecond: reached }
  }

  async stop(): Promise<void> {
    this.#over.abort()
  }
}

const [, , settings] = process.argv
if (settings === undefined) throw new Error('usage: isolation-child SETTINGS')
serve(new NoisyTasks(JSON.parse(settings) as Settings))
