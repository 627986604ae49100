import type { Decision } from './decision.js'
import type { Receipt } from './receipt.js'

/**
 * Lets in whatever was decided, and tells it. What is not decided within `boundMs`, or not at all, is let in too: a limit that is
 * only tried must not cost anybody more than that.
 *
 * @param untaken the receipt of a request that took nothing
 */
export async function inShadow<N extends string>(
  deciding: Promise<Decision<N>>,
  {
    boundMs,
    signal,
    untaken,
    report,
  }: {
    readonly boundMs: number
    readonly signal: AbortSignal | undefined
    readonly untaken: () => Receipt<N>
    readonly report: (error: unknown) => void
  },
): Promise<Decision<N>> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`a limit that is tried was not decided within ${boundMs} ms`)),
      boundMs,
    )
    timer.unref()
  })
  try {
    const decision = await Promise.race([deciding, late])
    if (decision.allowed) return decision
    const tiers = 'tiers' in decision ? decision.tiers : []
    const decidedBy = 'retryAfterMs' in decision && decision.decidedBy === 'redis' ? 'redis' : 'policy'
    return { allowed: true, decidedBy, tiers, receipt: untaken(), wouldRefuse: decision }
  } catch (cause) {
    // The caller gave up: there is nobody to let in.
    if (signal?.aborted === true) throw cause
    report(cause)
    return { allowed: true, decidedBy: 'policy', tiers: [], receipt: untaken(), cause }
  } finally {
    clearTimeout(timer)
  }
}
