import { ConfigurationError, ForeignClusterError } from '../errors.js'
import { addressOf } from '../redis/address.js'
import { SLOTS } from '../slots.js'
import type { NodeView } from './view.js'

/**
 * Refuses nodes that are not ours to change: a part of another cluster, two clusters at once, data that a role
 * would erase or slots would hide.
 */
export function refuseForeign(views: readonly NodeView[], primaries: number): void {
  const byId = new Map<string, NodeView>()
  for (const view of views) {
    const twin = byId.get(view.self.id)
    if (twin) throw new ConfigurationError(`${twin.node} and ${view.node} are one and the same node`)
    byId.set(view.self.id, view)
  }
  for (const view of views) refuseStrangers(view, byId)
  const groups = groupsOf(views, byId)
  const ownerOf = ownersOf(views, groups)
  const owners = [...new Set(ownerOf.filter((view) => view !== undefined))]
  const covered = ownerOf.reduce((sum, view) => (view === undefined ? sum : sum + 1), 0)
  const first = owners[0]
  if (covered < SLOTS || new Set(owners.map((view) => groups.get(view))).size > 1) {
    for (const view of views) if (view.keys > 0) throw holdsData(view)
  }
  for (const view of views) {
    const placed = view.self.slots.length > 0 || view.self.primary !== undefined
    if (!placed && view.keys > 0) throw holdsData(view)
  }
  if (first && (owners.length > primaries || (covered === SLOTS && owners.length < primaries))) {
    throw foreign(
      first,
      `belongs to a cluster whose slots are shared by ${owners.length} primaries, where ${primaries} are asked for; createCluster moves no slots`,
    )
  }
}

function refuseStrangers(view: NodeView, byId: ReadonlyMap<string, NodeView>): void {
  for (const other of view.others.values()) {
    if (byId.has(other.id)) continue
    const at = addressOf(other)
    const successor = [...byId.values()].find(
      ({ meetAt }) => meetAt.host === other.host && meetAt.port === other.port,
    )
    throw foreign(
      view,
      successor
        ? `knows ${at} as ${other.id}, which is now another node: have every node CLUSTER FORGET the former one first`
        : `belongs to a cluster with ${at} (${other.id}), which is not among the nodes given: name it too, or CLUSTER RESET ${view.node}`,
    )
  }
}

/** Who knows whom, over any number of steps: nodes of one group have been one cluster before. */
function groupsOf(
  views: readonly NodeView[],
  byId: ReadonlyMap<string, NodeView>,
): ReadonlyMap<NodeView, number> {
  const groups = new Map<NodeView, number>()
  for (const [index, start] of views.entries()) {
    const open = [start]
    for (let view = open.pop(); view !== undefined; view = open.pop()) {
      if (groups.get(view) === index) continue
      const reached = groups.get(view)
      groups.set(view, index)
      // Knowledge may be one-sided: a group met before is this one.
      if (reached !== undefined) {
        for (const [member, group] of groups) if (group === reached) groups.set(member, index)
      }
      for (const id of view.others.keys()) {
        const other = byId.get(id)
        if (other) open.push(other)
      }
    }
  }
  return groups
}

/**
 * The node that owns each slot. Within one cluster two may claim it for a moment, such as a primary that has not
 * heard yet that it was replaced; the higher epoch wins.
 */
function ownersOf(
  views: readonly NodeView[],
  groups: ReadonlyMap<NodeView, number>,
): readonly (NodeView | undefined)[] {
  const ownerOf = Array.from<NodeView | undefined>({ length: SLOTS })
  for (const view of views) {
    for (const [first, last] of view.self.slots) {
      for (let slot = first; slot <= last; slot++) {
        const other = ownerOf[slot]
        if (other && groups.get(other) !== groups.get(view)) {
          throw foreign(
            view,
            `and ${other.node} both own slot ${slot} and know nothing of each other: two clusters`,
          )
        }
        if (other === undefined || other.self.epoch < view.self.epoch) ownerOf[slot] = view
      }
    }
  }
  return ownerOf
}

function holdsData(view: NodeView): ForeignClusterError {
  return foreign(
    view,
    `holds ${view.keys} ${view.keys === 1 ? 'key' : 'keys'}, which joining would lose or hide: give an empty node, or FLUSHALL this one`,
  )
}

function foreign(view: NodeView, why: string): ForeignClusterError {
  return new ForeignClusterError(`${view.node} ${why}. Nothing was changed.`, { node: view.node })
}
