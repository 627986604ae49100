/**
 * Whether so many say yes, as soon as they have or cannot any more: a tie is decided when the last that it takes has said no,
 * whatever the others do. Never rejects: who cannot say has not said yes.
 */
export function tally(votes: readonly Promise<boolean>[], quorum: number): Promise<boolean> {
  return new Promise((resolve) => {
    let yes = 0
    let no = 0
    const count = (isYes: boolean) => {
      if (isYes) yes++
      else no++
      if (yes >= quorum) resolve(true)
      if (no > votes.length - quorum) resolve(false)
    }
    for (const vote of votes) vote.then(count, () => count(false))
  })
}

/**
 * When enough of those that are blocked for so long are free again, if as many as `spared` need not be.
 */
export function freeAfter(blockedMs: readonly number[], spared: number): number {
  const inOrder = blockedMs.toSorted((a, b) => a - b)
  return inOrder[inOrder.length - spared - 1] ?? 0
}
