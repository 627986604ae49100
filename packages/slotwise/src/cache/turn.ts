import { setTimeout as sleep } from 'node:timers/promises'
import type { Wake } from './wakes.js'

const FIRST_MS = 4
const LONGEST_MS = 50
/** With somebody to wake us, asking is only the net. */
const WAKEABLE_MS = 500

/**
 * Waits until it is worth asking again whether another process has finished its load: until woken, or a few
 * milliseconds at first and then longer, spread at random so that waiters do not ask in step, never beyond the end
 * of the lease.
 */
export async function untilNextTurn(
  round: number,
  remainingMs: number,
  signal: AbortSignal,
  wake: Wake | undefined,
): Promise<void> {
  const longestMs = wake === undefined ? Math.min(LONGEST_MS, FIRST_MS * 1.5 ** round) : WAKEABLE_MS
  const pauseMs = longestMs * (0.5 + Math.random() / 2)
  const over = new AbortController()
  const pause = sleep(Math.min(remainingMs, pauseMs), undefined, {
    ref: false,
    signal: AbortSignal.any([signal, over.signal]),
  })
  try {
    await (wake === undefined ? pause : Promise.race([pause, wake.rung]))
  } finally {
    over.abort()
    await pause.catch(() => {})
  }
}
