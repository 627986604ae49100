interface Served {
  readonly calledAt: number
  readonly gotAt: number
}

/** How often who asked later was served earlier, in O(n log n). */
export function serviceOf(served: readonly Served[]): {
  readonly overtakings: number
  readonly mostOvertaken: number
} {
  const ranks = new Map(
    [...new Set(served.map(({ gotAt }) => gotAt))].toSorted((a, b) => a - b).map((at, i) => [at, i + 1]),
  )
  // How many of those who asked later were served at each rank or before, as sums in a binary indexed tree.
  const tree = Array.from({ length: ranks.size + 1 }, () => 0)
  let overtakings = 0
  let mostOvertaken = 0
  const latestFirst = served.toSorted((a, b) => b.calledAt - a.calledAt)
  let counted = 0
  for (const [i, { calledAt, gotAt }] of latestFirst.entries()) {
    // Who asked at the same time is not later.
    for (
      let one = latestFirst[counted];
      counted < i && one !== undefined && one.calledAt > calledAt;
      one = latestFirst[++counted]
    )
      for (let at = ranks.get(one.gotAt) ?? 0; at < tree.length; at += at & -at)
        tree[at] = (tree[at] ?? 0) + 1
    let before = 0
    for (let at = (ranks.get(gotAt) ?? 1) - 1; at > 0; at -= at & -at) before += tree[at] ?? 0
    overtakings += before
    mostOvertaken = Math.max(mostOvertaken, before)
  }
  return { overtakings, mostOvertaken }
}
