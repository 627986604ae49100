import { randomUUID } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cache, type LocalOptions } from '../../src/cache/index.js'
import type { RedisPort } from '../../src/redis/index.js'

/** What was promised of each row: since when no read may give less. */
class Promises {
  readonly #at = new Map<number, number>()

  add(version: number, at: number): void {
    this.#at.set(version, at)
  }

  /** When a newer version than this was promised first; `undefined` if none has been. */
  newerThan(version: number, latest: number): number | undefined {
    for (let newer = version + 1; newer <= latest; newer++) {
      const at = this.#at.get(newer)
      if (at !== undefined) return at
    }
    return undefined
  }
}

/** Settings of {@link measuring}. */
export interface Staleness {
  /** What read, each holding what it has read. */
  readonly readers: readonly RedisPort[]
  /** What changes rows, as another process would. */
  readonly writer: RedisPort
  readonly local: LocalOptions
  readonly coherence?: 'tracking' | 'log'
  readonly rows: number
  /** Rows change by a tag above the one that they bear, which lies in another slot, and not by their entries. @defaultValue `false` */
  readonly byTags?: boolean
  /** So many replicas have each invalidation before it counts as promised: no failover loses it then. */
  readonly replicas: number
  /** The row that is read next. @defaultValue some much more often than others */
  readonly pick?: () => number
}

/** What was seen so far. */
export interface Seen {
  readonly reads: number
  readonly localHits: number
  readonly sharedReads: number
  readonly changes: number
  /** By how much the oldest value was behind what had been promised, in milliseconds. */
  readonly worstMs: number
  /** How long the event loop of this process stood still at most. */
  readonly stoodStillMs: number
}

/**
 * Reads rows that are being changed, from a cache that holds them in the process, and measures by how much what it
 * serves is behind: since when the invalidation of a newer version had resolved in another process.
 */
export function measuring({
  readers,
  writer,
  local,
  coherence = 'tracking',
  rows,
  byTags = false,
  replicas,
  // Some rows are read much more often than they change.
  pick = () => Math.floor(Math.random() ** 3 * rows),
}: Staleness) {
  const stop = new AbortController()
  // Of its own: what another measuring has left has versions that count from nought as well.
  const options = { name: `stale-${randomUUID().slice(0, 8)}`, ttlMs: 60_000, budgetMs: 200, coherence }
  const caches = readers.map((reader) => new Cache<number>(reader, { ...options, local }))
  const writing = new Cache<number>(writer, options)
  const database = Array.from({ length: rows }, () => 0)
  const promises = database.map(() => new Promises())
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const seen = { reads: 0, changes: 0, worstMs: 0 }

  const check = (row: number, value: number, at: number): void => {
    seen.reads++
    const since = promises[row]?.newerThan(value, database[row] ?? 0)
    if (since !== undefined) seen.worstMs = Math.max(seen.worstMs, at - since)
  }
  const read = async (cache: Cache<number>): Promise<void> => {
    while (!stop.signal.aborted) {
      for (let i = 0; i < 100; i++) {
        const row = pick()
        const at = performance.now()
        const tags = byTags ? [`row:${row}/text`] : []
        check(row, await cache.getOrLoad(String(row), { tags }, async () => database[row] ?? 0), at)
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const write = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const row = Math.floor(Math.random() * rows)
      const version = (database[row] ?? 0) + 1
      database[row] = version
      try {
        const terms = { replicas, deadlineMs: 1000 }
        await (byTags
          ? writing.invalidateTags([`row:${row}`], terms)
          : writing.invalidate(String(row), terms))
        promises[row]?.add(version, performance.now())
        seen.changes++
      } catch {
        // Nothing was promised of it.
      }
      await sleep(2 + Math.random() * 6)
    }
  }
  const running = [...caches.flatMap((cache) => [read(cache), read(cache)]), write(), write()]
  const sum = (of: (cache: Cache<number>) => number) => caches.reduce((all, cache) => all + of(cache), 0)
  return {
    caches: caches as readonly Cache<number>[],
    seen: (): Seen => ({
      ...seen,
      localHits: sum((cache) => cache.stats().localHits),
      sharedReads: sum((cache) => cache.stats().sharedReads),
      stoodStillMs: delay.max / 1e6,
    }),
    async stop(): Promise<Seen> {
      stop.abort()
      await Promise.all(running)
      const last = this.seen()
      delay.disable()
      await Promise.all([...caches, writing].map((cache) => cache.close()))
      return last
    },
  }
}
