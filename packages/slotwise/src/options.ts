import { ConfigurationError } from './errors.js'

/** Last options argument of every method that reaches Redis. */
export interface CallOptions {
  /** Gives up waiting. What was already sent may still be executed. */
  readonly signal?: AbortSignal | undefined
  /** Bound on the whole call, repeats included, in milliseconds. */
  readonly deadlineMs?: number | undefined
}

/** What may be the range of a number among the options. */
export interface Range {
  readonly min?: number
  readonly max?: number
}

/** A whole number within the range (from 1, unless told), or a {@link ConfigurationError} that quotes the value. */
export function integer(
  name: string,
  value: unknown,
  { min = 1, max = Number.MAX_SAFE_INTEGER }: Range = {},
): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
  const upTo = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `from ${min} to ${max}`
  throw new ConfigurationError(`${name} must be a whole number ${upTo}, got ${shown(value)}`)
}

/** A finite number above zero. */
export function positive(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
  throw new ConfigurationError(`${name} must be a number above 0, got ${shown(value)}`)
}

/** One of the words allowed. */
export function oneOf<const T extends string>(name: string, value: unknown, words: readonly T[]): T {
  const found = words.find((word) => word === value)
  if (found !== undefined) return found
  throw new ConfigurationError(`${name} must be one of ${words.join(', ')}, got ${shown(value)}`)
}

/** A value as it is quoted in messages: short, and never a surprise in a terminal. */
export function shown(value: unknown): string {
  const text =
    typeof value === 'string'
      ? JSON.stringify(value)
      : typeof value === 'bigint'
        ? `${value}n`
        : typeof value === 'object' && value !== null
          ? Object.prototype.toString.call(value)
          : String(value)
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}
