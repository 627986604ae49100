import { ConfigurationError } from '../errors.js'
import { plainName } from '../keys.js'
import { integer, oneOf, shown } from '../options.js'
import { Codec } from './entry.js'
import type { ErrorContext } from './instance.js'
import { type LocalOptions, localSettings } from './local/options.js'
import type { OriginOptions } from './origin.js'
import type { BudgetBounds } from './pace.js'
import type { StandardSchema } from './schema.js'
import { checkedSerializer, json, type Serializer } from './serializer.js'
import { MOST_TTL_MS, MOST_WAIT_MS, type Settings } from './settings.js'

/** Settings of a `Cache`. Times are in milliseconds. */
export interface CacheOptions<T = unknown> {
  /**
   * Part of every key: 1 to 64 letters, digits, `.`, `_`, `-`. Caches of the same name on the same namespace are
   * one cache.
   */
  readonly name: string
  /**
   * Changes the keys when the shape of what is stored changes, so that old and new processes do not read each other's
   * during an upgrade. Nor do they invalidate each other's by id: while both run, what one version changes may be served by the
   * other until its TTL, unless it is invalidated by a tag, which versions share. @defaultValue none
   */
  readonly version?: number | undefined
  /**
   * Caches of one tag space share their tags, so that a change of one is a change for all of them; so do a `TagVersions`
   * of this name and the versions of one cache. @defaultValue `name`
   */
  readonly tagSpace?: string | undefined
  /** How long an entry is served after it was stored. */
  readonly ttlMs: number
  /**
   * How much longer it is kept, to be served while the next one is loaded and when that fails. @defaultValue `0`
   */
  readonly staleMs?: number | undefined
  /** How long `null`, for "not found", is served. @defaultValue `ttlMs` */
  readonly negativeTtlMs?: number | undefined
  /**
   * The share of `ttlMs` by which an entry may end earlier, at random, so that what was stored together does not
   * end together; from 0 to 1. @defaultValue `0.1`
   */
  readonly jitter?: number | undefined
  /**
   * Refreshes an entry behind a reader's back before it ends, the likelier the nearer its end and the longer it takes to
   * load (XFetch). 1 is about right, more is earlier, 0 is never. The loader of the reader then runs after its call has
   * returned. @defaultValue `0`
   */
  readonly earlyRefresh?: number | undefined
  /**
   * How long a reader waits for the next value where a stale one is there; 0 serves the stale one at once.
   * @defaultValue `0`
   */
  readonly softTimeoutMs?: number | undefined
  /**
   * How long a reader waits for a load where nothing is there; then it gets a `LoadTimeoutError`, and the load goes on.
   * @defaultValue `Infinity`
   */
  readonly hardTimeoutMs?: number | undefined
  /** How long nobody tries again to load after a failure, while a stale value is there. @defaultValue `1000` */
  readonly staleRetryMs?: number | undefined
  /**
   * How long an invalidated value is kept for reads with `allowStale`. Memory, and a script in the place of `DEL`.
   * @defaultValue `0`
   */
  readonly keepInvalidatedMs?: number | undefined
  /**
   * How long a load may take and still be stored, and a write and still be covered by its intent.
   * Also how long readers in other processes wait for a load whose process has died. @defaultValue `10000`
   */
  readonly leaseMs?: number | undefined
  /**
   * How long a read waits for Redis in total before it goes to the loader. Waiting for the load of another process is
   * not counted, as long as Redis answers that it goes on. Within these bounds it is four times what the slowest
   * answers took lately; a number is the upper one.
   *
   * @defaultValue `{ min: 25, max: 100 }`
   */
  readonly budgetMs?: number | BudgetBounds | undefined
  /**
   * How many loads this process may run at a time: what protects a database when Redis is away. A call for many is one. A load
   * that never ends keeps its place, so loaders need a time-out of their own. @defaultValue any number
   */
  readonly origin?: OriginOptions | undefined
  /** A level in this process, before Redis. @defaultValue none */
  readonly local?: LocalOptions | undefined
  /**
   * How processes with a level hear of changes. `'tracking'`: from the servers, whoever changes what. `'log'`: from logs that
   * caches write what they have changed to, where a user may not use `CLIENT TRACKING`; one more command for each change, and
   * what expires early, is evicted or changed by other programs is not heard of. The same for every process that shares
   * the cache, with a level or without. @defaultValue `'tracking'`
   */
  readonly coherence?: 'tracking' | 'log' | undefined
  /**
   * So many replicas are to know of an invalidation before it resolves: what a failover to one of them cannot lose.
   * Each then waits for their answer, on a connection of its own. @defaultValue `0`
   */
  readonly replicas?: number | undefined
  /** @defaultValue `json` */
  readonly serializer?: Serializer | undefined
  /**
   * Checks what is read, and what is about to be stored as it will be read. What does not pass counts as absent, or is not
   * stored. Its output is what callers get. @defaultValue none
   */
  readonly schema?: StandardSchema<T> | undefined
  /** Deflates what is larger, where that makes it smaller. @defaultValue `Infinity`: never */
  readonly compressOverBytes?: number | undefined
  /** What is larger, before compression, is not stored, and `onError` hears of it. @defaultValue `1048576`, 1 MiB */
  readonly maxValueBytes?: number | undefined
  /** Told of every failure that does not reach a caller: Redis away during a read, a retried invalidation. */
  readonly onError?: ((error: Error, context: ErrorContext) => void) | undefined
}

const LEAST_BUDGET_MS = 25

/** The settings, checked, with their defaults. */
export function settingsOf<T>(options: CacheOptions<T>): Settings {
  const name = plainName('name', options.name)
  const version = options.version === undefined ? '' : `.v${integer('version', options.version, { min: 0 })}`
  const ttlMs = integer('ttlMs', options.ttlMs, { max: MOST_TTL_MS })
  return {
    name: plainName('name and version together', `${name}${version}`),
    tagSpace: options.tagSpace === undefined ? name : plainName('tagSpace', options.tagSpace),
    ttlMs,
    staleMs: integer('staleMs', options.staleMs ?? 0, { min: 0, max: MOST_TTL_MS }),
    negativeTtlMs: integer('negativeTtlMs', options.negativeTtlMs ?? ttlMs, { max: MOST_TTL_MS }),
    jitter: number('jitter', options.jitter ?? 0.1, 1),
    leaseMs: integer('leaseMs', options.leaseMs ?? 10_000, { max: MOST_WAIT_MS }),
    budget: budgetOf(options.budgetMs ?? 100),
    earlyRefresh: number('earlyRefresh', options.earlyRefresh ?? 0, 1000),
    softTimeoutMs: integer('softTimeoutMs', options.softTimeoutMs ?? 0, { min: 0, max: MOST_WAIT_MS }),
    hardTimeoutMs: orNever('hardTimeoutMs', options.hardTimeoutMs, 1, MOST_WAIT_MS),
    staleRetryMs: integer('staleRetryMs', options.staleRetryMs ?? 1000, { min: 0, max: MOST_WAIT_MS }),
    keepInvalidatedMs: integer('keepInvalidatedMs', options.keepInvalidatedMs ?? 0, {
      min: 0,
      max: MOST_TTL_MS,
    }),
    replicas: integer('replicas', options.replicas ?? 0, { min: 0 }),
    origin: originOf(options.origin),
    local: localSettings(options.local),
    coherence: oneOf('coherence', options.coherence ?? 'tracking', ['tracking', 'log']),
    codec: new Codec({
      serializer: checkedSerializer(options.serializer ?? json),
      schema: options.schema,
      compressOverBytes: orNever('compressOverBytes', options.compressOverBytes, 0, Number.MAX_SAFE_INTEGER),
      // A value of Redis ends at 512 MB.
      maxValueBytes: integer('maxValueBytes', options.maxValueBytes ?? 1024 * 1024, { max: 2 ** 29 - 1024 }),
    }),
    onError: options.onError ?? (() => {}),
  }
}

function budgetOf(budget: number | BudgetBounds): BudgetBounds {
  if (typeof budget === 'number') {
    const max = integer('budgetMs', budget, { max: MOST_WAIT_MS })
    return { min: Math.min(LEAST_BUDGET_MS, max), max }
  }
  const max = integer('budgetMs.max', budget.max, { max: MOST_WAIT_MS })
  return { min: integer('budgetMs.min', budget.min, { max }), max }
}

function originOf(origin: OriginOptions | undefined): OriginOptions | undefined {
  if (origin === undefined) return undefined
  return {
    maxConcurrent: integer('origin.maxConcurrent', origin.maxConcurrent),
    maxWaitMs: integer('origin.maxWaitMs', origin.maxWaitMs ?? 1000, { min: 0, max: MOST_WAIT_MS }),
  }
}

function orNever(name: string, value: number | undefined, min: number, max: number): number {
  return value === undefined || value === Infinity ? Infinity : integer(name, value, { min, max })
}

function number(name: string, value: unknown, max: number): number {
  if (typeof value === 'number' && value >= 0 && value <= max) return value
  throw new ConfigurationError(`${name} must be a number from 0 to ${max}, got ${shown(value)}`)
}
