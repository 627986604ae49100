import { LoadTimeoutError } from '../errors.js'

/** Rejects with a `LoadTimeoutError` when the promise takes longer; what it stands for goes on. */
export async function timely<R>(promise: Promise<R>, ms: number, onTimeout?: () => void): Promise<R> {
  if (ms === Infinity) return await promise
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      onTimeout?.()
      reject(new LoadTimeoutError(`the value was not loaded within ${ms} ms; the load goes on`))
    }, ms)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}
