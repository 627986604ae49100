import { SLOTS } from '../slots.js'
import { type NodeView, slotCount } from './view.js'

/**
 * What still keeps these nodes from being one cluster, or undefined: every node sees every other one at work,
 * all agree on all slots and on who follows whom, replicas are linked, and all accept commands.
 */
export function unsettled(views: readonly NodeView[]): string | undefined {
  const covered = views.reduce((sum, { self }) => sum + slotCount(self.slots), 0)
  if (covered !== SLOTS) return `${covered} of ${SLOTS} slots are owned`
  for (const view of views) {
    const wrong = seesWrongly(view, views)
    if (wrong !== undefined) return wrong
  }
  for (const { node, ok, linked } of views) {
    if (!linked) return `${node} is not linked to its primary yet`
    if (!ok) return `${node} does not accept commands yet`
  }
  return undefined
}

function seesWrongly(view: NodeView, views: readonly NodeView[]): string | undefined {
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
    if (seen.primary !== other.self.primary || !sameSlots(seen.slots, other.self.slots)) {
      return `${view.node} has an older picture of ${other.node}`
    }
  }
  return undefined
}

function sameSlots(a: NodeView['self']['slots'], b: NodeView['self']['slots']): boolean {
  return a.join(' ') === b.join(' ')
}
