import type { HistoryEvent } from './history.js'
import type { Sight } from './sight.js'

/** Why an entry that differs from the origin is there, as far as this process knows. */
export type Because =
  /** An invalidation or a change of a tag began after it had been stored, was acknowledged, and it is still there. */
  | 'invalidation-lost'
  /** It was stored after the last invalidation: the loader, or whoever wrote it, had an older value. */
  | 'filled-with-old'
  /** Nobody here has invalidated it since it was stored. */
  | 'never-invalidated'
  /** The process serves it, and Redis does not any more. */
  | 'held-too-long'

/** Where readers get something else than the origin has. */
export interface Difference {
  readonly where: 'redis' | 'local'
  readonly version: string
  readonly storedAt: number | undefined
}

/** What differs from the origin; Redis first, for a process that holds the same is not to blame. */
export function differenceOf({ redis, local }: Sight, origin: string): Difference | undefined {
  if (redis !== undefined && redis.print !== origin) {
    return { where: 'redis', version: redis.version, storedAt: redis.storedAt }
  }
  if (local !== undefined && local.print !== origin) {
    return { where: 'local', version: local.version, storedAt: undefined }
  }
  return undefined
}

const EMPTYING: ReadonlySet<string> = new Set(['invalidate', 'write', 'tag'])

/** How a difference is explained by what has happened to the key. */
export function because({ where, version, storedAt }: Difference, events: readonly HistoryEvent[]): Because {
  if (where === 'local') return 'held-too-long'
  const fill = events.find((event) => event.kind === 'fill' && event.version === version)
  const since = fill?.at ?? storedAt ?? Infinity
  const emptied = events.filter(({ kind }) => EMPTYING.has(kind))
  if (emptied.some(({ lastAt }) => lastAt > since)) return 'invalidation-lost'
  return emptied.length > 0 ? 'filled-with-old' : 'never-invalidated'
}
