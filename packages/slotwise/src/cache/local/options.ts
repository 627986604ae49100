import { ConfigurationError } from '../../errors.js'
import { integer, oneOf } from '../../options.js'

/** An in-process level before Redis. Times are in milliseconds. */
export interface LocalOptions {
  /** How many entries it may hold; the one that was used longest ago goes first. At most 10,000 for `holds: 'hot'`. */
  readonly maxEntries: number
  /**
   * `'everything'` that is read. `'hot'`: an entry is held only while its key is among the `maxEntries` that are read most
   * often here, which a sketch of bounded memory finds out; and reads of Redis for one of them that are under way at the same time are
   * one read: for a small level that takes the weight of a few keys off one server. @defaultValue `'everything'`
   */
  readonly holds?: 'everything' | 'hot' | undefined
  /** How many bytes its entries may have, as they are in Redis. @defaultValue `Infinity` */
  readonly maxBytes?: number | undefined
  /** How long an entry is held at most before it is read from Redis again. @defaultValue `300_000` */
  readonly maxAgeMs?: number | undefined
  /**
   * How far a hit may be behind Redis: what is older than the last proof that it is still so is proved again before it is
   * served. Each primary is asked for a proof four times in that time, while there are hits.
   */
  readonly maxStalenessMs: number
  /**
   * What callers get. `'frozen'`: one value for all of them, which none can change; what cannot be frozen is decoded for
   * each. `'copied'`: a value of their own each time. `'shared'`: one value, on their word not to change it.
   *
   * @defaultValue `'frozen'`
   */
  readonly values?: 'frozen' | 'copied' | 'shared' | undefined
}

/** Counting more takes a while at once, each time that the counts are halved. */
const MOST_HOT = 10_000

/** The same, checked. */
export type LocalSettings = { readonly [K in keyof LocalOptions]-?: Exclude<LocalOptions[K], undefined> }

export function localSettings(options: LocalOptions | undefined): LocalSettings | undefined {
  if (options === undefined) return undefined
  if (typeof options !== 'object') throw new ConfigurationError('local must be an object')
  const { maxBytes = Infinity } = options
  const holds = oneOf('local.holds', options.holds ?? 'everything', ['everything', 'hot'])
  const max = holds === 'hot' ? MOST_HOT : 10_000_000
  return {
    maxEntries: integer('local.maxEntries', options.maxEntries, { max }),
    holds,
    maxBytes: maxBytes === Infinity ? maxBytes : integer('local.maxBytes', maxBytes),
    maxAgeMs: integer('local.maxAgeMs', options.maxAgeMs ?? 300_000),
    maxStalenessMs: integer('local.maxStalenessMs', options.maxStalenessMs, { max: 3_600_000 }),
    values: oneOf('local.values', options.values ?? 'frozen', ['frozen', 'copied', 'shared']),
  }
}
