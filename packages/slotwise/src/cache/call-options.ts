import { ConfigurationError } from '../errors.js'
import { type CallOptions, integer } from '../options.js'
import { signalOf } from './abort.js'
import { Budget } from './budget.js'
import type { Load } from './course.js'
import type { Instance } from './instance.js'
import type { Wish } from './read-through.js'
import { MOST_TTL_MS, MOST_WAIT_MS } from './settings.js'
import { pathsOf } from './tags.js'
import type { LoadOptions, MutateOptions } from './view-options.js'

type Terms = Omit<Wish<unknown>, 'load' | 'decided'>

/** The options of one read, checked, with what the cache says where they are silent. */
export function termsOf(instance: Instance, options: LoadOptions): Terms {
  const { softTimeoutMs, hardTimeoutMs } = instance.settings
  return {
    ttlMs: ttlMsOf(options),
    tags: pathsOf(options.tags),
    softTimeoutMs: timeout('softTimeoutMs', options.softTimeoutMs, softTimeoutMs),
    hardTimeoutMs: timeout('hardTimeoutMs', options.hardTimeoutMs, hardTimeoutMs),
    allowStale: options.allowStale ?? false,
    isStrict: options.strict ?? false,
    signal: signalOf(options),
  }
}

/** Written out: this is done for each read, and to spread the terms costs more than to look at the reply. */
export function wishOf<T>(terms: Terms, load: Load<T>, decided?: () => void): Wish<T> {
  const { ttlMs, tags, softTimeoutMs, hardTimeoutMs, allowStale, isStrict, signal } = terms
  return { load, ttlMs, tags, softTimeoutMs, hardTimeoutMs, allowStale, isStrict, signal, decided }
}

/** `undefined` for the cache's own. */
export function ttlMsOf({ ttlMs }: { readonly ttlMs?: number | undefined }): number | undefined {
  return ttlMs === undefined ? undefined : integer('ttlMs', ttlMs, { max: MOST_TTL_MS })
}

/** `undefined` for what the port allows. */
export function deadlineOf({ deadlineMs }: { readonly deadlineMs?: number | undefined }): number | undefined {
  return deadlineMs === undefined ? undefined : integer('deadlineMs', deadlineMs)
}

/** What a read without a loader may spend on Redis. */
export function budgetOf(instance: Instance, options: CallOptions): Budget {
  return new Budget(Math.min(instance.pace.budgetMs, deadlineOf(options) ?? Infinity))
}

/** The options of one change, checked. */
export function coverOf(instance: Instance, { intentMs, replicaLagMs }: MutateOptions) {
  return {
    intentMs:
      intentMs === undefined
        ? instance.settings.leaseMs
        : integer('intentMs', intentMs, { max: MOST_WAIT_MS }),
    lingerMs:
      replicaLagMs === undefined ? 0 : integer('replicaLagMs', replicaLagMs, { min: 0, max: MOST_TTL_MS }),
  }
}

function timeout(name: string, asked: number | undefined, otherwise: number): number {
  if (asked === undefined) return otherwise
  if (asked === Infinity || (Number.isSafeInteger(asked) && asked >= 0 && asked <= MOST_WAIT_MS)) return asked
  throw new ConfigurationError(
    `${name} must be a whole number from 0 to ${MOST_WAIT_MS}, or Infinity, got ${asked}`,
  )
}
