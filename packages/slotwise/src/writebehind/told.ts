import { ConfigurationError, OutcomeUnknownError, UncacheableValueError } from '../errors.js'
import { type Events, publish } from '../telemetry.js'
import type { Accepted, Counted } from './results.js'

type ChangeEvent = Events['slotwise:writebehind']

/** Tells what becomes of a change. */
export async function told<R extends Accepted | Counted>(
  { name, kind, signal }: Pick<ChangeEvent, 'name' | 'kind'> & { readonly signal: AbortSignal | undefined },
  act: () => Promise<R>,
): Promise<R> {
  const from = performance.now()
  const tell = (outcome: string): void => {
    publish('slotwise:writebehind', () => ({ name, kind, outcome, durationMs: performance.now() - from }))
  }
  try {
    const result = await act()
    tell(result.accepted ? 'accepted' : result.reason)
    return result
  } catch (error) {
    tell(signal?.aborted === true ? 'aborted' : failureOf(error))
    throw error
  }
}

function failureOf(error: unknown): string {
  if (error instanceof OutcomeUnknownError) return 'unknown'
  const isWrong = error instanceof ConfigurationError || error instanceof UncacheableValueError
  return isWrong ? 'invalid' : 'error'
}

/** Tells what becomes of dead letters. */
export function toldOfLetters(
  name: string,
  kind: Events['slotwise:writebehind:letters']['kind'],
  rows: number,
): void {
  if (rows > 0) publish('slotwise:writebehind:letters', () => ({ name, kind, rows }))
}
