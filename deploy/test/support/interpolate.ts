import { isMapping, Tagged } from './merge.js'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Fills in `${NAME}`, `${NAME:-default}` and `$$` as Compose does, in every text below a value; keys are left alone. What
 * is used without a default and not set is an error here, where Compose would warn and go on with nothing.
 */
export function interpolated(value: unknown, environment: Environment): unknown {
  if (typeof value === 'string') return filledIn(value, environment)
  if (Array.isArray(value)) return value.map((one) => interpolated(one, environment))
  if (value instanceof Tagged) return new Tagged(value.tag, interpolated(value.value, environment))
  if (!isMapping(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, interpolated(one, environment)] as const),
  )
}

function filledIn(text: string, environment: Environment): string {
  return text.replace(
    /\$(?:\$|\{([A-Z][A-Z0-9_]*)(:-([^${}]*))?\}|(.?))/g,
    (whole, name, has, preset, other) => {
      if (whole === '$$') return '$'
      if (other !== undefined) throw new Error(`${JSON.stringify(text)} has a dollar sign that means nothing`)
      const given = environment[String(name)]
      if (given !== undefined && given !== '') return given
      if (has === undefined) throw new Error(`${String(name)} is not set, and has no default`)
      return String(preset)
    },
  )
}
