import type { RedisPort } from '../../src/redis/index.js'

/** A port like this one, but for the members given: tests put between a pattern and Redis what is to go wrong. It cannot be spread. */
export function portWith<M extends object>(port: RedisPort, members: M): RedisPort & M {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = name in members ? Reflect.get(members, name) : Reflect.get(target, name, target)
      // The members of a port are private to it.
      return typeof member === 'function' && !(name in members)
        ? (...args: unknown[]): unknown => Reflect.apply(member, target, args)
        : member
    },
  }) as RedisPort & M
}

/** One of whose connections of its own nobody gets any, as a user who may not do what they are for. */
export const withoutBorrowing = (port: RedisPort): RedisPort =>
  portWith(port, { borrow: () => Promise.reject(new Error('NOPERM')) })

/** One that cannot subscribe: whoever uses it is told, and does not hear it. */
export const withoutHearing = (port: RedisPort): RedisPort =>
  portWith(port, { subscribe: () => Promise.reject(new Error('nothing is heard')) })
