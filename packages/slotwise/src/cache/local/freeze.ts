/**
 * Freezes a value through and through, so that many callers can hold it and none can change it for the others. `false`
 * for what holds anything else than plain objects, arrays and primitives: a `Date` or a `Map` can be changed although it
 * is frozen. Then some of it may be frozen all the same.
 */
export function frozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function'
  // Whatever is in it was frozen along with it.
  if (Object.isFrozen(value) && done.has(value)) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null && !Array.isArray(value)) return false
  Object.freeze(value)
  for (const key of Reflect.ownKeys(value)) {
    const property: TypedPropertyDescriptor<unknown> = Reflect.getOwnPropertyDescriptor(value, key) ?? {}
    if (property.get !== undefined || !frozen(property.value)) return false
  }
  done.add(value)
  return true
}

const done = new WeakSet<object>()
