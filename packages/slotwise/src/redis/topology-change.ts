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
  for (const { from, to, slots } of handovers(before, after)) {
    // The replica of before: that it is a primary now is the change.
    const isFailover = from !== undefined && to !== undefined && known.get(to.id)?.primary === from.id
    if (isFailover) changes.push({ kind: 'failover', from, to, slots: slots.length })
    else changes.push({ kind: 'slots-moved', from, to, slots })
  }
  return changes
}

function handovers(before: Table, after: Table) {
  const moves = new Map<
    string,
    { from: ClusterNode | undefined; to: ClusterNode | undefined; slots: number[] }
  >()
  for (const [slot, to] of after.owners.entries()) {
    const from = before.owners[slot]
    if (from?.id === to?.id) continue
    const pair = `${from?.id ?? ''} ${to?.id ?? ''}`
    const move = moves.get(pair) ?? { from, to, slots: [] }
    move.slots.push(slot)
    moves.set(pair, move)
  }
  return moves.values()
}
