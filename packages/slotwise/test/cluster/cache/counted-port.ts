import type { RedisPort } from '../../../src/redis/index.js'
import { portWith } from '../../support/port-with.js'

/** A port that tells how often it was asked, by the name of the method. */
export function counted(port: RedisPort): { readonly port: RedisPort; readonly asked: string[] } {
  const asked: string[] = []
  const through = new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]): unknown => {
        if (name !== 'breaker' && name !== 'topology') asked.push(String(name))
        return Reflect.apply(member, target, args)
      }
    },
  })
  return { port: through, asked }
}

/** A port that tells how many times somebody has waited for it: what is asked while an answer is still to come is no more. */
export function roundTripping(port: RedisPort): {
  readonly port: RedisPort
  readonly roundTrips: () => number
} {
  let underWay = 0
  let trips = 0
  const during = async <R>(act: () => Promise<R>): Promise<R> => {
    if (underWay++ === 0) trips++
    try {
      return await act()
    } finally {
      underWay--
    }
  }
  const through = portWith(port, {
    call: (...args: Parameters<RedisPort['call']>) => during(() => port.call(...args)),
    pipeline: (...args: Parameters<RedisPort['pipeline']>) => during(() => port.pipeline(...args)),
  })
  return { port: through, roundTrips: () => trips }
}
