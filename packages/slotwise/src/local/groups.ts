import type { NodeView } from '../cluster/view.js'
import { ConfigurationError } from '../errors.js'
import { integer, shown } from '../options.js'

/** Which groups clients reach: all, the one with most of the primaries, or the one at an index of the list. */
export type ReachedGroups = 'all' | 'majority' | number

/** The group of each node, by their indexes. @throws ConfigurationError unless every node is in one group */
export function groupsOf(groups: readonly (readonly number[])[], count: number): readonly number[] {
  if (!Array.isArray(groups) || groups.length === 0 || !groups.every(Array.isArray)) {
    throw new ConfigurationError(`groups must be lists of indexes of nodes, got ${shown(groups)}`)
  }
  const groupOf: number[] = []
  for (const [group, members] of groups.entries()) {
    for (const index of members as readonly unknown[]) {
      const node = integer('an index in groups', index, { min: 0, max: count - 1 })
      if (groupOf[node] !== undefined) throw new ConfigurationError(`groups name node ${node} twice`)
      groupOf[node] = group
    }
  }
  const missing = Array.from({ length: count }, (_, node) => node).find((node) => groupOf[node] === undefined)
  if (missing !== undefined) throw new ConfigurationError(`node ${missing} is in none of the groups`)
  return groupOf
}

/** The group in which most of the primaries that own slots are, as the best informed of the nodes sees it. */
export function majorityOf(
  groupOf: readonly number[],
  ids: readonly string[],
  views: readonly NodeView[],
): number {
  const linesOf = (view: NodeView) => [view.self, ...view.others.values()]
  const newest = (view: NodeView) => Math.max(...linesOf(view).map(({ epoch }) => epoch))
  const [best] = views.toSorted((a, b) => newest(b) - newest(a))
  const owners = best === undefined ? [] : linesOf(best).filter(({ slots }) => slots.length > 0)
  const votes = owners.map(({ id }) => groupOf[ids.indexOf(id)])
  const group = votes.find((one) => votes.filter((other) => other === one).length * 2 > votes.length)
  if (group !== undefined) return group
  throw new ConfigurationError('no group holds a majority of the primaries: say which ones clients reach')
}
