import { ConfigurationError } from '../errors.js'
import { type CallOptions, integer } from '../options.js'
import { signalOf } from './abort.js'
import { Budget } from './budget.js'
import type { Load } from './course.js'
import type { Instance } from './instance.js'
import type { Wish } from './read-through.js'
import type { LoadOptions } from './view-options.js'

/** A hundred years, and the most that the header of an entry could hold is more. */
const MOST_MS = 100 * 365 * 86_400_000

/** The options of one read, checked, with what the cache says where they are silent. */
export function wishOf<T>(instance: Instance, options: LoadOptions, load: Load<T>): Wish<T> {
  const { softTimeoutMs, hardTimeoutMs } = instance.settings
  return {
    load,
    ttlMs: ttlMsOf(options),
    softTimeoutMs: timeout('softTimeoutMs', options.softTimeoutMs, softTimeoutMs),
    hardTimeoutMs: timeout('hardTimeoutMs', options.hardTimeoutMs, hardTimeoutMs),
    allowStale: options.allowStale ?? false,
    signal: signalOf(options),
  }
}

/** `undefined` for the cache's own. */
export function ttlMsOf({ ttlMs }: { readonly ttlMs?: number | undefined }): number | undefined {
  return ttlMs === undefined ? undefined : integer('ttlMs', ttlMs, { max: MOST_MS })
}

/** `undefined` for what the port allows. */
export function deadlineOf({ deadlineMs }: { readonly deadlineMs?: number | undefined }): number | undefined {
  return deadlineMs === undefined ? undefined : integer('deadlineMs', deadlineMs)
}

/** What a read without a loader may spend on Redis. */
export function budgetOf(instance: Instance, { deadlineMs = Infinity }: CallOptions): Budget {
  return new Budget(Math.min(instance.pace.budgetMs, deadlineMs))
}

function timeout(name: string, asked: number | undefined, otherwise: number): number {
  if (asked === undefined) return otherwise
  if (asked === Infinity || (Number.isSafeInteger(asked) && asked >= 0 && asked <= 2 ** 31 - 1)) return asked
  throw new ConfigurationError(
    `${name} must be a whole number from 0 to ${2 ** 31 - 1}, or Infinity, got ${asked}`,
  )
}
