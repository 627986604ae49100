import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type LimitedSubject, MostRefused } from '../../../src/ratelimit/most-refused.js'
import { rounds } from '../../support/budget.js'

interface Counting {
  add(key: string): void
  top(n: number): readonly LimitedSubject[]
}

/** Watches whom it has room for, and nobody who comes later. */
class FirstComeFirstWatched implements Counting {
  readonly #counts = new Map<string, number>()
  readonly #most: number
  constructor(most: number) {
    this.#most = most
  }
  add(key: string): void {
    if (this.#counts.has(key) || this.#counts.size < this.#most)
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }
  top(n: number): readonly LimitedSubject[] {
    return [...this.#counts].slice(0, n).map(([key, count]) => ({ key, atLeast: count, atMost: count }))
  }
}

/** Forgets who was there longest. */
class OldestForgotten implements Counting {
  readonly #counts = new Map<string, number>()
  readonly #most: number
  constructor(most: number) {
    this.#most = most
  }
  add(key: string): void {
    const count = (this.#counts.get(key) ?? 0) + 1
    this.#counts.set(key, count)
    const [oldest = ''] = this.#counts.keys()
    if (this.#counts.size > this.#most) this.#counts.delete(oldest)
  }
  top(n: number): readonly LimitedSubject[] {
    return [...this.#counts].slice(0, n).map(([key, count]) => ({ key, atLeast: count, atMost: count }))
  }
}

/** A few come often, among many that come once. */
const refusals = fc.array(
  fc.oneof({ weight: 2, arbitrary: fc.nat(5) }, { weight: 3, arbitrary: fc.integer({ min: 6, max: 400 }) }),
  { minLength: 100, maxLength: 400 },
)
const room = fc.integer({ min: 1, max: 12 })

/** The first promise that is broken. */
function broken(counting: Counting, most: number, keys: readonly number[]): string | undefined {
  const exact = new Map<string, number>()
  for (const key of keys) {
    counting.add(`${key}`)
    exact.set(`${key}`, (exact.get(`${key}`) ?? 0) + 1)
  }
  const watched = counting.top(1000)
  if (watched.length > most) return 'watches more than it has room for'
  const bound = keys.length / (most + 1)
  for (const { key, atLeast, atMost } of watched) {
    const count = exact.get(key) ?? 0
    if (count < atLeast || count > atMost) return 'tells a count that is wrong'
    if (atMost - atLeast > bound) return 'tells less than it states'
  }
  const seen = new Set(watched.map(({ key }) => key))
  const isMissed = [...exact].some(([key, count]) => count > bound && !seen.has(key))
  return isMissed ? 'misses who is refused often' : undefined
}

describe('who is refused most', () => {
  it('is known to within the error that is stated, and who is refused often is among them', () => {
    fc.assert(
      fc.property(refusals, room, (keys, most) => {
        expect(broken(new MostRefused(most), most, keys)).toBeUndefined()
      }),
      { numRuns: rounds(300, 20_000) },
    )
  })

  it.each([
    ['watches whom it has room for', 'misses', (most: number) => new FirstComeFirstWatched(most)],
    ['forgets who was there longest', 'wrong', (most: number) => new OldestForgotten(most)],
  ])('is not known to one that %s', (_, what, make) => {
    const found = fc
      .sample(fc.tuple(refusals, room), 300)
      .map(([keys, most]) => broken(make(most), most, keys) ?? '')
    expect(found.join()).toContain(what)
  })

  it('comes first', () => {
    const counting = new MostRefused()
    for (const key of ['a', 'b', 'b', 'c', 'b', 'c']) counting.add(key)
    expect(counting.top(2)).toEqual([
      { key: 'b', atLeast: 3, atMost: 3 },
      { key: 'c', atLeast: 2, atMost: 2 },
    ])
  })
})
