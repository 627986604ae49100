/**
 * Freezes a value through and through, so that many callers can hold it and none can change it for the others. `false`
 * for what holds anything else than plain objects, arrays and primitives: a `Date` or a `Map` can be changed although it
 * is frozen; and for what is nested deeper than a walk through it can go. Then some of it may be frozen all the same.
 */
export function frozen(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function'
  if (depth > DEEPEST) return false
  // Whatever is in it was frozen along with it.
  if (Object.isFrozen(value) && done.has(value)) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null && !Array.isArray(value)) return false
  Object.freeze(value)
  for (const key of Reflect.ownKeys(value)) {
    const property: TypedPropertyDescriptor<unknown> = Reflect.getOwnPropertyDescriptor(value, key) ?? {}
    if (property.get !== undefined || !frozen(property.value, depth + 1)) return false
  }
  done.add(value)
  return true
}

/** A serializer can read what is nested deeper, and each call of a walk takes some of the stack. */
export const DEEPEST = 500

const done = new WeakSet<object>()
