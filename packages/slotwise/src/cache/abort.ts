import { type CallOptions, integer } from '../options.js'

/** Ends the waiting of one caller; what it waits for goes on. */
export async function unlessAborted<R>(promise: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
  if (signal === undefined) return promise
  if (signal.aborted) {
    // Whatever becomes of it, nobody will ask.
    void promise.catch(() => {})
    throw signal.reason
  }
  let stop = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** One signal for both ways in which a caller may bound its waiting. */
export function signalOf({ signal, deadlineMs }: CallOptions): AbortSignal | undefined {
  if (deadlineMs === undefined) return signal
  const timeout = AbortSignal.timeout(integer('deadlineMs', deadlineMs, { max: 2 ** 32 - 1 }))
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout])
}
