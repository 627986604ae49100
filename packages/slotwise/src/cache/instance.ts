import type { Key } from '../keys.js'
import type { RedisPort } from '../redis/port.js'
import { type Events, publish } from '../telemetry.js'
import { Flights } from './flights.js'
import { PendingInvalidations } from './pending.js'

/** What a cache was told, checked and with its defaults. */
export interface Settings {
  readonly name: string
  readonly ttlMs: number
  readonly jitter: number
  readonly leaseMs: number
  readonly budgetMs: number
  readonly onError: (error: Error, context: ErrorContext) => void
}

/** Where a failure that did not reach a caller happened. */
export interface ErrorContext {
  readonly operation: 'read' | 'load' | 'store' | 'write' | 'invalidate'
  readonly key: string
}

/** Counted since the cache was made; `pending` is a level. */
export interface CacheStats {
  /** Answers read from Redis at once. */
  readonly hits: number
  /** Reads that found nothing usable in Redis. */
  readonly misses: number
  /** Calls of a loader. */
  readonly loads: number
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
}

type Counter = Exclude<keyof CacheStats, 'pending'>

/** What the views of one cache share. */
export class Instance {
  readonly port: RedisPort
  readonly settings: Settings
  /** Loads under the eyes of Redis, and loads without; apart, so that neither waits for the other's Redis. */
  readonly flights = new Flights()
  readonly detours = new Flights()
  readonly pending: PendingInvalidations
  /** What is on its way to be stored. */
  readonly storing = new Set<Promise<unknown>>()
  closed = false
  readonly #counters: Record<Counter, number> = {
    hits: 0,
    misses: 0,
    loads: 0,
    waits: 0,
    bypasses: 0,
    refusedFills: 0,
    errors: 0,
  }
  #reading = 0

  constructor(port: RedisPort, settings: Settings) {
    this.port = port
    this.settings = settings
    this.pending = new PendingInvalidations(port, (error, key) => this.report(error, 'invalidate', key))
  }

  /** The next reading of a counter that orders what happens in this process. */
  tick(): number {
    return ++this.#reading
  }

  count(counter: Counter): void {
    this.#counters[counter]++
  }

  stats(): CacheStats {
    return { ...this.#counters, pending: this.pending.size }
  }

  /** Loads that have not come back yet are not waited for: nothing of theirs will be stored. */
  async close(): Promise<void> {
    this.closed = true
    this.pending.close()
    await Promise.all(this.storing)
  }

  /** Up to the jitter shorter than asked, never longer, so that what was stored together does not end together. */
  ttl(ttlMs: number): number {
    return Math.max(1, Math.round(ttlMs * (1 - this.settings.jitter * Math.random())))
  }

  emit(kind: Events['slotwise:cache']['kind'], key: Key, from: number): void {
    publish('slotwise:cache', () => ({
      name: this.settings.name,
      kind,
      key,
      durationMs: performance.now() - from,
    }))
  }

  /** Tells `onError` of a failure that no caller will see. */
  report(error: unknown, operation: ErrorContext['operation'], key: Key): void {
    this.count('errors')
    this.emit('error', key, performance.now())
    try {
      this.settings.onError(error instanceof Error ? error : new Error(String(error)), { operation, key })
    } catch {
      // A listener that throws must not break the read or the retry that told it.
    }
  }
}
