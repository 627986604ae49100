import type { ReadFrom } from './connect-options.js'
import type { NodeQueue } from './node-queue.js'

/**
 * Where a read that may be stale goes: one of those that answer, or the primary where none does. A node in doubt is as
 * good as another here, since nothing is promised about the age of what it holds.
 */
export function readerOf(policy: ReadFrom, primary: NodeQueue, replicas: readonly NodeQueue[]): NodeQueue {
  if (policy === 'primary') return primary
  const able = (policy === 'replica' ? replicas : [primary, ...replicas]).filter(({ ready }) => ready)
  if (policy !== 'nearest') return able[Math.floor(Math.random() * able.length)] ?? primary
  let best = primary
  let leastMs = primary.ready ? (primary.rttMs ?? Infinity) : Infinity
  for (const queue of able) {
    const rttMs = queue.rttMs ?? Infinity
    if (rttMs < leastMs) [best, leastMs] = [queue, rttMs]
  }
  return best
}
