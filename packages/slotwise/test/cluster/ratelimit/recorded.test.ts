import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import {
  concurrency,
  fixedWindow,
  RateLimiter,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import { rounds } from '../../support/budget.js'
import { type ClockedPort, clockedPort } from '../../support/clocked-port.js'
import { RECORDED, type Request } from '../../support/recorded.js'
import {
  type Plain,
  plainBucket,
  plainClockWindow,
  plainEstimate,
  plainLog,
  plainMovingWindow,
  plainSteps,
  plainWindow,
} from './plain.js'

interface Counted {
  readonly tier: Tier
  readonly plain: () => Plain
}

const CALENDAR = 'days of the calendar'
/** Limits that some of the hosts reach, what they come to by hand, and what somebody might take for the same. */
const TIERS: readonly (readonly [name: string, tiers: readonly Counted[], naive: Naive])[] = [
  [
    'a token bucket',
    [{ tier: tokenBucket({ capacity: 4, refillPerSecond: 1 / 8 }), plain: () => plainBucket(4, 8) }],
    { charges: true },
  ],
  [
    'a bucket that is filled in steps',
    [
      {
        tier: tokenBucket({ capacity: 4, refill: { tokens: 2, everyMs: 20_000 } }),
        plain: () => plainSteps(4, 2, 20),
      },
    ],
    { charges: true },
  ],
  [
    'windows from the first request on',
    [{ tier: fixedWindow({ limit: 5, windowMs: 30_000 }), plain: () => plainWindow(5, 30) }],
    { instead: () => plainMovingWindow(5, 30) },
  ],
  [
    'windows by the clock',
    [
      {
        tier: fixedWindow({ limit: 5, windowMs: 30_000, align: 'clock' }),
        plain: () => plainClockWindow(5, 30),
      },
    ],
    { instead: () => plainWindow(5, 30) },
  ],
  [
    CALENDAR,
    [
      {
        tier: fixedWindow({ limit: 4, align: { period: 'day', timeZone: 'UTC' } }),
        plain: () => plainClockWindow(4, 86_400),
      },
    ],
    { instead: () => plainWindow(4, 86_400) },
  ],
  [
    'an estimate',
    [{ tier: slidingWindow({ limit: 6, windowMs: 60_000 }), plain: () => plainEstimate(6, 60) }],
    { charges: true },
  ],
  [
    'a strict window',
    // What came in a part of a second counts to its end, so at whole seconds for one more of them.
    [
      {
        tier: slidingWindow({ limit: 6, windowMs: 60_000, mode: 'strict' }),
        plain: () => plainLog(6, 61),
      },
    ],
    { instead: () => plainEstimate(6, 60) },
  ],
  [
    'a log',
    [{ tier: slidingLog({ limit: 6, windowMs: 60_000 }), plain: () => plainLog(6, 60) }],
    { charges: true },
  ],
  [
    'a concurrency of which nothing is released',
    [{ tier: concurrency({ max: 2, ttlMs: 10_000 }), plain: () => plainLog(2, 10) }],
    { charges: true },
  ],
  [
    'a bucket and two estimates',
    [
      { tier: tokenBucket({ capacity: 4, refillPerSecond: 1 / 2 }), plain: () => plainBucket(4, 2) },
      { tier: slidingWindow({ limit: 6, windowMs: 60_000 }), plain: () => plainEstimate(6, 60) },
      { tier: slidingWindow({ limit: 20, windowMs: 600_000 }), plain: () => plainEstimate(20, 600) },
    ],
    { charges: true },
  ],
]

/** It counts what it refuses, or is another tier. */
type Naive = { readonly charges: true } | { readonly instead: () => Plain }

/** Limits count from 2024 on, so the log is moved to later, by so many seconds: midnight comes five minutes after it begins. */
const MOVED = 1_000_058_100
const { name: log, requests: all } = RECORDED
/** On servers less of it: there each decision is a round trip. */
const requests = all.slice(0, rounds(inject('inMemory') ? 4000 : 600, all.length))

let clocked: ClockedPort
beforeAll(async () => {
  clocked = await clockedPort(`recorded-${randomUUID().slice(0, 8)}`, 1000 * ((all[0]?.second ?? 0) + MOVED))
})
afterAll(() => clocked.port.close())
afterEach(() => vi.useRealTimers())

const isSameDay = (a: number, b: number) => Math.floor(a / 86_400_000) === Math.floor(b / 86_400_000)

interface Outcome {
  readonly allowed: boolean
  readonly remaining: readonly number[]
}

/** What tiers come to by hand, host by host. Who `charges` counts what is refused, as many do. */
function byHand(made: readonly (() => Plain)[], { charges = false } = {}): (request: Request) => Outcome {
  const hosts = new Map<string, readonly Plain[]>()
  return ({ host, second }) => {
    const tiers = hosts.get(host) ?? made.map((make) => make())
    hosts.set(host, tiers)
    const at = second + MOVED
    const allowed = tiers.every((tier) => tier.left(at) >= 1)
    if (allowed || charges) for (const tier of tiers) tier.take(at)
    return { allowed, remaining: tiers.map((tier) => Math.max(0, tier.left(at))) }
  }
}

describe(`each host of ${log} is decided about as by hand`, () => {
  it.each(TIERS)('%s', { timeout: rounds(60_000, 3_600_000) }, async (name, tiers, naive) => {
    const limiter = new RateLimiter(clocked.port, {
      name: name.replaceAll(' ', '-'),
      tiers: Object.fromEntries(tiers.map(({ tier }, i) => [`t${i}`, tier])),
      whenUnavailable: 'deny',
      deadlineMs: 5000,
    })
    const plains = tiers.map(({ plain }) => plain)
    const expected = byHand(plains)
    const mistaken = byHand('instead' in naive ? [naive.instead] : plains, { charges: 'charges' in naive })
    if (name === CALENDAR) vi.useFakeTimers({ toFake: ['Date'] })
    const wrong: object[] = []
    let [refused, told] = [0, 0]
    for (const request of requests) {
      const nowMs = 1000 * (request.second + MOVED)
      // By its own clock a process knows which day it is. A port takes a step for a suspended machine, and looks at the topology.
      if (name === CALENDAR && !isSameDay(Date.now(), nowMs)) vi.setSystemTime(nowMs)
      clocked.set(nowMs)
      const decision = await limiter.consume(request.host)
      const states = 'tiers' in decision ? decision.tiers : []
      const outcome = { allowed: decision.allowed, remaining: states.map(({ remaining }) => remaining) }
      const plain = expected(request)
      if (JSON.stringify(outcome) !== JSON.stringify(plain)) wrong.push({ request, outcome, plain })
      if (!outcome.allowed) refused++
      if (mistaken(request).allowed !== outcome.allowed) told++
    }
    expect(wrong).toEqual([])
    expect(refused).toBeGreaterThan(0)
    // Otherwise nothing here would tell a naive limiter from ours.
    expect(told).toBeGreaterThan(0)
    await limiter.close()
  })
})
