import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import {
  fixedWindow,
  RateLimiter,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'
import { compiledTwin } from '../../support/compiled-twin.js'
import {
  type Consume,
  naiveBucket,
  naiveEstimate,
  naiveLog,
  naiveTiers,
  naiveWindow,
  naiveWindows,
} from './naive.js'

const START_MS = Date.UTC(2026, 0, 1)
const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** A server whose clock we turn, and callers whose clocks are right unless they say otherwise. */
class World {
  readonly clock = new TestClock(START_MS)
  readonly port: RedisPort = new MemoryRedis({ clock: this.clock, scripts: compiledTwin }).connect()

  get now(): number {
    return this.clock.now()
  }

  key(...more: number[]): Key {
    return keyOf({ namespace: '', pattern: 'ratelimit', name: 'naive' }, [randomUUID(), ...more])
  }

  ours(tiers: Readonly<Record<string, Tier>>): Consume {
    const limiter = new RateLimiter(this.port, {
      name: 'ours',
      tiers,
      whenUnavailable: 'deny',
      deadlineMs: 2000,
    })
    return (_, cost = 1) => limiter.consume('somebody', { cost })
  }

  /** How many of so many, one after the other, are let in. */
  async count(consume: Consume, times: number, nowMs = this.now): Promise<number> {
    let admitted = 0
    for (let i = 0; i < times; i++) if ((await consume(nowMs)).allowed) admitted++
    return admitted
  }
}

/** A promise, what makes it, what a textbook has for it, and whether one keeps it. */
interface Promised {
  readonly ours: (world: World) => Consume
  readonly naive: (world: World) => Consume
  readonly holds: (consume: Consume, world: World) => Promise<boolean>
}

const windowsOf = (world: World) => {
  const id = Math.floor(Math.random() * 1e9)
  return (window: number) => world.key().replace(/\{.*/, `{${id}:${window}}`) as Key
}

const PROMISES: Readonly<Record<string, Promised>> = {
  'S1 gives tokens back as time passes, and not once a second': {
    ours: (world) => world.ours({ bucket: tokenBucket({ capacity: 10, refillPerSecond: 10 }) }),
    naive: (world) => naiveBucket(world.port, world.key(), 10, 10),
    holds: async (consume, world) => {
      await world.count(consume, 10)
      world.clock.advance(500)
      return (await world.count(consume, 10)) === 5
    },
  },
  'S2 does not take the clocks of its callers for the time': {
    ours: (world) => world.ours({ bucket: tokenBucket({ capacity: 10, refillPerSecond: 1 }) }),
    naive: (world) => naiveBucket(world.port, world.key(), 10, 1),
    holds: async (consume, world) => {
      const first = await world.count(consume, 10)
      return first + (await world.count(consume, 10, world.now + 10_000)) === 10
    },
  },
  'S3 tells who is refused when its turn is': {
    ours: (world) => world.ours({ bucket: tokenBucket({ capacity: 5, refillPerSecond: 4 }) }),
    naive: (world) => naiveBucket(world.port, world.key(), 5, 4),
    holds: async (consume, world) => {
      await world.count(consume, 5)
      const { retryAfterMs = 0 } = await consume(world.now, 2)
      world.clock.advance(retryAfterMs)
      return (await consume(world.now, 2)).allowed
    },
  },
  'S4 remembers for as long as a bucket takes to fill': {
    ours: (world) => world.ours({ bucket: tokenBucket({ capacity: 10, refillPerSecond: 10 / 3600 }) }),
    naive: (world) => naiveBucket(world.port, world.key(), 10, 10 / 3600),
    holds: async (consume, world) => {
      await world.count(consume, 10)
      world.clock.advance(2 * MINUTE + 1)
      return (await world.count(consume, 10)) === 0
    },
  },
  'S5 ends a window although requests go on': {
    ours: (world) => world.ours({ window: fixedWindow({ limit: 5, windowMs: MINUTE }) }),
    naive: (world) => naiveWindow(world.port, world.key(), 5, 60),
    holds: async (consume, world) => {
      let admitted = 0
      for (let second = 0; second < 120; second++, world.clock.advance(1000)) {
        if ((await consume(world.now)).allowed) admitted++
      }
      return admitted === 10
    },
  },
  'S6 never lets more through than the limit in any window': {
    ours: (world) => world.ours({ window: slidingWindow({ limit: 100, windowMs: MINUTE, mode: 'strict' }) }),
    naive: (world) => naiveWindows(world.port, windowsOf(world), 100, MINUTE),
    holds: async (consume, world) => {
      world.clock.advance(MINUTE - 1)
      const before = await world.count(consume, 150)
      world.clock.advance(1)
      return before + (await world.count(consume, 150)) === 100
    },
  },
  'S7 counts what comes in the same moment apart': {
    ours: (world) => world.ours({ log: slidingLog({ limit: 5, windowMs: MINUTE }) }),
    naive: (world) => naiveLog(world.port, world.key(), 5, MINUTE),
    holds: async (consume, world) => (await world.count(consume, 20)) === 5,
  },
  'S8 lets no more in than the limit of those who come at once': {
    ours: (world) => world.ours({ window: slidingWindow({ limit: 30, windowMs: MINUTE }) }),
    naive: (world) => naiveEstimate(world.port, windowsOf(world), 30, MINUTE),
    holds: async (consume, { now }) => {
      const verdicts = await Promise.all(Array.from({ length: 60 }, () => consume(now)))
      return verdicts.filter(({ allowed }) => allowed).length === 30
    },
  },
  'S9 takes nothing of any tier for what one refuses': {
    ours: (world) =>
      world.ours({
        day: fixedWindow({ limit: 20, windowMs: 24 * HOUR }),
        minute: fixedWindow({ limit: 5, windowMs: MINUTE }),
      }),
    naive: (world) =>
      naiveTiers([
        naiveWindows(world.port, windowsOf(world), 20, 24 * HOUR),
        naiveWindows(world.port, windowsOf(world), 5, MINUTE),
      ]),
    holds: async (consume, world) => {
      await world.count(consume, 100)
      world.clock.advance(MINUTE)
      return (await world.count(consume, 5)) === 5
    },
  },
}

const broken: string[] = []
afterAll(() => console.log(`what textbooks break:\n${broken.map((name) => `  ${name}`).join('\n')}`))

describe.each(Object.entries(PROMISES))('that a limiter %s', (name, { ours, naive, holds }) => {
  it('is kept by ours', async () => {
    const world = new World()
    expect(await holds(ours(world), world)).toBe(true)
  })

  it('is broken by the textbook', async () => {
    const world = new World()
    const isKept = await holds(naive(world), world)
    if (!isKept) broken.push(name)
    expect(isKept).toBe(false)
  })
})

it('two counters of the textbook lie in two slots, so that no script may read both', () => {
  const keyAt = windowsOf(new World())
  const slots = Array.from({ length: 50 }, (_, window) => slotOf(keyAt(window)))
  expect(new Set(slots).size).toBeGreaterThan(1)
})
