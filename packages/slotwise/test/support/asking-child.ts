import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../src/ioredis/index.js'
import {
  concurrency,
  fixedWindow,
  RateLimiter,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../src/ratelimit/index.js'
import { keyOf, type RedisPort } from '../../src/redis/index.js'
import { proxied } from '../../src/testing/faults/index.js'

/** What one process of several is told, all of whose callers ask for the same subject at once. */
export interface AskingTask {
  readonly nodes: readonly string[]
  readonly subject: string
  readonly callers: number
  /** At least for so long, and until each tier has let in and refused as often as `limit`, but no longer than `mostMs`. */
  readonly forMs: number
  readonly mostMs: number
  /** Once in so many requests an answer is lost on its way, what was asked being done; 0 for never. */
  readonly losesEvery: number
  /** Looks first, and takes afterwards, as one would without scripts. */
  readonly isNaive: boolean
  /** Of every tier but the places and those that are leased. */
  readonly limit: number
  readonly windowMs: number
  readonly places: number
  readonly lease: { readonly capacity: number; readonly refillPerSecond: number; readonly epsilon: number }
}

/** From when to when, in milliseconds of the machine's clock: it was asked, and told; or told, and given back. */
export type Span = readonly [from: number, to: number]

/** What was had of each tier and not given back. */
export interface AskingDone {
  readonly spans: Readonly<Record<string, readonly Span[]>>
  /** How often each tier refused. */
  readonly refused: Readonly<Record<string, number>>
  /** Answers that were lost on their way. */
  readonly lost: number
  /** Tokens that were spent without asking. */
  readonly spent: number
}

const task = JSON.parse(process.argv[2] ?? '{}') as AskingTask
const { limit, windowMs, lease } = task
const TIERS: Readonly<Record<string, Tier>> = {
  log: slidingLog({ limit, windowMs }),
  strict: slidingWindow({ limit, windowMs, mode: 'strict', parts: 8 }),
  estimate: slidingWindow({ limit, windowMs }),
  first: fixedWindow({ limit, windowMs }),
  clock: fixedWindow({ limit, windowMs, align: 'clock' }),
  bucket: tokenBucket({ capacity: limit, refillPerSecond: (1000 * limit) / windowMs }),
}

const clock = (): number => performance.timeOrigin + performance.now()
const settings = { whenUnavailable: 'deny', deadlineMs: 5000 } as const

/** Hears what was had of a tier, and of refusals. */
interface Heard {
  readonly had: (name: string, span: Span) => void
  readonly refused: (name: string) => void
}
interface Asker {
  readonly ask: (name: string) => Promise<void>
  readonly spent: () => number
}

function asker(port: RedisPort, subject: string, { had, refused }: Heard): Asker {
  const exact = Object.fromEntries(
    Object.entries(TIERS).map(([name, tier]) => [
      name,
      new RateLimiter(port, { name: `asked-${name}`, tiers: { tier }, ...settings }),
    ]),
  )
  const places = new RateLimiter(port, {
    name: 'asked-places',
    tiers: { tier: concurrency({ max: task.places, ttlMs: 60_000 }) },
    ...settings,
  })
  const leased = new RateLimiter(port, {
    name: 'asked-leased',
    tiers: { tier: tokenBucket(lease) },
    lease: { epsilon: lease.epsilon },
    ...settings,
  })
  const common = new RateLimiter(port, {
    name: 'asked-common',
    tiers: {
      user: tokenBucket({ capacity: 1e6, refillPerSecond: 1e6 }),
      tenant: tokenBucket({ ...lease, by: 'tenant' }),
    },
    lease: { epsilon: lease.epsilon },
    ...settings,
  })
  const known = () => ({ idempotencyKey: randomUUID() })
  return {
    spent: () => Math.min(...[leased, common].map((limiter) => limiter.leaseStats()?.spent ?? 0)),
    async ask(name) {
      const from = clock()
      if (name === 'places') {
        const decision = await places.consume(subject, known())
        if (!decision.allowed) return refused(name)
        const since = clock()
        await sleep(2)
        had(name, [since, clock()])
        await places.release(decision.receipt)
        return
      }
      if (name === 'leased' || name === 'common') {
        const consume = () =>
          name === 'leased'
            ? leased.consume(subject)
            : common.consume({ tenant: subject, user: randomUUID() })
        const decisions = await Promise.all([consume(), consume(), consume()])
        for (const { allowed } of decisions) {
          if (allowed) had(name, [from, clock()])
          else refused(name)
        }
        return
      }
      const limiter = exact[name]
      // Without a key an answer that is lost may have taken something, which is nobody's then.
      const decision = await limiter?.consume(subject, Math.random() < 0.7 ? known() : {})
      if (decision?.allowed !== true) return refused(name)
      const to = clock()
      if (Math.random() < 0.8) had(name, [from, to])
      else await limiter?.refund(decision.receipt)
    },
  }
}

function naiveAsker(port: RedisPort, subject: string, { had, refused }: Heard): Asker {
  return {
    spent: () => 0,
    async ask(name) {
      const from = clock()
      const window = Math.floor(from / windowMs)
      const key = keyOf({ namespace: 'asking', pattern: 'ratelimit', name: 'naive' }, [subject, window])
      const used = await port.call({ key, command: ['GET', key] })
      if (Number(used ?? 0) >= limit) return refused(name)
      await port.call({ key, command: ['INCR', key] })
      had(name, [from, clock()])
    },
  }
}

/** In each process. */
const LEAST_LOST = 5
const NAMES = [...Object.keys(TIERS), 'places', 'leased', 'common']

const seen = await proxied({ nodes: task.nodes })
const port = await connect({ ...seen.connectOptions, namespace: 'asking' })
process.once('message', () => {
  void (async () => {
    const spans: Record<string, Span[]> = {}
    const refused: Record<string, number> = {}
    let asked = 0
    const { ask, spent } = (task.isNaive ? naiveAsker : asker)(port, task.subject, {
      had: (name, span) => void (spans[name] ??= []).push(span),
      refused: (name) => void (refused[name] = (refused[name] ?? 0) + 1),
    })
    const lost = () => seen.proxies.reduce((sum, proxy) => sum + proxy.stats().repliesLost, 0)
    const names = task.isNaive ? ['clock'] : NAMES
    const startedAt = performance.now()
    // A machine that is busy with others takes longer to ask for more than there is.
    const isEnough = () =>
      (task.losesEvery === 0 || lost() >= LEAST_LOST) &&
      names.every((name) => (spans[name]?.length ?? 0) >= limit && (refused[name] ?? 0) >= limit)
    const goesOn = () => {
      const passed = performance.now() - startedAt
      return passed < task.forMs || (passed < task.mostMs && !isEnough())
    }
    const call = async (i: number): Promise<void> => {
      for (let n = i; goesOn(); n++) {
        if (task.losesEvery > 0 && ++asked % task.losesEvery === 0)
          for (const proxy of seen.proxies) proxy.loseReplies(1, { command: 'EVALSHA' })
        // What is refused for lack of an answer is no admission.
        await ask(names[n % names.length] ?? '').catch(() => undefined)
        await sleep(1)
      }
    }
    await Promise.all(Array.from({ length: task.callers }, (_, i) => call(i)))
    process.send?.({ spans, refused, lost: lost(), spent: spent() } satisfies AskingDone)
    await port.close()
    await seen.close()
    process.disconnect()
  })()
})
process.send?.('ready')
process.once('disconnect', () => process.exit())
