import type { Examined, ExaminedNode } from './examine.js'
import { type Found, found } from './finding.js'

/** Clocks that are kept by NTP differ by some ten milliseconds at most. */
const SKEW_MS = 100

interface Offset {
  readonly node: ExaminedNode
  /** The node's clock minus this process's lies between these for certain, whatever the way took. */
  readonly least: number
  readonly most: number
}

/** Do the nodes agree on the time, as far as the way to them lets us tell? */
export function clocks({ nodes }: Examined): Found[] {
  const offsets = nodes.flatMap(offsetOf).toSorted((a, b) => a.least + a.most - b.least - b.most)
  const middle = offsets[Math.floor(offsets.length / 2)]
  if (middle === undefined) return []
  return offsets.flatMap(({ node, least, most }) => {
    const ahead = least - middle.most
    const behind = middle.least - most
    if (Math.max(ahead, behind) <= SKEW_MS) return []
    const way = ahead > behind ? 'ahead of' : 'behind'
    const by = Math.round(Math.max(ahead, behind))
    return [found('clock-skew', node.name, `${node.name} is at least ${by} ms ${way} ${middle.node.name}`)]
  })
}

function offsetOf(node: ExaminedNode): Offset[] {
  if (node.times.length === 0) return []
  const least = Math.max(...node.times.map(({ serverMs, heardAt }) => serverMs - heardAt))
  const most = Math.min(...node.times.map(({ serverMs, sentAt }) => serverMs - sentAt))
  return [{ node, least, most }]
}
