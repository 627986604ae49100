import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { balance, pick, rangesOf, type SlotMove } from '../../src/cluster/move-plan.js'
import { type NodeView, type SlotRange, slotsOf } from '../../src/cluster/view.js'
import { ConfigurationError, ImpossibleChangeError } from '../../src/errors.js'
import { SLOTS } from '../../src/slots.js'
import { rounds } from '../support/budget.js'

function primary(index: number, slots: readonly SlotRange[]): NodeView {
  const at = { host: '10.0.0.1', port: 7000 + index, busPort: 17_000 + index }
  return {
    ...at,
    node: `${at.host}:${at.port}`,
    meetAt: at,
    self: {
      id: `id-${index}`,
      ...at,
      flags: [],
      primary: undefined,
      epoch: index,
      connected: true,
      slots,
      open: [],
    },
    others: new Map(),
    keys: 0,
    ok: true,
    linked: true,
  }
}

const RUNS = rounds(40, 1000)

/** Primaries that share all slots in any way, each with a weight. */
const clusters = fc
  .array(fc.record({ cut: fc.nat(SLOTS), weight: fc.integer({ min: 0, max: 5 }) }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((parts) => {
    const cuts = parts.map(({ cut }) => cut).toSorted((a, b) => a - b)
    cuts[0] = 0
    const views = cuts.map((from, i) => {
      const to = (cuts[i + 1] ?? SLOTS) - 1
      return primary(i, to < from ? [] : [[from, to]])
    })
    return { views, weights: parts.map(({ weight }) => weight) }
  })
  .filter(({ weights }) => weights.some((weight) => weight > 0))

function after(views: readonly NodeView[], moves: readonly SlotMove[]): Map<string, Set<number>> {
  const owned = new Map(views.map(({ self }) => [self.id, new Set(slotsOf(self.slots))]))
  for (const { from, to, slots } of moves) {
    // A slot that is moved is given by whoever has it, once.
    const strange = slotsOf(slots).filter((slot) => owned.get(from.id)?.delete(slot) !== true)
    expect(strange).toEqual([])
    for (const slot of slotsOf(slots)) owned.get(to.id)?.add(slot)
  }
  return owned
}

const moved = (moves: readonly SlotMove[]) => moves.flatMap(({ slots }) => slotsOf(slots)).length

describe('a plan to rebalance', () => {
  it('gives everybody the share of its weight, and moves no slot that need not move', () => {
    fc.assert(
      fc.property(clusters, ({ views, weights }) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        const moves = balance(views, (view) => weights[views.indexOf(view)] ?? 0)
        const owned = after(views, moves)
        let surplus = 0
        for (const [i, view] of views.entries()) {
          const has = owned.get(view.self.id)?.size ?? 0
          expect(Math.abs(has - ((weights[i] ?? 0) * SLOTS) / total)).toBeLessThan(1)
          surplus += Math.max(0, slotsOf(view.self.slots).length - has)
        }
        expect(moved(moves)).toBe(surplus)
        expect([...owned.values()].reduce((sum, slots) => sum + slots.size, 0)).toBe(SLOTS)
        // Nobody gives and takes.
        const takers = new Set(moves.map(({ to }) => to.id))
        expect(moves.some(({ from }) => takers.has(from.id))).toBe(false)
      }),
      { numRuns: RUNS },
    )
  })

  it('has nothing to do after it was carried out', () => {
    fc.assert(
      fc.property(clusters, ({ views, weights }) => {
        const weightOf = (view: NodeView) => weights[Number(view.self.id.slice(3))] ?? 0
        const owned = after(views, balance(views, weightOf))
        const then = views.map((_, i) => primary(i, rangesOf([...(owned.get(`id-${i}`) ?? [])])))
        expect(balance(then, weightOf)).toEqual([])
      }),
      { numRuns: RUNS },
    )
  })

  it('refuses weights that are none', () => {
    const views = [primary(0, [[0, SLOTS - 1]])]
    expect(() => balance(views, () => -1)).toThrow(ConfigurationError)
    expect(() => balance(views, () => 0)).toThrow(/at least one/)
  })
})

describe('a plan to move a number of slots', () => {
  it('takes exactly so many, from each in proportion to what it has', () => {
    fc.assert(
      fc.property(clusters, fc.integer({ min: 1, max: SLOTS }), ({ views }, wanted) => {
        const [target, ...sources] = views
        if (target === undefined) return
        const available = sources.flatMap(({ self }) => slotsOf(self.slots)).length
        if (wanted > available) {
          expect(() => pick(sources, target, wanted)).toThrow(ImpossibleChangeError)
          return
        }
        const moves = pick(sources, target, wanted)
        expect(moved(moves)).toBe(wanted)
        after(views, moves)
        for (const source of sources) {
          const has = slotsOf(source.self.slots).length
          const gives = moved(moves.filter(({ from }) => from.id === source.self.id))
          expect(Math.abs(gives - (wanted * has) / available)).toBeLessThanOrEqual(sources.length)
        }
      }),
      { numRuns: RUNS },
    )
  })

  it('takes those that are named, leaves those that are there, and says which nobody serves', () => {
    const views = [primary(0, [[0, 99]]), primary(1, [[100, 199]])]
    const [one, two] = views
    expect.assert(one !== undefined && two !== undefined)
    const [move, ...more] = pick([one], two, [
      [90, 95],
      [150, 160],
    ])
    expect(move).toMatchObject({ from: { id: 'id-0' }, to: { id: 'id-1' }, slots: [[90, 95]] })
    expect(more).toEqual([])
    expect(() => pick([one], two, [[300, 301]])).toThrow(/slot 300 is served by none/)
    expect(() => pick([one], two, [[5, 3]])).toThrow(ConfigurationError)
  })
})

it('ranges are as few as hold their slots', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(200)), (slots) => {
      const ranges = rangesOf(slots)
      expect(slotsOf(ranges)).toEqual(slots.toSorted((a, b) => a - b))
      for (const [i, [first]] of ranges.entries()) expect(first).not.toBe((ranges[i - 1]?.[1] ?? -2) + 1)
    }),
  )
})
