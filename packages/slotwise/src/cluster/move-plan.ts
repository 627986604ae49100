import { ConfigurationError, ImpossibleChangeError } from '../errors.js'
import { integer, shown } from '../options.js'
import { SLOTS } from '../slots.js'
import { type FleetNode, placeOf, primariesOf } from './fleet.js'
import { type NodeView, type SlotRange, slotCount, slotsOf } from './view.js'

/** Slots that go from one primary to another. */
export interface SlotMove {
  readonly from: FleetNode
  readonly to: FleetNode
  readonly slots: readonly SlotRange[]
}

/**
 * The fewest moves after which every primary has its share of the slots: those with too many give what is too much,
 * those with too few take it. A weight of 0 empties a node.
 */
export function balance(
  views: readonly NodeView[],
  weightOf: (view: NodeView) => number,
): readonly SlotMove[] {
  const primaries = primariesOf(views)
  const weights = primaries.map((view) => {
    const weight = weightOf(view)
    if (Number.isFinite(weight) && weight >= 0) return weight
    throw new ConfigurationError(`the weight of ${view.node} must be a number from 0, got ${shown(weight)}`)
  })
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  if (total === 0) throw new ConfigurationError('at least one primary must have a weight above 0')
  const shares = sharesOf(weights, total, primaries)
  const surplus = primaries.map(({ self }, i) => slotCount(self.slots) - (shares[i] ?? 0))
  const moves: SlotMove[] = []
  // The largest first on both sides, which pairs most of them off in one move each.
  const byAmount = (sign: 1 | -1) =>
    [...surplus.keys()]
      .filter((i) => sign * (surplus[i] ?? 0) > 0)
      .toSorted((a, b) => sign * ((surplus[b] ?? 0) - (surplus[a] ?? 0)))
  const givers = byAmount(1)
  const free = new Map(givers.map((i) => [i, slotsOf(primaries[i]?.self.slots ?? [])]))
  for (const taker of byAmount(-1)) {
    for (const giver of givers) {
      const amount = Math.min(surplus[giver] ?? 0, -(surplus[taker] ?? 0))
      const [from, to] = [primaries[giver], primaries[taker]]
      if (amount <= 0 || from === undefined || to === undefined) continue
      // The last ones, which leaves the giver's ranges whole.
      const given = free.get(giver)?.splice(-amount) ?? []
      moves.push({ from: placeOf(from), to: placeOf(to), slots: rangesOf(given) })
      surplus[giver] = (surplus[giver] ?? 0) - amount
      surplus[taker] = (surplus[taker] ?? 0) + amount
    }
  }
  return moves
}

/** Whole numbers that add up to all slots; whoever is nearest to one more gets it, and then whoever has it already. */
function sharesOf(weights: readonly number[], total: number, primaries: readonly NodeView[]): number[] {
  const exact = weights.map((weight) => (weight * SLOTS) / total)
  const shares = exact.map(Math.floor)
  const left = SLOTS - shares.reduce((sum, share) => sum + share, 0)
  const order = [...exact.keys()].toSorted((a, b) => {
    const rest = (i: number) => (exact[i] ?? 0) - (shares[i] ?? 0)
    const owned = (i: number) => slotCount(primaries[i]?.self.slots ?? [])
    return rest(b) - rest(a) || owned(b) - owned(a)
  })
  for (const i of order.slice(0, left)) shares[i] = (shares[i] ?? 0) + 1
  return shares
}

/** Some slots of theirs, taken from all sources in proportion or as named. */
export function pick(
  sources: readonly NodeView[],
  target: NodeView,
  wanted: number | readonly SlotRange[],
): readonly SlotMove[] {
  if (typeof wanted === 'number') return pickCount(sources, target, integer('slots', wanted, { max: SLOTS }))
  const named = new Set(slotsOf(wanted.map(checkedRange)))
  const moves = sources.flatMap((source) => {
    const slots = slotsOf(source.self.slots).filter((slot) => named.delete(slot))
    return slots.length === 0 ? [] : [{ from: placeOf(source), to: placeOf(target), slots: rangesOf(slots) }]
  })
  // What the target has already was moved before.
  for (const slot of slotsOf(target.self.slots)) named.delete(slot)
  const [missing] = named
  if (missing === undefined) return moves
  throw new ImpossibleChangeError(
    `slot ${missing} is served by none of ${sources.map(({ node }) => node).join(', ')}`,
  )
}

function pickCount(sources: readonly NodeView[], target: NodeView, wanted: number): readonly SlotMove[] {
  const available = sources.reduce((sum, { self }) => sum + slotCount(self.slots), 0)
  if (wanted > available) {
    throw new ImpossibleChangeError(
      `slots is ${wanted}, and ${sources.map(({ node }) => node).join(', ')} have ${available}`,
    )
  }
  let left = wanted
  let ahead = available
  return sources.flatMap((source) => {
    const owned = slotsOf(source.self.slots)
    const amount = ahead === 0 ? 0 : Math.round((left * owned.length) / ahead)
    left -= amount
    ahead -= owned.length
    const slots = rangesOf(amount === 0 ? [] : owned.slice(-amount))
    return amount === 0 ? [] : [{ from: placeOf(source), to: placeOf(target), slots }]
  })
}

function checkedRange([first, last]: SlotRange): SlotRange {
  integer('the first slot of a range', first, { min: 0, max: SLOTS - 1 })
  integer('the last slot of a range', last, { min: first, max: SLOTS - 1 })
  return [first, last]
}

/** As few ranges as hold them. */
export function rangesOf(slots: readonly number[]): readonly SlotRange[] {
  const ranges: [number, number][] = []
  for (const slot of slots.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.[1] === slot - 1) last[1] = slot
    else ranges.push([slot, slot])
  }
  return ranges
}
