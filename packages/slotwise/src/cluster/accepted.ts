import { ReplyError } from '../errors.js'
import type { Fleet } from './fleet.js'
import { type NodeView, type SlotRange, slotsOf } from './view.js'

/** Gossip takes a second or so; nodes that are cut off from each other may not hear for as long as that lasts. */
const HEARD_MS = 3000
const PAUSE_MS = 30

/**
 * Has every node that answers take those who call slots their own for their owners. Of two claims the one with the
 * higher configuration epoch counts, and whoever takes over by force takes the next one after the highest that it has
 * heard of. If the dead primary had taken the same or a higher one just before, of which its replica knows nothing, all
 * others go on believing the dead one, who will never say otherwise: equal epochs settle nothing until it is back, and a
 * lower one is answered with an update that makes a replica of the one who took over.
 *
 * Nodes that have not heard of it in time are left as they are: the network between them is cut, and running the
 * takeover once more when it is not settles this.
 */
export async function accepted(
  fleet: Fleet,
  {
    successor,
    signal,
  }: { readonly successor?: NodeView | undefined; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const deadline = performance.now() + HEARD_MS
  for (;;) {
    signal?.throwIfAborted()
    const views = await fleet.look()
    const now = successor && views.find(({ self }) => self.id === successor.self.id)
    const owners = views.filter(({ self }) => self.primary === undefined && self.slots.length > 0)
    const refusals = owners.flatMap((owner) =>
      views.filter((view) => refuses(view, owner, views)).map((view) => ({ view, owner })),
    )
    const isDemoted = now !== undefined && now.self.primary !== undefined
    if (isDemoted) await takeOver(fleet, now)
    else if (refusals.length > 0) await outbid(fleet, refusals)
    else if (owners.every((owner) => views.every((view) => isAccepted(view, owner)))) return
    if (performance.now() > deadline) return
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

/** Orders a takeover; one that was elected meanwhile says that it is no replica any more, which will do. */
export async function takeOver(fleet: Fleet, replica: NodeView): Promise<void> {
  try {
    await fleet.order(replica, ['CLUSTER', 'FAILOVER', 'TAKEOVER'])
  } catch (error) {
    if (!(error instanceof ReplyError) || !/to a replica/.test(error.message)) throw error
  }
}

const words = (ranges: readonly SlotRange[]): string => ranges.join(' ')

function isAccepted(view: NodeView, owner: NodeView): boolean {
  return view === owner || words(view.others.get(owner.self.id)?.slots ?? []) === words(owner.self.slots)
}

/** It knows that the other is a primary, and takes one that does not answer for the owner of its slots. */
function refuses(view: NodeView, owner: NodeView, views: readonly NodeView[]): boolean {
  const heard = view.others.get(owner.self.id)
  if (heard === undefined || heard.primary !== undefined || isAccepted(view, owner)) return false
  const own = new Set(slotsOf(owner.self.slots))
  return [...view.others.values()].some(
    ({ id, epoch, slots }) =>
      epoch >= owner.self.epoch &&
      !views.some(({ self }) => self.id === id) &&
      slotsOf(slots).some((slot) => own.has(slot)),
  )
}

/**
 * Whoever has the highest epoch that it has heard of keeps it, so another node takes a higher one first; as soon as the
 * owner has heard of that, so does the owner.
 */
async function outbid(
  fleet: Fleet,
  refusals: readonly { readonly view: NodeView; readonly owner: NodeView }[],
): Promise<void> {
  const bump = ['CLUSTER', 'BUMPEPOCH'] as const
  const { view } = refusals.find((one) => one.view.self.primary === undefined) ?? refusals[0] ?? {}
  if (view !== undefined) await fleet.order(view, bump)
  for (const owner of new Set(refusals.map((one) => one.owner))) await fleet.order(owner, bump)
}
