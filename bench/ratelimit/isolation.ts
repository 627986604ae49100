import { setTimeout as sleep } from 'node:timers/promises'
import type { LocalCluster } from 'slotwise/local'
import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
import { keyOf, type RedisPort, slotOf } from 'slotwise/redis'
import { Held } from '../measuring/held.js'
import { inTurns, quantile } from '../measuring/rates.js'
import type { NoisyTasks, Offered } from './isolation-child.js'
import { placeIn } from './server.js'
import { portOf } from './slotwise.js'
import { COMMAND_TIMEOUT_MS } from './subject.js'

const NOISY_PER_SECOND = 10_000
const QUIET_PER_SECOND = 100

/** A stretch of the quiet tenant. */
export interface Stretch {
  readonly decisions: number
  /** As they were really asked for. */
  readonly perSecond: number
  /** That are not what they had to be. */
  readonly wrong: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** What the noisy one did meanwhile. */
  readonly noisy: Offered | undefined
}

export interface Isolation {
  readonly alone: readonly Stretch[]
  /** Beside one whose process remembers its refusals. */
  readonly beside: readonly Stretch[]
  /** Beside one that has each of its refusals from Redis. */
  readonly besideAsking: readonly Stretch[]
}

const NOISY = 'user'

/**
 * One tenant at a hundred requests a second, in turns alone and beside another that offers ten thousand and is refused, in a
 * process of its own. The ids of both lie on one primary: on several they would share nothing.
 */
export async function measureIsolation(
  cluster: LocalCluster,
  rounds: number,
  ms: number,
): Promise<Isolation> {
  const place = placeIn(cluster)
  await using port = await portOf(place)
  const name = 'api'
  const program = new URL('./isolation-child.ts', import.meta.url)
  const start = (who: string, remembers: boolean) =>
    Held.start<NoisyTasks, string>(who, program, [JSON.stringify({ place, name, remembers })])
  const [remembering, asking] = await Promise.all([start('remembering', true), start('asking', false)])
  // What it is allowed is used up long before the end, and nothing comes back: what is decided depends on no clock.
  const count = Math.max(20, Math.round((QUIET_PER_SECOND * ms) / 1000))
  const capacity = Math.floor(count / 2)
  const limiter = new RateLimiter(port, {
    name,
    tiers: { burst: tokenBucket({ capacity, refillPerSecond: 0.001 }) },
    whenUnavailable: 'deny',
    deadlineMs: COMMAND_TIMEOUT_MS,
  }).forTenant('quiet')
  const ids = idsBeside(port, name)
  const stretch = async (noisy?: Held<NoisyTasks>): Promise<Stretch> => {
    const id = ids.next().value
    const offering = noisy?.must('offer', [NOISY, NOISY_PER_SECOND], ms + 60_000)
    // Until it is refused, and the first of everything is behind it.
    await sleep(300)
    const took: number[] = []
    let wrong = 0
    const ask = async (i: number) => {
      const from = performance.now()
      const { allowed } = await limiter.consume(id)
      took.push(performance.now() - from)
      if (allowed !== i < capacity) wrong++
    }
    const from = performance.now()
    const asked: Promise<void>[] = []
    for (let i = 0; i < count; i++) {
      await sleep(Math.max(0, from + (i * 1000) / QUIET_PER_SECOND - performance.now()))
      asked.push(ask(i))
    }
    // From the first to the last.
    const perSecond = (1000 * (count - 1)) / (performance.now() - from)
    await Promise.all(asked)
    await noisy?.must('stop', [])
    return {
      decisions: count,
      perSecond,
      wrong,
      p50Ms: quantile(took, 0.5),
      p99Ms: quantile(took, 0.99),
      noisy: await offering,
    }
  }
  try {
    await stretch()
    const [alone = [], beside = [], besideAsking = []] = await inTurns(rounds, [
      () => stretch(),
      () => stretch(remembering),
      () => stretch(asking),
    ])
    return { alone, beside, besideAsking }
  } finally {
    await Promise.all([remembering, asking].map((held) => held.stop()))
    await limiter.close()
  }
}

/** Ids of the quiet tenant whose keys are where that of the noisy one is. */
function* idsBeside(port: RedisPort, name: string): Generator<string, never> {
  const ownerOf = (tenant: string, id: string) =>
    port
      .topology()
      .ownerOf(slotOf(keyOf({ namespace: port.namespace, pattern: 'ratelimit', name, tenant }, id)))?.id
  const owner = ownerOf('noisy', NOISY)
  for (let n = 0; ; n++) {
    if (ownerOf('quiet', `user-${n}`) === owner) yield `user-${n}`
  }
}
