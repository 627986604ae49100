import type { HttpLimiter } from '../http/index.js'
import type { Subject } from '../policy.js'

/** A limiter that is made when it is first asked; until then, and while it cannot be made, no decision can be had. */
export function whenAsked<N extends string, S extends Subject>(
  make: () => HttpLimiter<N, S> | Promise<HttpLimiter<N, S>>,
): HttpLimiter<N, S> {
  let making: Promise<HttpLimiter<N, S>> | undefined
  let made: HttpLimiter<N, S> | undefined
  const limiter = async (): Promise<HttpLimiter<N, S>> => {
    const own = (making ??= Promise.resolve().then(make))
    try {
      made = await own
      return made
    } catch (error) {
      if (making === own) making = undefined
      throw error
    }
  }
  return {
    consume: async (subject, options) => {
      let present: HttpLimiter<N, S>
      try {
        present = made ?? (await limiter())
      } catch (cause) {
        return { allowed: false, reason: 'unavailable', cause }
      }
      return await present.consume(subject, options)
    },
    describe: (subject) => made?.describe(subject) ?? [],
    refund: async (receipt, options) => (await made?.refund(receipt, options)) ?? false,
    release: async (receipt, options) => (await made?.release?.(receipt, options)) ?? false,
    renew: async (receipt, options) => (await made?.renew?.(receipt, options)) ?? false,
  }
}
