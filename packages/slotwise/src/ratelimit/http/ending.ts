import type { TierDescription } from '../decision.js'
import type { Subject } from '../policy.js'
import type { Receipt } from '../receipt.js'
import type { HttpLimiter } from './limiter.js'
import type { Outcome } from './options.js'

interface Admitted<N extends string> {
  readonly receipt: Receipt<N>
  readonly tiers: readonly TierDescription<N>[]
  /** Whether what was taken is given back, by how the response ended; absent where it never is. */
  readonly refunds: ((outcome: Outcome) => boolean) | undefined
  readonly onError: ((error: unknown) => void) | undefined
}

/**
 * What is to be done when the response to an admission has ended: it gives back all or, of a limit of concurrency, its place,
 * which it keeps until then however long that takes. `undefined` where there is nothing to do. What is returned never rejects.
 */
export function endingOf<N extends string, S extends Subject>(
  limiter: HttpLimiter<N, S>,
  { receipt, tiers, refunds, onError }: Admitted<N>,
): ((outcome: Outcome) => Promise<void>) | undefined {
  const leases = tiers.filter(({ kind }) => kind === 'concurrency').map(({ windowMs }) => windowMs)
  const isHeld = leases.length > 0
  if (refunds === undefined && !isHeld) return undefined
  const quietly = async (act: Promise<unknown> | undefined): Promise<void> => {
    try {
      await act
    } catch (error) {
      onError?.(error)
    }
  }
  const renew = () => void quietly(limiter.renew?.(receipt))
  // A renewal may be lost, and the next one is in time.
  const beat = isHeld ? setInterval(renew, Math.max(1, Math.min(...leases) / 3)).unref() : undefined
  return async (outcome) => {
    clearInterval(beat)
    await quietly(
      (async () => {
        if (refunds?.(outcome) === true) await limiter.refund(receipt)
        else if (isHeld) await limiter.release?.(receipt)
      })(),
    )
  }
}
