import fc from 'fast-check'
import { steadyBucket, steppedBucket } from '../../../src/ratelimit/buckets.js'
import { leases, log } from '../../../src/ratelimit/lists.js'
import type { Tier } from '../../../src/ratelimit/tiers.js'
import { alignedWindow, anchoredWindow, estimatedWindow } from '../../../src/ratelimit/windows.js'
import { BucketOracle, EstimateOracle, ListOracle, StepOracle, WindowOracle } from './oracles.js'
import type { Model } from './play.js'

/** A tier with other limits, and otherwise the same. */
export interface Pair {
  readonly plain: Model
  readonly changed: Model
}

const tierOf = (kind: Tier['kind'], limit: number, algorithm: Tier['algorithm'], widthUs: number): Tier => ({
  kind,
  limit,
  windowMs: Math.ceil(widthUs / 1000),
  algorithm,
})

const limit = fc.integer({ min: 1, max: 12 })
const large = fc.integer({ min: 2 ** 31, max: 2 ** 36 })
const width = fc.integer({ min: 7, max: 20_000 })

const pair = <T>(
  make: (limit: number, rest: T) => Model,
  limits: fc.Arbitrary<number>,
  rest: fc.Arbitrary<T>,
) =>
  fc.record({ one: limits, other: limits, rest }).map(
    ({ one, other, rest: given }): Pair => ({
      plain: make(one, given),
      changed: make(other, given),
    }),
  )

/** By their names: each kind of tier, with limits that are soon used up. */
export const MODELS: Readonly<Record<string, fc.Arbitrary<Pair>>> = {
  'a token bucket': fc
    .record({ one: limit, other: limit, interval: fc.integer({ min: 1, max: 5000 }), slower: fc.nat(3) })
    .map(({ one, other, interval, slower }): Pair => {
      const make = (capacity: number, each: number): Model => ({
        tier: tierOf('token-bucket', capacity, steadyBucket(capacity, each), capacity * each),
        oracle: new BucketOracle(BigInt(capacity), BigInt(each)),
        widthUs: capacity * each,
      })
      return { plain: make(one, interval), changed: make(other, interval + slower * 7) }
    }),
  'a bucket filled in steps': pair(
    (capacity, { tokens, every }: { tokens: number; every: number }) => ({
      tier: tierOf('token-bucket', capacity, steppedBucket(capacity, tokens, every), every),
      oracle: new StepOracle(BigInt(capacity), BigInt(tokens), BigInt(every)),
      widthUs: every * Math.ceil(capacity / tokens),
    }),
    limit,
    fc.record({ tokens: fc.integer({ min: 1, max: 5 }), every: width }),
  ),
  'a window from the first request': pair(
    (most, us: number) => ({
      tier: tierOf('fixed-window', most, anchoredWindow(most, us), us),
      oracle: new WindowOracle(BigInt(most), BigInt(us), false),
      widthUs: us,
    }),
    limit,
    width,
  ),
  'a window by the clock': pair(
    (most, us: number) => ({
      tier: tierOf('fixed-window', most, alignedWindow(most, us), us),
      oracle: new WindowOracle(BigInt(most), BigInt(us), true),
      widthUs: us,
    }),
    limit,
    width,
  ),
  'a window of the calendar': pair(
    (most, us: number) => {
      const windows = (nowUs: number) => {
        const from = nowUs - (nowUs % us)
        return { from, to: from + us, next: from + 2 * us }
      }
      const algorithm = { ...alignedWindow(most, us), code: 6, width: 0, calendar: windows }
      return {
        tier: tierOf('fixed-window', most, algorithm, us),
        oracle: new WindowOracle(BigInt(most), BigInt(us), true),
        widthUs: us,
      }
    },
    limit,
    // Days begin at whole milliseconds.
    fc.integer({ min: 1, max: 20 }).map((ms) => 1000 * ms),
  ),
  'an estimate': pair(
    (most, { units, unit }: { units: number; unit: number }) => ({
      tier: tierOf('sliding-window', most, estimatedWindow(most, units * unit, unit), units * unit),
      oracle: new EstimateOracle(BigInt(most), BigInt(units * unit), BigInt(unit)),
      widthUs: units * unit,
    }),
    limit,
    fc.record({ units: fc.integer({ min: 7, max: 2000 }), unit: fc.constantFrom(1, 10, 100) }),
  ),
  'an estimate of large counts': pair(
    (most, { units, unit }: { units: number; unit: number }) => ({
      tier: tierOf('sliding-window', most, estimatedWindow(most, units * unit, unit), units * unit),
      oracle: new EstimateOracle(BigInt(most), BigInt(units * unit), BigInt(unit)),
      widthUs: units * unit,
    }),
    large,
    fc.record({ units: fc.integer({ min: 7, max: 2000 }), unit: fc.constantFrom(1, 10, 100) }),
  ),
  'a strict window': pair(
    (most, { us, parts }: { us: number; parts: number }) => {
      const [window, part] = [BigInt(us), BigInt(Math.ceil(us / parts))]
      return {
        tier: tierOf('sliding-window', most, log(most, us, parts), us),
        oracle: new ListOracle(BigInt(most), (at) => (at / part + 1n) * part - 1n + window - at, true),
        widthUs: us,
      }
    },
    limit,
    fc.record({ us: width, parts: fc.integer({ min: 1, max: 12 }) }),
  ),
  'a log': pair(
    (most, us: number) => ({
      tier: tierOf('sliding-log', most, log(most, us), us),
      oracle: new ListOracle(BigInt(most), () => BigInt(us), true),
      widthUs: us,
    }),
    limit,
    width,
  ),
  'a concurrency': pair(
    (most, us: number) => ({
      tier: tierOf('concurrency', most, leases(most, us), us),
      oracle: new ListOracle(BigInt(most), () => BigInt(us), false),
      widthUs: us,
    }),
    limit,
    width,
  ),
}
