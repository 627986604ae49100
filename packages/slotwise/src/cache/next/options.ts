import { ConfigurationError } from '../../errors.js'
import { integer, shown } from '../../options.js'
import type { RedisPort } from '../../redis/port.js'
import { type AdapterOptions, settingsFor } from '../shelf/options.js'

const DAY_MS = 86_400_000

/** Settings of a `NextCache`. Times are in milliseconds. */
export interface NextCacheOptions
  extends Pick<AdapterOptions, 'name' | 'compressOverBytes' | 'replicas' | 'onError'> {
  /**
   * Which build entries are of: none reads those of another. Tags are of all, so that what one deployment revalidates is
   * revalidated for the one that takes its place. @defaultValue what `next build` wrote to `BUILD_ID`
   */
  readonly buildId?: string | undefined
  /**
   * The longest that an entry is kept, whatever Next says, and that a tag is remembered: what an earlier deployment left
   * goes by itself. @defaultValue 7 days
   */
  readonly ttlMs?: number | undefined
  /**
   * How long a page waits for Redis before it is rendered: for an entry and its tags together, and after that for what
   * was rendered to be stored, which then goes on behind its back. After a wait in vain Redis is left alone for a
   * second, so that a page with many entries waits once. @defaultValue `100`
   */
  readonly budgetMs?: number | undefined
  /** What is larger, before compression, is not stored, and `onError` hears of it. @defaultValue 16 MiB */
  readonly maxValueBytes?: number | undefined
}

/** A port, or what connects to Redis, which is then called when it is first needed, and never by `next build`. */
export type NextCacheRedis = RedisPort | (() => RedisPort | Promise<RedisPort>)

/** With its defaults, and checked. */
export interface NextSettings {
  readonly shelves: AdapterOptions
  readonly name: string
  readonly buildId: string | undefined
  readonly ttlMs: number
  readonly budgetMs: number
  readonly replicas: number
  readonly maxValueBytes: number
}

export function nextSettings(options: NextCacheOptions): NextSettings {
  const { buildId, replicas = 0, maxValueBytes = 16 * 1024 * 1024 } = options
  const ttlMs = integer('ttlMs', options.ttlMs ?? 7 * DAY_MS)
  const budgetMs = integer('budgetMs', options.budgetMs ?? 100)
  if (buildId !== undefined && (typeof buildId !== 'string' || buildId === '')) {
    throw new ConfigurationError(`buildId must be a text, got ${shown(buildId)}`)
  }
  const shelves: AdapterOptions = {
    name: options.name,
    compressOverBytes: options.compressOverBytes,
    onError: options.onError,
    // A render takes longer than the difference: what it has waited for so far is not thrown away.
    budgetMs: { min: budgetMs, max: budgetMs },
    replicas,
    maxValueBytes,
    ttlMs,
  }
  settingsFor(shelves)
  return { shelves, name: options.name, buildId, ttlMs, budgetMs, replicas, maxValueBytes }
}
