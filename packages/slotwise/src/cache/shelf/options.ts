import { type CacheOptions, settingsOf } from '../cache-options.js'
import type { Settings } from '../settings.js'
import { filed } from './filed.js'

/** Settings of a store for another package's interface. Times are in milliseconds. */
export interface AdapterOptions
  extends Pick<CacheOptions, 'name' | 'budgetMs' | 'compressOverBytes' | 'replicas' | 'onError'> {
  /**
   * How long an entry lives that is stored without a time of its own.
   *
   * @defaultValue a hundred years, which is as good as for ever
   */
  readonly ttlMs?: number | undefined
  /**
   * What a read gives while Redis does not answer within `budgetMs`: nothing, as if nothing were stored, or a
   * `RedisUnavailableError`. @defaultValue `'miss'`
   */
  readonly whenUnavailable?: 'miss' | 'throw' | undefined
  /** What is larger, before compression, is refused. @defaultValue what Redis can hold, about 512 MB */
  readonly maxValueBytes?: number | undefined
}

/** A hundred years: the longest that an entry can be told to live. */
export const FOREVER_MS = 100 * 365 * 86_400_000
/** A string of Redis ends at 512 MiB, and an entry is a little more than its value. */
const MOST_BYTES = 2 ** 29 - 2048

/** The settings of a cache that holds what an adapter stores. */
export function settingsFor(options: AdapterOptions): Settings {
  const { name, budgetMs, compressOverBytes, replicas, onError } = options
  return settingsOf<unknown>({
    name,
    budgetMs,
    compressOverBytes,
    replicas,
    onError,
    ttlMs: options.ttlMs ?? FOREVER_MS,
    maxValueBytes: options.maxValueBytes ?? MOST_BYTES,
    serializer: filed,
    // A time to live is exact here: whoever counts on the last second of an entry has it.
    jitter: 0,
  })
}
