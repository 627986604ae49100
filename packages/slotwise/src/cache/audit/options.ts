import { ConfigurationError } from '../../errors.js'
import { integer, shown } from '../../options.js'
import { MOST_WAIT_MS } from '../settings.js'

/** Of which entry the origin is asked. */
export interface AuditedEntry {
  readonly tenant: string | undefined
  /** The parts of the id as text: an id that is text is one part. */
  readonly id: readonly string[]
}

/** Settings of `Cache.audit`. Times are in milliseconds. */
export interface AuditOptions<T> {
  /**
   * What the origin has now, as a loader would bring it. It should read where changes are committed, and not a replica that is behind.
   * The signal aborts at the deadline and when the audit is closed.
   */
  readonly load: (entry: AuditedEntry, context: { readonly signal: AbortSignal }) => T | Promise<T>
  /**
   * How many keys of a million are looked at, from 1 to 1,000,000: all that happens to them here. The same keys in every process,
   * and others each hour. @defaultValue `100`
   */
  readonly ppm?: number | undefined
  /** How long after something has happened to a key it is looked at, each counted apart. @defaultValue `[1000, 10_000, 60_000]` */
  readonly windowsMs?: readonly number[] | undefined
  /**
   * How long after a look that found a difference there is another one, which has to find the same: longer than from a commit to the
   * end of its invalidation. With a level in the process it is twice `maxStalenessMs` at least. @defaultValue `1000`
   */
  readonly confirmAfterMs?: number | undefined
  /** How many keys are watched at a time. @defaultValue `1000` */
  readonly maxKeys?: number | undefined
  /** How many calls of `load` there may be at a time. @defaultValue `2` */
  readonly maxConcurrent?: number | undefined
  /** How long each call of `load`, and each look at Redis, is waited for. @defaultValue `5000` */
  readonly deadlineMs?: number | undefined
  /** By what two values are told apart, where not everything in them has to be the same. @defaultValue all of it */
  readonly versionOf?: ((value: T) => string | number) | undefined
}

/** The same, checked. */
export interface AuditSettings {
  readonly load: AuditOptions<unknown>['load']
  readonly ppm: number
  readonly windowsMs: readonly number[]
  readonly confirmAfterMs: number
  readonly maxKeys: number
  readonly maxConcurrent: number
  readonly deadlineMs: number
  readonly versionOf: ((value: unknown) => string | number) | undefined
}

const MOST_WINDOWS = 8

export function auditSettings<T>(options: AuditOptions<T>, maxStalenessMs: number): AuditSettings {
  const { load, versionOf, windowsMs = [1000, 10_000, 60_000] } = options
  if (typeof load !== 'function') throw new ConfigurationError(`load must be a function, got ${shown(load)}`)
  if (!Array.isArray(windowsMs) || windowsMs.length === 0 || windowsMs.length > MOST_WINDOWS) {
    throw new ConfigurationError(`windowsMs must be 1 to ${MOST_WINDOWS} times, got ${shown(windowsMs)}`)
  }
  const confirmAfterMs = integer('confirmAfterMs', options.confirmAfterMs ?? 1000, { max: MOST_WAIT_MS })
  return {
    load,
    ppm: integer('ppm', options.ppm ?? 100, { max: 1_000_000 }),
    windowsMs: windowsMs
      .map((ms) => integer('windowsMs', ms, { max: MOST_WAIT_MS }))
      .toSorted((a, b) => a - b),
    confirmAfterMs: Math.max(confirmAfterMs, 2 * maxStalenessMs),
    maxKeys: integer('maxKeys', options.maxKeys ?? 1000, { max: 1_000_000 }),
    maxConcurrent: integer('maxConcurrent', options.maxConcurrent ?? 2),
    deadlineMs: integer('deadlineMs', options.deadlineMs ?? 5000, { max: MOST_WAIT_MS }),
    versionOf: versionOf as AuditSettings['versionOf'],
  }
}
