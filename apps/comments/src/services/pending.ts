import { InvalidationPendingError } from 'slotwise'
import { traceOfRequest } from '../trace.js'

/** The write stands, whether Redis could be told of it or not; the caches go on telling it. */
export async function told(invalidation: Promise<void>): Promise<boolean> {
  try {
    await invalidation
    return true
  } catch (error) {
    if (!(error instanceof InvalidationPendingError)) throw error
    markPending()
    return false
  }
}

export async function written<T>(writing: () => Promise<T>): Promise<T> {
  try {
    return await writing()
  } catch (error) {
    if (!(error instanceof InvalidationPendingError)) throw error
    markPending()
    return error.written as T
  }
}

/** Waits until Redis has been told, for as long as anybody waits for it. */
export async function forgotten(cause: unknown, signal: AbortSignal): Promise<void> {
  if (!(cause instanceof InvalidationPendingError)) throw cause
  const aborted = new Promise<never>((_, fail) => {
    signal.addEventListener('abort', () => fail(cause), { once: true })
  })
  aborted.catch(() => {})
  if (!(await Promise.race([cause.settled, aborted]))) throw cause
}

function markPending(): void {
  const trace = traceOfRequest()
  if (trace !== undefined) trace.pending = true
}
