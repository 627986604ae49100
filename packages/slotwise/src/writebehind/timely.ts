import { BatchTimeoutError } from '../errors.js'
import { within } from '../within.js'

/**
 * Asks a database for no longer than so many milliseconds. Whoever is asked is told by the signal that nobody waits any more.
 *
 * @throws BatchTimeoutError
 */
export async function timely<R>(
  ms: number,
  signal: AbortSignal,
  ask: (signal: AbortSignal) => Promise<R>,
): Promise<R> {
  const over = new AbortController()
  const tooLate = () => new BatchTimeoutError(`the database has not done it within ${ms} ms`)
  try {
    return await within(ask(AbortSignal.any([signal, over.signal])), ms, { signal, tooLate })
  } catch (error) {
    over.abort(error)
    throw error
  }
}
