import type { RedisPort } from '../../../src/redis/index.js'

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
