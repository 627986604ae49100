import { DEEPEST } from './freeze.js'

/**
 * Whether {@link copyOf} gives the same again: a tree of plain objects, dense arrays and primitives, as from JSON. Not what
 * occurs in two places of itself, has accessors or symbols, or is nested without end.
 */
export function isTree(value: unknown): boolean {
  return isPart(value, new Set(), 0)
}

function isPart(value: unknown, met: Set<object>, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function'
  if (met.has(value) || depth > DEEPEST) return false
  met.add(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  const isArray = Array.isArray(value)
  if (prototype !== (isArray ? Array.prototype : Object.prototype)) return false
  const own = Object.entries(Object.getOwnPropertyDescriptors(value))
  if (Object.getOwnPropertySymbols(value).length > 0) return false
  // Its length is one of its properties, and holes are none.
  if (isArray && own.length !== value.length + 1) return false
  return own.every(
    ([name, property]) =>
      (isArray && name === 'length') ||
      (property.enumerable === true && 'value' in property && isPart(property.value, met, depth + 1)),
  )
}

/** The tree anew, sharing nothing with the other one that can be changed: a third of the time that it takes to decode it. */
export function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const list: unknown[] = value.slice()
    for (let i = 0; i < list.length; i++) {
      const part = list[i]
      if (typeof part === 'object' && part !== null) list[i] = copyOf(part)
    }
    return list
  }
  // What is copied along with the others stays a property of its own, whatever its name: `__proto__` too.
  const copy: Record<string, unknown> = { ...value }
  for (const name of Object.keys(copy)) {
    const part = copy[name]
    if (typeof part === 'object' && part !== null) copy[name] = copyOf(part)
  }
  return copy
}
