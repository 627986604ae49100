import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HotKeys } from '../../src/cache/local/hot-keys.js'
import { rounds } from '../support/budget.js'

/** So many keys are counted for each that may be hot, and counts are halved after so many reads of each. */
const COUNTED_FOR_ONE = 8
const HALVED_AFTER = 10

/** Counts every key, and halves as the sketch does. */
class Exact {
  readonly #reads = new Map<string, number>()
  readonly #everyReads: number
  #seen = 0
  total = 0

  constructor(counted: number) {
    this.#everyReads = counted * HALVED_AFTER
  }

  read(key: string): void {
    this.#reads.set(key, this.of(key) + 1)
    this.total++
    if (++this.#seen % this.#everyReads !== 0) return
    this.total /= 2
    for (const [one, reads] of this.#reads) this.#reads.set(one, reads / 2)
  }

  of(key: string): number {
    return this.#reads.get(key) ?? 0
  }

  keys(): readonly string[] {
    return [...this.#reads.keys()]
  }
}

/** Many keys, some of them much more often than others. */
const traffic = fc.record({
  most: fc.integer({ min: 1, max: 6 }),
  reads: fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 0, max: 3 }) },
      { weight: 2, arbitrary: fc.integer({ min: 0, max: 40 }) },
      { weight: 3, arbitrary: fc.integer({ min: 0, max: 2000 }) },
    ),
    { minLength: 1, maxLength: 3000, size: 'max' },
  ),
})

describe('the sketch of what is read most', () => {
  it('is never wrong by more than its bound, and bounds the reads from both sides', () => {
    let halvings = 0
    fc.assert(
      fc.property(traffic, ({ most, reads }) => {
        const counted = most * COUNTED_FOR_ONE
        const [hot, exact] = [new HotKeys(most), new Exact(counted)]
        for (const read of reads) {
          hot.read(String(read))
          exact.read(String(read))
        }
        halvings += Math.floor(reads.length / (counted * HALVED_AFTER))
        const bound = exact.total / counted + 1
        for (const key of exact.keys()) {
          const { atLeast, atMost } = hot.readsOf(key)
          const truth = exact.of(key)
          expect(atLeast).toBeLessThanOrEqual(truth)
          expect(atMost).toBeGreaterThanOrEqual(truth)
          expect(atMost).toBeLessThanOrEqual(truth + bound)
          // Who is read more often than the bound is counted.
          if (truth > bound) expect(atLeast).toBeGreaterThan(0)
        }
        expect(hot.size).toBeLessThanOrEqual(counted)
        const listed = hot.hot()
        expect(listed.length).toBeLessThanOrEqual(most)
        expect(listed.map(({ atMost }) => atMost)).toEqual(
          listed.map(({ atMost }) => atMost).toSorted((a, b) => b - a),
        )
        expect(listed.every(({ key }) => hot.isHot(key))).toBe(true)
      }),
      { numRuns: rounds(100, 2000) },
    )
    expect(halvings).toBeGreaterThan(100)
  })

  it('finds the hottest of very many, and forgets who was hot', () => {
    const hot = new HotKeys(10)
    const skewed = (from: string) => {
      for (let i = 0; i < 20_000; i++) {
        // Ten keys with half of all reads, and half a million with the other half.
        hot.read(`${from}${i % 2 === 0 ? (i / 2) % 10 : `cold${(i * 7919) % 500_000}`}`)
      }
    }
    skewed('a')
    const names = (from: string) => Array.from({ length: 10 }, (_, i) => `${from}${i}`)
    expect(
      hot
        .hot()
        .map(({ key }) => key)
        .toSorted(),
    ).toEqual(names('a'))
    skewed('b')
    expect(
      hot
        .hot()
        .map(({ key }) => key)
        .toSorted(),
    ).toEqual(names('b'))
    expect(names('a').some((key) => hot.isHot(key))).toBe(false)
    expect(hot.size).toBe(80)
  })

  it('calls nothing hot where everything is read as often', () => {
    const hot = new HotKeys(10)
    for (let i = 0; i < 50_000; i++) hot.read(String(i % 5000))
    expect(hot.hot()).toEqual([])
  })
})
