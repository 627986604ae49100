import { SLOTS } from '../slots.js'
import { type NodeView, type SlotRange, slotsOf } from './view.js'

/**
 * What still keeps these nodes from being one cluster, or undefined: every node sees every other one at work,
 * all agree on all slots and on who follows whom, replicas are linked, and all accept commands.
 *
 * A node does not learn who owns a slot that it is importing. If the owner was replaced since, it sees an older one,
 * then nobody, and refuses all commands: nothing but finishing the move mends that, so whoever is about to do so asks
 * with `toFinish`, and this is left out.
 */
export function unsettled(views: readonly NodeView[], toFinish = false): string | undefined {
  const uneven = unevenlyOwned(views)
  if (uneven !== undefined) return uneven
  for (const view of views) {
    const wrong = seesWrongly(view, views, toFinish)
    if (wrong !== undefined) return wrong
  }
  for (const { node, ok, linked, self } of views) {
    if (!linked) return `${node} is not linked to its primary yet`
    if (!ok && !(toFinish && isImporting(self))) return `${node} does not accept commands yet`
  }
  return undefined
}

/** One owner for every slot, slot by slot: two for one and none for another add up as well. */
function unevenlyOwned(views: readonly NodeView[]): string | undefined {
  const owners = new Uint8Array(SLOTS)
  for (const slot of views.flatMap(({ self }) => slotsOf(self.slots))) owners[slot] = (owners[slot] ?? 0) + 1
  const owned = owners.filter((count) => count > 0).length
  if (owned !== SLOTS) return `${owned} of ${SLOTS} slots are owned`
  const twice = owners.findIndex((count) => count > 1)
  return twice < 0 ? undefined : `slot ${twice} is owned by several nodes`
}

const isImporting = ({ open }: NodeView['self']) => open.some(({ state }) => state === 'importing')

function seesWrongly(view: NodeView, views: readonly NodeView[], toFinish: boolean): string | undefined {
  for (const other of views) {
    if (other === view) continue
    const seen = view.others.get(other.self.id)
    const link = `from ${view.node} to ${other.node}`
    if (seen === undefined) {
      return `no link ${link} yet; can they reach each other's bus port (${other.meetAt.busPort})?`
    }
    if (!seen.connected || seen.flags.some((flag) => flag.startsWith('fail') || flag === 'noaddr')) {
      return `the link ${link} is down`
    }
    if (
      seen.primary !== other.self.primary ||
      !sameSlots(seen.slots, other.self.slots, toFinish ? view.self : undefined)
    ) {
      return `${view.node} has an older picture of ${other.node}`
    }
  }
  return undefined
}

/** By ranges, or, for one that imports some, by all the other slots. */
function sameSlots(
  seen: readonly SlotRange[],
  own: readonly SlotRange[],
  importer: NodeView['self'] | undefined,
): boolean {
  if (seen.join(' ') === own.join(' ')) return true
  if (importer === undefined || !isImporting(importer)) return false
  const importing = new Set(importer.open.map(({ slot }) => slot))
  const known = (slots: readonly SlotRange[]) => slotsOf(slots).filter((slot) => !importing.has(slot))
  return known(seen).join(' ') === known(own).join(' ')
}
