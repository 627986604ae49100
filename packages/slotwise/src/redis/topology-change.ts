import { type Events, publish } from '../telemetry.js'
import type { ClusterNode, TopologyChange } from './port.js'

interface Table {
  readonly nodes: readonly ClusterNode[]
  readonly owners: readonly (ClusterNode | undefined)[]
}

/** What became different from one table to the next. Nothing on the first, which nobody saw before. */
export function changesBetween(before: Table, after: Table): readonly TopologyChange[] {
  if (before.nodes.length === 0) return []
  const known = new Map(before.nodes.map((node) => [node.id, node]))
  const present = new Map(after.nodes.map((node) => [node.id, node]))
  const changes: TopologyChange[] = []
  for (const node of after.nodes) if (!known.has(node.id)) changes.push({ kind: 'node-added', node })
  for (const node of before.nodes) if (!present.has(node.id)) changes.push({ kind: 'node-removed', node })
  for (const { from, to, slots } of grouped(handovers(before, after))) {
    // The replica of before: that it is a primary now is the change.
    const isFailover = from !== undefined && to !== undefined && known.get(to.id)?.primary === from.id
    if (isFailover) changes.push({ kind: 'failover', from, to, slots: slots.length })
    else changes.push({ kind: 'slots-moved', from, to, slots })
  }
  return changes
}

/** Tells listeners of the process what a listener of the port is called back with. */
export function tellOf(change: TopologyChange, nameOf: (node: ClusterNode) => string): void {
  // These are no changes of the table, and told where they happen.
  if (change.kind === 'node-lost' || change.kind === 'node-back') return
  publish('slotwise:redis', (): Events['slotwise:redis'] => {
    if (change.kind === 'failover') {
      const { kind, from, to, slots } = change
      return { kind, from: nameOf(from), to: nameOf(to), slots }
    }
    if (change.kind === 'slots-moved') {
      const { kind, from, to, slots } = change
      return { kind, from: from && nameOf(from), to: to && nameOf(to), slots: slots.length }
    }
    return { kind: change.kind, node: nameOf(change.node) }
  })
}

/** One slot, and who had it and who has it. */
export type Handover = readonly [slot: number, from: ClusterNode | undefined, to: ClusterNode | undefined]

function* handovers(before: Table, after: Table): Generator<Handover> {
  for (const [slot, to] of after.owners.entries()) {
    const from = before.owners[slot]
    if (from?.id !== to?.id) yield [slot, from, to]
  }
}

/** The slots of each pair of nodes together. */
export function grouped(moved: Iterable<Handover>) {
  const moves = new Map<
    string,
    { from: ClusterNode | undefined; to: ClusterNode | undefined; slots: number[] }
  >()
  for (const [slot, from, to] of moved) {
    const pair = `${from?.id ?? ''} ${to?.id ?? ''}`
    const move = moves.get(pair) ?? { from, to, slots: [] }
    move.slots.push(slot)
    moves.set(pair, move)
  }
  return [...moves.values()]
}
