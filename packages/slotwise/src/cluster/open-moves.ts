import { placeOf, primariesOf } from './fleet.js'
import { rangesOf, type SlotMove } from './move-plan.js'
import { type NodeView, owns } from './view.js'

/**
 * Slots that are half moved, as moves of what is left of them. A node at either end may have been replaced since:
 * then its part is whoever took its place, which has the keys but not the mark.
 */
export function openMoves(views: readonly NodeView[]): readonly SlotMove[] {
  const primaries = primariesOf(views)
  const byId = new Map(views.map((view) => [view.self.id, view]))
  const now = (id: string) => successor(byId, id)
  const pairs = new Map<string, { from: NodeView; to: NodeView; slots: Set<number> }>()
  const taken = new Set<number>()
  const add = (from: NodeView | undefined, to: NodeView | undefined, slot: number) => {
    // Owned by its target already: the source will hear of it. Two targets: the one that has the mark of the source.
    if (from === undefined || to === undefined || from === to || taken.has(slot)) return
    taken.add(slot)
    const name = `${from.self.id} ${to.self.id}`
    const pair = pairs.get(name) ?? { from, to, slots: new Set() }
    pair.slots.add(slot)
    pairs.set(name, pair)
  }
  for (const view of primaries) {
    for (const { slot, state, peer } of view.self.open) {
      if (state === 'migrating' && owns(view, slot)) add(view, now(peer), slot)
    }
  }
  for (const view of primaries) {
    for (const { slot, state } of view.self.open) {
      const owner = primaries.find((one) => owns(one, slot))
      if (state === 'importing') add(owner, view, slot)
    }
  }
  return [...pairs.values()].map(({ from, to, slots }) => ({
    from: placeOf(from),
    to: placeOf(to),
    slots: rangesOf([...slots]),
  }))
}

/** A primary, or whoever took its place. */
export function successor(byId: ReadonlyMap<string, NodeView>, id: string): NodeView | undefined {
  const view = byId.get(id)
  return view?.self.primary === undefined ? view : byId.get(view.self.primary)
}
