/** What a value in an override file does to the one before: `!reset` takes it away, `!override` takes its place whole. */
export class Tagged {
  readonly tag: 'reset' | 'override'
  readonly value: unknown

  constructor(tag: Tagged['tag'], value: unknown) {
    this.tag = tag
    this.value = value
  }
}

/** A mapping of YAML. */
export type Mapping = Readonly<Record<string, unknown>>

export const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Tagged)

/** Of these a later file's list is the whole truth. */
const REPLACED = new Set(['command', 'entrypoint', 'test'])

/** One Compose file over another, by the rules of the specification ("Merge and override"). */
export function merged(below: unknown, above: unknown, name = ''): unknown {
  if (above instanceof Tagged) return above.tag === 'reset' ? undefined : above.value
  if (isMapping(below) && isMapping(above)) {
    const names = [...new Set([...Object.keys(below), ...Object.keys(above)])]
    const entries = names.map((key) => [key, key in above ? merged(below[key], above[key], key) : below[key]])
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
  }
  if (Array.isArray(below) && Array.isArray(above) && !REPLACED.has(name)) return [...below, ...above]
  return above
}
