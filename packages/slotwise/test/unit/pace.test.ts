import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../src/errors.js'
import { Pace, paceBoundsOf } from '../../src/writebehind/pace.js'

const BOUNDS = { min: 10, max: 1000, start: 100, targetMs: 100 }

/** Batches of a database that takes so long for each, and for each line; as long as there is enough to write. */
function batches(pace: Pace, count: number, { eachMs = 0, lineMs }: { eachMs?: number; lineMs: number }) {
  return Array.from({ length: count }, () => {
    const lines = pace.size
    const ms = eachMs + lines * lineMs
    pace.wrote(lines, ms)
    return { lines, ms }
  })
}

describe('the size of batches', () => {
  it('comes down where the database is slow, until a batch keeps within its time, and goes up when it is quick again', () => {
    const pace = new Pace(BOUNDS)
    const quick = batches(pace, 10, { eachMs: 5, lineMs: 0.01 })
    expect(quick.at(-1)?.lines).toBe(1000)
    const slow = batches(pace, 10, { eachMs: 5, lineMs: 2 })
    expect(slow.slice(5).every(({ ms }) => ms <= 100)).toBe(true)
    expect(slow.at(-1)?.lines).toBeGreaterThan(30)
    expect(batches(pace, 10, { eachMs: 5, lineMs: 0.01 }).at(-1)?.lines).toBe(1000)
  })

  it.each([0.05, 0.2, 0.5, 1, 3, 9])(
    'is soon what fits, and stays there: at %s ms for each line',
    (lineMs) => {
      const pace = new Pace(BOUNDS)
      const settled = batches(pace, 30, { lineMs }).slice(10)
      for (const { lines, ms } of settled) {
        if (lines > 10) expect(ms).toBeLessThanOrEqual(100)
        if (lines < 1000) expect(ms).toBeGreaterThan(80 - lineMs)
      }
      expect(new Set(settled.map(({ lines }) => lines)).size).toBe(1)
    },
  )

  it('leaves the least where every batch takes most of its time for itself', () => {
    const pace = new Pace({ ...BOUNDS, min: 1, start: 1 })
    expect(batches(pace, 60, { eachMs: 40, lineMs: 0.1 }).at(-1)?.lines).toBeGreaterThan(200)
  })

  it('is half after a failure, and never out of its bounds, whatever happens', () => {
    const happened = fc.oneof(
      fc.record({
        kind: fc.constant('wrote' as const),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
        ms: fc.double({ min: 0, max: 1e6, noNaN: true }),
      }),
      fc.record({ kind: fc.constant('failed' as const), share: fc.constant(1), ms: fc.constant(0) }),
    )
    const bounds = fc
      .tuple(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 0, max: 500 }),
        fc.integer({ min: 1, max: 500 }),
      )
      .map(([min, more, targetMs]) => ({ min, max: min + more, start: min + Math.floor(more / 2), targetMs }))
    fc.assert(
      fc.property(bounds, fc.array(happened, { maxLength: 40 }), (given, all) => {
        const pace = new Pace(given)
        const within = (size: number) => Math.min(given.max, Math.max(given.min, Math.floor(size)))
        for (const { kind, share, ms } of all) {
          const before = pace.size
          const lines = Math.max(1, Math.round(before * share))
          if (kind === 'failed') pace.failed(lines)
          else pace.wrote(lines, ms)
          expect(Number.isInteger(pace.size)).toBe(true)
          expect(within(pace.size)).toBe(pace.size)
          if (kind === 'failed') expect(pace.size).toBe(within(before / 2))
          else if (ms > given.targetMs) {
            expect(pace.size).toBeLessThanOrEqual(before)
            expect(pace.size).toBeGreaterThanOrEqual(within(lines / 2))
          } else if (lines < before) expect(pace.size).toBe(before)
          else {
            expect(pace.size).toBeGreaterThanOrEqual(before)
            expect(pace.size).toBeLessThanOrEqual(within(2 * before))
          }
        }
      }),
    )
  })

  it('begins where it is told, a number being the most', () => {
    expect(paceBoundsOf(undefined, 30_000)).toEqual({ min: 10, max: 1000, start: 100, targetMs: 250 })
    expect(paceBoundsOf(4, 30_000)).toEqual({ min: 4, max: 4, start: 4, targetMs: 250 })
    expect(paceBoundsOf(500, 100)).toEqual({ min: 10, max: 500, start: 500, targetMs: 50 })
    expect(paceBoundsOf({ min: 2000 }, 30_000)).toMatchObject({ min: 2000, max: 2000, start: 2000 })
    expect(paceBoundsOf({ max: 5, targetMs: 20 }, 30_000)).toEqual({ min: 5, max: 5, start: 5, targetMs: 20 })
    for (const wrong of [
      0,
      10_001,
      1.5,
      { min: 20, max: 10 },
      { min: 0 },
      { max: 0 },
      { targetMs: 0 },
      { targetMs: 30_001 },
    ]) {
      expect(() => paceBoundsOf(wrong, 30_000)).toThrow(ConfigurationError)
    }
  })
})
