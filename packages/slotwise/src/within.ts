const LONGEST_MS = 2 ** 31 - 1

/**
 * Waits no longer than `ms`, if that is given, and no longer than the signal lets it. What comes later is handed to `late`. Unless
 * told otherwise it says that a database was waited for.
 */
export async function within<R>(
  promise: Promise<R>,
  ms: number | undefined,
  {
    signal,
    late,
    tooLate = () => new Error(`Postgres has not answered within ${ms} ms`),
  }: {
    readonly signal?: AbortSignal | undefined
    readonly late?: (result: R) => void
    readonly tooLate?: () => Error
  } = {},
): Promise<R> {
  let end: (reason: unknown) => void = () => {}
  let isLate = false
  const ended = new Promise<never>((_, reject) => {
    end = (reason) => {
      isLate = true
      reject(reason)
    }
  })
  const timer = ms === undefined ? undefined : setTimeout(() => end(tooLate()), Math.min(ms, LONGEST_MS))
  timer?.unref()
  const stop = () => end(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted === true) stop()
  const watched = promise.then((result) => {
    if (isLate) late?.(result)
    return result
  })
  // Once it is given up nobody asks what became of it.
  watched.catch(() => {})
  try {
    return await Promise.race([watched, ended])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}
