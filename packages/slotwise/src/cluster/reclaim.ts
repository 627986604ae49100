import { claim } from './claim.js'
import type { Fleet } from './fleet.js'
import type { SlotMove } from './move-plan.js'
import { successor } from './open-moves.js'
import { type NodeView, slotsOf } from './view.js'

/**
 * Tells targets again that slots are theirs, where by every node's own account nobody has them. A target that fails
 * over right after it took a slot leaves it so: its replica had not heard of the slot, but has the keys. Saying it
 * again is harmless: the sources have let go, and nobody else moves slots.
 */
export async function reclaim(
  fleet: Fleet,
  views: readonly NodeView[],
  moves: readonly SlotMove[],
): Promise<void> {
  const owned = new Set(views.flatMap(({ self }) => slotsOf(self.slots)))
  const byId = new Map(views.map((view) => [view.self.id, view]))
  for (const { to, slots } of moves) {
    const lost = slotsOf(slots).filter((slot) => !owned.has(slot))
    const owner = successor(byId, to.id)
    if (owner === undefined || lost.length === 0) continue
    await claim(fleet, views, owner, lost)
  }
}
