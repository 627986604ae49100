import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import acquireSource from '../../src/lock/acquire.lua.js'
import ratchetSource from '../../src/lock/ratchet.lua.js'
import releaseSource from '../../src/lock/release.lua.js'
import type { LockViolationKind } from '../../src/testing/faults/index.js'
import { rounds } from '../support/budget.js'
import {
  countingFromTheAnswer,
  mistaken,
  oneSlot,
  printedRedlock,
  redlock,
  redlockWithoutValidity,
} from '../support/lock-simulation/builds.js'
import {
  type LockBuild,
  type Schedule,
  simulate,
  type Weather,
} from '../support/lock-simulation/simulation.js'
import { VirtualTime } from '../support/lock-simulation/virtual-time.js'

const LONG_MS = rounds(120_000, 3_600_000)
/** The full count takes a while. */
const TOLD_EVERY = 20_000

/** All that a lock must bear without two ever believing to hold it. */
const storm: Weather = { restartMs: 15_000, failOverMs: 15_000, hangMs: 1500, pauseMs: 800, stepMs: 1000 }
const withServerSteps: Weather = { ...storm, serverStepMs: 1000 }
const seed = Number(process.env['SLOTWISE_SEED'] ?? 1)

const scheduleOf = (i: number, more: Partial<Schedule> = {}): Schedule => ({
  seed: seed + i,
  processes: 2 + (i % 5),
  acquisitions: 200,
  weather: storm,
  skewMs: 200,
  ...more,
})

/** Plays schedules until so many acquisitions; of each violation, by which seed it comes again. */
async function play(build: LockBuild, acquisitions: number, more?: Partial<Schedule>) {
  const sum = { acquisitions: 0, writes: 0 }
  const found: string[] = []
  const from = performance.now()
  let told = 0
  for (let i = 0; sum.acquisitions < acquisitions; i++) {
    const { violations, ...played } = await simulate(build, scheduleOf(i, more))
    sum.acquisitions += played.acquisitions
    sum.writes += played.writes
    found.push(
      ...violations.map(({ kind, message }) => `${kind}: ${message} [SLOTWISE_SEED=${seed + i}, ${i}th]`),
    )
    if (sum.acquisitions - told < TOLD_EVERY) continue
    told = sum.acquisitions
    const took = Math.round((performance.now() - from) / 1000)
    console.log(`${told} of ${acquisitions} acquisitions after ${took} s, ${found.length} violations`)
  }
  return { ...sum, found }
}

/** Plays schedules until all of these were found. */
async function caught(build: LockBuild, kinds: readonly LockViolationKind[], more?: Partial<Schedule>) {
  const found = new Map<LockViolationKind, number>()
  for (let i = 0; i < 60 && !kinds.every((kind) => found.has(kind)); i++) {
    const { violations } = await simulate(build, scheduleOf(i, more))
    for (const { kind } of violations) found.set(kind, (found.get(kind) ?? 0) + 1)
  }
  return found
}

describe('through delays, losses, pauses, hung, emptied and replaced servers, and clocks that are off', () => {
  const right: readonly [string, LockBuild, readonly [number, number], Partial<Schedule>?][] = [
    ['the locks of one slot', oneSlot(), [9000, 600_000]],
    [
      'the locks of one slot, while clocks of servers are set and holders may overlap',
      { ...oneSlot(), checked: { exclusion: 'effects' } },
      [3000, 150_000],
      { weather: withServerSteps },
    ],
    [
      'the effects of locks of one slot without a quarantine, by clocks that agree',
      oneSlot({ quarantine: false }),
      [3000, 150_000],
      { skewMs: 0 },
    ],
    ['the locks of three nodes', redlock(3), [3000, 120_000]],
    ['the locks of five nodes', redlock(5), [2000, 100_000]],
  ]
  it.each(right)(
    'nothing happens that must not: %s',
    async (_, build, [share, full], more) => {
      const { found, acquisitions, writes } = await play(build, rounds(share, full), more)
      expect(found).toEqual([])
      expect(writes).toBeGreaterThan(acquisitions / 2)
    },
    LONG_MS,
  )

  const next = 'math.max(last + 1, clock)'
  const wrong: readonly [string, readonly LockViolationKind[], LockBuild, Partial<Schedule>?][] = [
    ['the textbook’s SET NX PX', ['overlap', 'interleaved', 'revived'], printedRedlock(1)],
    ['Redlock as it is printed', ['overlap', 'interleaved', 'revived'], printedRedlock(3)],
    [
      'Redlock as it is printed, with nothing but a slow network',
      ['overlap', 'interleaved', 'revived'],
      printedRedlock(3),
      { weather: {}, skewMs: 0 },
    ],
    [
      'one slot without the quarantine',
      ['overlap'],
      { ...oneSlot({ quarantine: false }), checked: { exclusion: 'holders' } },
    ],
    [
      'one slot without the floor',
      ['token-order', 'token-shared'],
      oneSlot({ scripts: [mistaken(acquireSource, next, 'last + 1')] }),
    ],
    [
      'one slot whose tokens are the time only',
      ['token-order'],
      oneSlot({
        quarantine: false,
        scripts: [mistaken(acquireSource, next, 'clock')],
      }),
      { weather: withServerSteps },
    ],
    ['one slot whose holders count from the answer', ['overlap'], countingFromTheAnswer(oneSlot())],
    [
      'one slot where anybody releases',
      ['overlap'],
      oneSlot({ scripts: [mistaken(releaseSource, 'string.sub(saved, 1, 22) ~= ARGV[1] or', '')] }),
    ],
    [
      'the locks of three nodes, whose ratchet tells no later holder',
      ['token-order'],
      redlock(3, { scripts: [mistaken(ratchetSource, "redis.call('HSET', KEYS[2], 'h', ARGV[2])", '')] }),
      { skewMs: 450 },
    ],
    [
      'the locks of three nodes without the floor',
      ['token-order'],
      redlock(3, { scripts: [mistaken(acquireSource, next, 'last + 1')] }),
      { weather: { restartMs: 3000 } },
    ],
    [
      'the locks of three nodes without the check of validity',
      ['overlap'],
      redlockWithoutValidity(3),
      { weather: { pauseMs: 200 } },
    ],
    [
      'the locks of three nodes without the quarantine',
      ['overlap'],
      redlock(3, { quarantine: false }),
      { weather: { ...storm, restartMs: 1500, failOverMs: 3000 } },
    ],
  ]
  const list: string[] = []
  afterAll(() => console.info(['Caught:', ...list].join('\n')))
  it.each(wrong)(
    'what is wrong is caught: %s',
    async (name, kinds, build, more) => {
      const found = await caught(build, kinds, more)
      list.push(`  ${name}: ${[...found].map(([kind, count]) => `${kind} ×${count}`).join(', ')}`)
      expect([...found.keys()]).toEqual(expect.arrayContaining([...kinds]))
    },
    LONG_MS,
  )

  it('everything happens again by the same seed', async () => {
    const again = () => simulate(oneSlot(), scheduleOf(7))
    expect(await again()).toEqual(await again())
    expect((await simulate(oneSlot(), scheduleOf(8))).virtualMs).not.toBe((await again()).virtualMs)
  })
})

describe('VirtualTime', () => {
  it('runs everything in its order, but what was called off', async () => {
    const order = fc.asyncProperty(
      fc.array(fc.record({ ms: fc.nat({ max: 20 }), isOff: fc.boolean() }), { minLength: 1, maxLength: 50 }),
      async (planned) => {
        const time = new VirtualTime()
        const seen: (readonly [number, number])[] = []
        for (const [i, { ms, isOff }] of planned.entries()) {
          const cancel = time.at(ms, () => seen.push([time.now, i]))
          if (isOff) cancel()
        }
        let isOver = false
        time.at(21, () => {
          isOver = true
        })
        await time.runUntil(() => isOver)
        const wanted = planned.flatMap(({ ms, isOff }, i) => (isOff ? [] : [[ms, i] as const]))
        expect(seen).toEqual(wanted.toSorted(([a, i], [b, j]) => a - b || i - j))
      },
    )
    await expect(fc.assert(order, { numRuns: rounds(100, 2000) })).resolves.toBeUndefined()
  })
})
