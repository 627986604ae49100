import { SLOTS } from '../slots.js'
import { alone } from './alone.js'
import { claim } from './claim.js'
import { type Fleet, primariesOf } from './fleet.js'
import { successor } from './open-moves.js'
import { type NodeView, slotsOf } from './view.js'

/** Looks are not of one moment: a slot that goes over between two of them seems to be nobody's. */
const LASTING_MS = 1000

/**
 * Gives slots that nobody calls his own to the node that has their keys, or, where they hold none, to the one that others
 * take for the owner. A slot is left so when its source had let it go and its target failed over to a replica that had
 * not heard of it, with nobody there to say it again.
 *
 * What several nodes have keys of, and what nobody has ever owned, is left alone: it takes somebody who knows more.
 */
export function adopting(fleet: Fleet): (views: readonly NodeView[]) => Promise<void> {
  let [seen, since] = ['', 0]
  return async (views) => {
    const orphans = unowned(views)
    const now = performance.now()
    if (orphans.join() !== seen) [seen, since] = [orphans.join(), now]
    if (orphans.length === 0 || now - since < LASTING_MS) return
    // Somebody else's move is his to finish.
    await alone(fleet, views)
    const heirs = await heirsOf(fleet, views, orphans)
    for (const [heir, slots] of heirs) await claim(fleet, views, heir, slots)
    seen = ''
  }
}

function unowned(views: readonly NodeView[]): readonly number[] {
  const owned = new Uint8Array(SLOTS)
  for (const { self } of views) for (const [first, last] of self.slots) owned.fill(1, first, last + 1)
  return Array.from(owned.keys()).filter((slot) => owned[slot] === 0)
}

async function heirsOf(
  fleet: Fleet,
  views: readonly NodeView[],
  orphans: readonly number[],
): Promise<ReadonlyMap<NodeView, readonly number[]>> {
  const primaries = primariesOf(views)
  const counts = await Promise.all(
    primaries.map((view) =>
      fleet
        .memberOf(view)
        .client.pipeline(orphans.map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', slot] as const)),
    ),
  )
  const believed = believedOwners(views)
  const heirs = new Map<NodeView, number[]>()
  for (const [i, slot] of orphans.entries()) {
    // What cannot be counted may be there.
    const holders = primaries.filter((_, at) => counts[at]?.[i] !== 0)
    const heir = holders.length === 0 ? believed.get(slot) : holders.length === 1 ? holders[0] : undefined
    if (heir === undefined) continue
    const slots = heirs.get(heir) ?? []
    slots.push(slot)
    heirs.set(heir, slots)
  }
  return heirs
}

/** By slot, whom any node takes for its owner, or whoever took his place. */
function believedOwners(views: readonly NodeView[]): ReadonlyMap<number, NodeView> {
  const byId = new Map(views.map((view) => [view.self.id, view]))
  const owners = new Map<number, NodeView>()
  for (const line of views.flatMap(({ others }) => [...others.values()])) {
    const owner = successor(byId, line.id)
    if (owner !== undefined) for (const slot of slotsOf(line.slots)) owners.set(slot, owner)
  }
  return owners
}
