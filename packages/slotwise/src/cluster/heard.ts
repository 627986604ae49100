import { setTimeout as pause } from 'node:timers/promises'
import type { Member } from './observe.js'
import { parseNodes, slotsOf } from './view.js'

/** Longer than a broadcast takes on a busy bus. */
const PATIENCE_MS = 1000
/** Most have heard within a round trip or two, and slots stand open meanwhile: so long nobody pauses between looks. */
const EAGER_MS = 20

/**
 * Waits until a node has heard from a new owner itself that slots are the owner's, and says whether it has.
 *
 * Told by an order before that, it takes what is still on its way for the owner's change of mind: a packet from the middle
 * of the handover names fewer slots, and the rest is marked as claimed by nobody; the last packet names all of them, is no
 * news, and leaves the mark. Redis before 7.2.2 keeps it even when the node takes the slot itself later on; then any
 * late packet of an earlier owner takes the slot from it again, whatever its epoch, and nobody serves it, for good.
 *
 * @see {@link https://github.com/redis/redis/pull/12564 | Clear owner_not_claiming_slot bit for the slot in clusterDelSlot}
 */
export async function hasHeard(
  { client }: Member,
  owner: string,
  slots: readonly number[],
): Promise<boolean> {
  const from = performance.now()
  for (;;) {
    const line = parseNodes(String(await client.call(['CLUSTER', 'NODES']))).find(({ id }) => id === owner)
    const owned = new Set(slotsOf(line?.slots ?? []))
    if (slots.every((slot) => owned.has(slot))) return true
    const tookMs = performance.now() - from
    if (tookMs > PATIENCE_MS) return false
    if (tookMs > EAGER_MS) await pause(5)
  }
}
