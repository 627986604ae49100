import { toldIn } from '../invalidation/log/cache-log.js'
import type { ChangeLog } from '../invalidation/log/change-log.js'
import { PendingInvalidations } from '../invalidation/pending.js'
import type { ChangeOptions } from '../invalidation/tags/tag-store.js'
import type { Key } from '../keys.js'
import type { RedisPort, Reply } from '../redis/port.js'
import { type Events, publish } from '../telemetry.js'
import type { CacheAudit } from './audit/audit.js'
import { Flights } from './flights.js'
import { removalOf } from './invalidate.js'
import { Everywhere } from './local/everywhere.js'
import type { LocalLevel } from './local/level.js'
import { openLevel, openLog } from './local/open.js'
import { Origin } from './origin.js'
import { Pace } from './pace.js'
import type { Settings } from './settings.js'
import { Tags } from './tags.js'
import { Wakes } from './wakes.js'

/** Where a failure that did not reach a caller happened. */
export interface ErrorContext {
  readonly operation: 'read' | 'load' | 'store' | 'write' | 'invalidate' | 'track' | 'audit'
  /** Empty for what concerns no entry. */
  readonly key: string
}

/** Counted since the cache was made; `pending`, `degraded` and `hotKeys` are levels. */
export interface CacheStats {
  /** Answers that this process held, and that were proved to be no more than `maxStalenessMs` behind. */
  readonly localHits: number
  /** Answers read from Redis at once. */
  readonly hits: number
  /** Those that were answered by a read of Redis which another caller had sent; only with `holds: 'hot'`. */
  readonly sharedReads: number
  /** How many keys are hot now; only with `holds: 'hot'`. Which ones, `hotKeys` tells. */
  readonly hotKeys: number
  /** Those among the hits that were stale. */
  readonly staleHits: number
  /** Reads that found nothing usable in Redis. */
  readonly misses: number
  /** Calls of a loader for an entry, those in the background among them. */
  readonly loads: number
  /** Those among the loads that took the place of a value that was still served. */
  readonly refreshes: number
  /** Answers taken from a load that another caller or another process ran. */
  readonly waits: number
  /** Calls of a loader without a word from Redis: too slow, or away. */
  readonly bypasses: number
  /** Loaded or written values that Redis did not store because something had changed meanwhile. */
  readonly refusedFills: number
  /** Failures that `onError` was told. */
  readonly errors: number
  /** Invalidations that are still being tried. */
  readonly pending: number
  /** Redis did not answer the last read or write in time, or an invalidation is pending. */
  readonly degraded: boolean
}

type Counter = Exclude<keyof CacheStats, 'pending' | 'degraded' | 'hotKeys'>

type CacheEvent = Events['slotwise:cache']

/** What the views of one cache share. */
export class Instance {
  readonly port: RedisPort
  readonly settings: Settings
  /** Whether a read has to know how old a value is. */
  readonly timed: boolean
  /** What this process holds, if it holds anything. */
  readonly local: LocalLevel | undefined
  /** Who else holds entries of this cache, or of one that shares its tags. */
  readonly everywhere: Everywhere
  /** Loads under the eyes of Redis, and loads without; apart, so that neither waits for the other's Redis. */
  readonly flights = new Flights()
  readonly detours = new Flights()
  /** Loads that take the place of what is served meanwhile. */
  readonly refreshes = new Flights()
  readonly pending: PendingInvalidations
  readonly tags: Tags
  readonly pace: Pace
  readonly wakes: Wakes
  readonly #origin: Origin | undefined
  /** Where other processes are told of what this one changes, if servers do not tell. */
  readonly #log: ChangeLog | undefined
  /** What is on its way to be stored. */
  readonly storing = new Set<Promise<unknown>>()
  closed = false
  readonly #closing = new AbortController()
  /** Hears of what happens to entries, while somebody audits. */
  audit: CacheAudit | undefined
  readonly #counters: Record<Counter, number> = {
    localHits: 0,
    hits: 0,
    sharedReads: 0,
    staleHits: 0,
    misses: 0,
    loads: 0,
    refreshes: 0,
    waits: 0,
    bypasses: 0,
    refusedFills: 0,
    errors: 0,
  }
  #reading = 0
  #silent = false
  #degraded = false

  constructor(port: RedisPort, settings: Settings) {
    this.port = port
    this.settings = settings
    this.timed = settings.staleMs > 0 || settings.earlyRefresh > 0
    this.pace = new Pace(settings.budget)
    this.wakes = new Wakes(port, (error, key) => this.report(error, 'load', key))
    this.#origin = settings.origin === undefined ? undefined : new Origin(settings.origin)
    this.pending = new PendingInvalidations(port, {
      callOf: removalOf(settings.keepInvalidatedMs),
      told: (keys, results) => this.told(keys, results, {}),
      report: (error, key) => this.report(error, 'invalidate', key),
      changed: () => this.#judge(),
    })
    this.everywhere = new Everywhere(port, settings.tagSpace, (error) => this.report(error, 'track', ''))
    this.#log = openLog(port, settings)
    this.local = openLevel(port, settings, this.#log, (error) => this.report(error, 'track', ''))
    if (this.local !== undefined && settings.local !== undefined) {
      this.everywhere.join(this.local, settings.local.maxStalenessMs)
    }
    this.tags = new Tags(port, settings, this.local, {
      told: (keys, results) => this.told(keys, results, {}),
      report: (error, key) => this.report(error, 'invalidate', key),
      changed: () => this.#judge(),
    })
  }

  /**
   * What this process holds of the keys, or is reading, may be older than what it is doing to them. To be called before and
   * after: whoever has invalidated or written reads what came of it.
   */
  forget(keys: readonly Key[]): void {
    if (this.local === undefined) return
    for (const key of keys) this.local.forget(key)
  }

  /**
   * What has been done to the keys counts once other processes can hear of it: at once where servers tell, else when it is
   * in the log.
   */
  async told(
    keys: readonly Key[],
    results: readonly PromiseSettledResult<Reply>[],
    { replicas = this.settings.replicas, ...options }: ChangeOptions,
  ): Promise<readonly PromiseSettledResult<Reply>[]> {
    return await toldIn(this.#log, keys, results, { ...options, replicas })
  }

  /** An entry has been replaced that had not ended, and that others may hold. Best effort: what they hold ends by itself. */
  async tellOf(key: Key): Promise<void> {
    const [told] = await this.told([key], [{ status: 'fulfilled', value: 1 }], { replicas: 0 })
    if (told?.status === 'rejected') this.report(told.reason, 'store', key)
  }

  /** The next reading of a counter that orders what happens in this process. */
  tick(): number {
    return ++this.#reading
  }

  count(counter: Counter): void {
    this.#counters[counter]++
  }

  stats(): CacheStats {
    const hotKeys = this.local?.hot().length ?? 0
    return { ...this.#counters, hotKeys, pending: this.#left, degraded: this.#degraded }
  }

  /** Whether it is worth asking Redis for an entry, and its answer may be believed. */
  reachable(key: Key): boolean {
    // Redis still has what this process was told to remove.
    return !(this.pending.size > 0 && this.pending.has(key)) && this.port.breaker(key).state === 'closed'
  }

  /** Redis has answered a read. */
  answered(ms: number): void {
    this.pace.record(ms)
    if (!this.#silent) return
    this.#silent = false
    this.#judge()
  }

  /** Redis has not answered a read in time. */
  unanswered(): void {
    this.pace.missed()
    if (this.#silent) return
    this.#silent = true
    this.#judge()
  }

  /** Invalidations that Redis has not taken yet. */
  get #left(): number {
    return this.pending.size + this.tags.pending.size
  }

  #judge(): void {
    const degraded = this.#silent || this.#left > 0
    if (degraded === this.#degraded) return
    this.#degraded = degraded
    const kind = degraded ? 'degraded' : 'recovered'
    publish('slotwise:cache', () => ({ name: this.settings.name, kind, key: '', durationMs: 0 }))
  }

  /** Calls a loader when the origin has room for one more. */
  async load<R>(load: () => R | Promise<R>, signal: AbortSignal): Promise<R> {
    return this.#origin === undefined ? await load() : await this.#origin.run(load, signal)
  }

  /** Aborted when the cache is closed, for what may go on behind it and shall not keep a port open. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** Loads that have not come back yet are not waited for: nothing of theirs will be stored. */
  async close(): Promise<void> {
    this.closed = true
    this.#closing.abort()
    this.audit?.close()
    this.pending.close()
    this.tags.pending.close()
    this.local?.close()
    this.everywhere.close()
    await Promise.all(this.storing)
  }

  emit(
    kind: Exclude<Events['slotwise:cache']['kind'], 'degraded' | 'recovered'>,
    key: Key | '',
    from: number,
  ): void {
    if (this.audit !== undefined && key !== '') this.audit.saw(kind === 'local' ? 'hit' : kind, key, from)
    this.publish(kind, key, from)
  }

  /** {@link emit} of which the audit knows already. */
  publish(kind: CacheEvent['kind'], key: Key | '', from: number): void {
    publish('slotwise:cache', () => ({
      name: this.settings.name,
      kind,
      key,
      durationMs: performance.now() - from,
    }))
  }

  /** Tells `onError` of a failure that no caller will see. */
  report(error: unknown, operation: ErrorContext['operation'], key: Key | ''): void {
    this.count('errors')
    this.emit('error', key, performance.now())
    try {
      this.settings.onError(error instanceof Error ? error : new Error(String(error)), { operation, key })
    } catch {
      // A listener that throws must not break the read or the retry that told it.
    }
  }
}
