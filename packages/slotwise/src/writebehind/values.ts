import { UncacheableValueError } from '../errors.js'
import type { State } from './journal.js'

/** @throws UncacheableValueError it cannot be JSON */
export function textOf(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value) as string | undefined
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UncacheableValueError(`the value cannot be written: ${why}`, { cause: error })
  }
  if (text !== undefined) return text
  throw new UncacheableValueError(`the value cannot be written: it is a ${typeof value}`)
}

/** What a row is by what waits of it, its counters in the place of what its bytes say; `undefined` if it goes. */
export function valueOf({ bytes, counters }: State): unknown {
  if (bytes === undefined) return undefined
  const value: unknown = JSON.parse(bytes.toString())
  if (counters.size === 0) return value
  const fields = typeof value === 'object' && value !== null ? value : {}
  return { ...fields, ...Object.fromEntries(counters) }
}

/** What the bytes say of a field, whatever was counted since. */
export function fieldOf(row: unknown, field: string): unknown {
  return typeof row === 'object' && row !== null ? (row as Record<string, unknown>)[field] : undefined
}
