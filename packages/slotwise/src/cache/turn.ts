import { setTimeout as sleep } from 'node:timers/promises'

const FIRST_MS = 4
const LONGEST_MS = 50

/**
 * Waits until it is worth asking again whether another process has finished its load: a few milliseconds at
 * first, then longer, spread at random so that waiters do not ask in step, never beyond the end of the lease.
 *
 * Polling is the safety net. Being woken by whoever stores belongs here and nowhere else: it would end this
 * wait earlier, and change nothing for those who miss it.
 */
export async function untilNextTurn(round: number, remainingMs: number, signal: AbortSignal): Promise<void> {
  const pauseMs = Math.min(LONGEST_MS, FIRST_MS * 1.5 ** round) * (0.5 + Math.random() / 2)
  await sleep(Math.min(remainingMs, pauseMs), undefined, { ref: false, signal })
}
