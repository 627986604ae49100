import { BatchTimeoutError } from '../errors.js'
import { shown } from '../options.js'
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
  // What is asked may be a function of the caller's, which throws or returns where it should have promised.
  const asked = async () => await ask(AbortSignal.any([signal, over.signal]))
  const tooLate = () => new BatchTimeoutError(`the database has not done it within ${ms} ms`)
  try {
    return await within(asked(), ms, { signal, tooLate })
  } catch (error) {
    over.abort(error)
    throw error
  }
}

/** What a function of the caller's has thrown, which may be text, `null` or nothing. */
export const errorOf = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(`the writer threw ${shown(thrown)}`, { cause: thrown })
