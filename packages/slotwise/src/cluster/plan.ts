import { SLOTS } from '../slots.js'
import { type NodeView, type SlotRange, slotCount } from './view.js'

/** What is missing to a whole cluster, and who is to do it. */
export interface Plan {
  /** Slots for nodes, by id. */
  readonly slots: ReadonlyMap<string, readonly SlotRange[]>
  /** Replica → primary. */
  readonly follow: ReadonlyMap<string, string>
}

/**
 * Fills what is missing and leaves what is there: who owns slots is a primary, who follows somebody is a replica.
 * Equal shares of slots; replicas spread over the primaries, on another host than theirs where there is one.
 */
export function plan(views: readonly NodeView[], primaries: number): Plan {
  const owners = views.filter(({ self }) => self.slots.length > 0)
  const free = interleave(
    views.filter(({ self }) => self.slots.length === 0 && self.primary === undefined),
    owners,
  )
  const chosen = [...owners, ...free.slice(0, Math.max(0, primaries - owners.length))]
  const rest = free.filter((view) => !chosen.includes(view))
  return { slots: shareOut(chosen), follow: spread(chosen, views, rest) }
}

/** One host after the other, hosts that hold no primary yet first, so that one lost machine costs few primaries. */
function interleave(views: readonly NodeView[], owners: readonly NodeView[]): readonly NodeView[] {
  const turn = new Map<string, number>()
  for (const { host } of owners) turn.set(host, (turn.get(host) ?? 0) + 1)
  return views
    .map((view, index) => {
      const round = turn.get(view.host) ?? 0
      turn.set(view.host, round + 1)
      return { view, round, index }
    })
    .toSorted((a, b) => a.round - b.round || a.index - b.index)
    .map(({ view }) => view)
}

function shareOut(primaries: readonly NodeView[]): Plan['slots'] {
  const taken = new Uint8Array(SLOTS)
  for (const { self } of primaries) for (const [first, last] of self.slots) taken.fill(1, first, last + 1)
  const result = new Map<string, SlotRange[]>()
  const total = primaries.length
  let slot = 0
  for (const [index, { self }] of primaries.entries()) {
    const share = Math.floor(((index + 1) * SLOTS) / total) - Math.floor((index * SLOTS) / total)
    let wanted = share - slotCount(self.slots)
    // The last one takes what others had no room for.
    if (index === total - 1) wanted = SLOTS
    const ranges: SlotRange[] = []
    for (; wanted > 0 && slot < SLOTS; slot++) {
      if (taken[slot] === 1) continue
      wanted--
      const before = ranges.at(-1)
      if (before?.[1] === slot - 1) ranges[ranges.length - 1] = [before[0], slot]
      else ranges.push([slot, slot])
    }
    if (ranges.length > 0) result.set(self.id, ranges)
  }
  return result
}

function spread(
  primaries: readonly NodeView[],
  views: readonly NodeView[],
  rest: readonly NodeView[],
): Plan['follow'] {
  const hostOf = new Map(views.map(({ self, host }) => [self.id, host]))
  const count = new Map(primaries.map(({ self }) => [self.id, 0]))
  for (const { self } of views) {
    if (self.primary !== undefined && count.has(self.primary)) {
      count.set(self.primary, (count.get(self.primary) ?? 0) + 1)
    }
  }
  const follow = new Map<string, string>()
  for (const { self, host } of rest) {
    let best: string | undefined
    let least = Infinity
    for (const primary of primaries) {
      // A replica beside its primary is lost with it, but a primary without one is worse.
      const cost = (count.get(primary.self.id) ?? 0) * 2 + (primary.host === host ? 1 : 0)
      if (cost < least) [best, least] = [primary.self.id, cost]
    }
    if (best === undefined) continue
    follow.set(self.id, best)
    count.set(best, (count.get(best) ?? 0) + 1)
  }
  const sharesHost = (replica: string, primary: string) => hostOf.get(replica) === hostOf.get(primary)
  // Who came last had no choice: exchange its primary with somebody's who can live with it.
  for (const [replica, primary] of follow) {
    if (!sharesHost(replica, primary)) continue
    for (const [other, theirs] of follow) {
      if (sharesHost(replica, theirs) || sharesHost(other, primary)) continue
      follow.set(replica, theirs).set(other, primary)
      break
    }
  }
  return follow
}
