import { type Fleet, primariesOf } from './fleet.js'
import type { NodeView } from './view.js'

/**
 * Has a node call slots its own that nobody does, and tells all primaries.
 *
 * Saying it at the node alone may not last: a slot that it does not import brings it no new epoch, and whoever believes
 * an older owner with a higher one answers its claim with an update that takes the slot from it again. So it takes the
 * highest epoch first.
 *
 * What is refused shows in the next look.
 */
export async function claim(
  fleet: Fleet,
  views: readonly NodeView[],
  owner: NodeView,
  slots: readonly number[],
): Promise<void> {
  const orders = ordersFor(owner, slots)
  await fleet.memberOf(owner).client.pipeline([['CLUSTER', 'BUMPEPOCH'], ...orders])
  const others = primariesOf(views).filter((view) => view !== owner)
  await Promise.allSettled(others.map((view) => fleet.memberOf(view).client.pipeline(orders)))
}

/** What tells a node whose slots are. */
export const ordersFor = (owner: NodeView, slots: readonly number[]) =>
  slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'NODE', owner.self.id] as const)
