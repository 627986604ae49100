import { AsyncLocalStorage } from 'node:async_hooks'
import type { Wake } from '../../../../src/cache/wakes.js'
import type { Stage } from './stage.js'

/** Who is at work, so that waiting for another process's load is a step as well and not a matter of time. */
export const turns = new AsyncLocalStorage<{ readonly stage: Stage; readonly who: string }>()

/** Takes the place of the cache's own in a test that mocks `turn.js` by it. */
export async function untilNextTurn(
  _round: number,
  _remainingMs: number,
  _signal: AbortSignal,
  wake: Wake | undefined,
): Promise<void> {
  const here = turns.getStore()
  if (here === undefined) throw new Error('somebody waits outside of any schedule')
  await here.stage.wait(here.who, wake?.rung)
}
