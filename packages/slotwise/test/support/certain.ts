import { OutcomeUnknownError } from '../../src/errors.js'

/**
 * Tries again while the outcome is unknown: a busy machine may owe the answer of an attempt at the deadline that a quick one
 * has had, and then no port can say that nothing was executed.
 */
export async function certain<T>(attempt: () => Promise<T>, errorOf: (result: T) => unknown): Promise<T> {
  for (let tries = 1; ; tries++) {
    const result = await attempt()
    if (tries === 5 || !(errorOf(result) instanceof OutcomeUnknownError)) return result
  }
}

/** How a call is rejected that may be made any number of times; `undefined` where it is answered. */
export function certainError(call: () => Promise<unknown>): Promise<unknown> {
  const attempt = () =>
    call().then(
      () => undefined,
      (error: unknown) => error,
    )
  return certain(attempt, (error) => error)
}
