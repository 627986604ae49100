import { ImpossibleChangeError, ReplyError, UnhealthyClusterError } from '../errors.js'
import { departed } from './departed.js'
import { Fleet, type FleetNode, type OperateOptions, placeOf, primariesOf } from './fleet.js'
import { balance, type SlotMove } from './move-plan.js'
import { checkLimits, finishOpen, moveAll } from './move-slots.js'
import { waysOf } from './mover.js'
import type { NodeView } from './view.js'
import { type Moved, type MoveLimits, NOTHING_MOVED, together } from './way.js'

/** Settings of {@link removeNode}. */
export interface RemoveNodeOptions extends OperateOptions, MoveLimits {
  /** Id or address of the node that is to leave. */
  readonly node: string
}

/** What a node left behind, and to whom. */
export interface RemovedNode extends Moved {
  /** `undefined` where it had left before. */
  readonly node: FleetNode | undefined
  readonly plan: readonly SlotMove[]
  /** Replicas that follow somebody else now. */
  readonly reattached: readonly { readonly replica: FleetNode; readonly to: FleetNode }[]
}

/**
 * Takes a node out of its cluster. A primary is emptied first: its slots go to the others in equal shares, its replicas
 * to the primaries that have the fewest. Then everybody forgets it, and it is reset: an empty server that belongs
 * nowhere. Safe to stop anywhere and to run again: one that has been forgotten and not reset is reset, and one that is
 * an empty server by now is left alone. That is seen at its address; an id means nothing any more once it is reset.
 *
 * @throws ImpossibleChangeError fewer than three primaries would be left, which cannot elect one
 * @throws ConfigurationError there is no such node, or another cluster's or one with data at this address
 * @throws UnhealthyClusterError KeyTooLargeError SlotMigrationError as `moveSlots` does
 *
 * @example
 * ```ts
 * import { removeNode } from 'slotwise/cluster'
 *
 * await removeNode({ nodes: ['10.0.0.1:6379'], node: '10.0.0.7:6379' })
 * ```
 */
export async function removeNode(options: RemoveNodeOptions): Promise<RemovedNode> {
  checkLimits(options)
  return await Fleet.with(options, async (fleet) => {
    const { views, finished } = await finishOpen(fleet, options)
    const leaving = fleet.seek(views, options.node)
    if (leaving === undefined) {
      const left = await departed(fleet, views, options)
      return { node: left && placeOf(left), plan: [], reattached: [], ...finished }
    }
    const isPrimary = leaving.self.primary === undefined
    const stay = primariesOf(views).filter((view) => view !== leaving)
    if (isPrimary && leaving.self.slots.length > 0 && stay.length < 3) {
      throw new ImpossibleChangeError(
        `without ${leaving.node} there would be ${stay.length} primaries, and fewer than three cannot elect one: add a primary first`,
      )
    }
    const plan = isPrimary && leaving.self.slots.length > 0 ? evacuation(views, leaving) : []
    const orphans = views.filter(({ self }) => self.primary === leaving.self.id)
    const reattached = homes(views, stay, orphans)
    const result = { node: placeOf(leaving), plan, reattached }
    const moves = await waysOf(fleet, views, plan, options)
    if (options.dryRun === true) return { ...result, ...NOTHING_MOVED }
    const moved = moves.length === 0 ? NOTHING_MOVED : await moveAll(fleet, views, moves, options)
    for (const { replica, to } of reattached) {
      await fleet.order(fleet.find(views, replica.id), ['CLUSTER', 'REPLICATE', to.id])
    }
    const { timeoutMs = 30_000, signal } = options
    if (reattached.length > 0) await fleet.agreed(timeoutMs, signal)
    await leave(fleet, views, leaving)
    return { ...result, ...together(finished, moved) }
  })
}

/** What the leaving node has, shared out over the others without moving anything between those. */
function evacuation(views: readonly NodeView[], leaving: NodeView): readonly SlotMove[] {
  return balance(views, (view) => (view === leaving ? 0 : 1)).filter(
    ({ from }) => from.id === leaving.self.id,
  )
}

function homes(views: readonly NodeView[], stay: readonly NodeView[], orphans: readonly NodeView[]) {
  const count = new Map(
    stay.map((view) => [view, views.filter(({ self }) => self.primary === view.self.id).length]),
  )
  return orphans.map((replica) => {
    const cost = (view: NodeView) => (count.get(view) ?? 0) * 2 + (view.host === replica.host ? 1 : 0)
    const [home] = stay.filter(({ self }) => self.slots.length > 0).toSorted((a, b) => cost(a) - cost(b))
    if (home === undefined) throw new UnhealthyClusterError('no primary is left for the replicas to follow')
    count.set(home, (count.get(home) ?? 0) + 1)
    return { replica: placeOf(replica), to: placeOf(home) }
  })
}

/** All others at once, since whoever has not forgotten it tells the rest of it again after a minute. */
async function leave(fleet: Fleet, views: readonly NodeView[], leaving: NodeView): Promise<void> {
  const others = views.filter((view) => view !== leaving)
  const forget = others.map((view) => fleet.order(view, ['CLUSTER', 'FORGET', leaving.self.id]))
  const results = await Promise.allSettled(forget)
  for (const result of results) {
    if (result.status === 'fulfilled') continue
    if (result.reason instanceof ReplyError && /Unknown node/i.test(result.reason.message)) continue
    throw new UnhealthyClusterError(`not every node has forgotten ${leaving.node}: run it again`, {
      cause: result.reason,
    })
  }
  // A replica drops what it holds with this, and a primary has nothing any more.
  await fleet.order(leaving, ['CLUSTER', 'RESET', 'HARD'])
}
