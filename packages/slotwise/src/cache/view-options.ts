import type { Id } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { How } from './flight.js'
import type { MutationContext } from './mutate.js'
import type { ReadToken } from './put.js'

/** Options of one read. */
export interface LoadOptions extends CallOptions {
  /** How long what is loaded now may be served. @defaultValue the cache's own `ttlMs` */
  readonly ttlMs?: number | undefined
  /**
   * What the entry bears: a change of one of them, or of one above (`org:7` is above `org:7/users`), takes it away. What
   * they were is read before the load. Give the same at each call: they are checked along with the entry, and what an
   * entry bears that is not named here takes a second round trip. Not what a loader finds out; 64 at most, with those above.
   */
  readonly tags?: readonly string[] | undefined
  /** How long to wait for the next value where a stale one is there. @defaultValue the cache's own */
  readonly softTimeoutMs?: number | undefined
  /** How long to wait where none is. The load goes on behind this call's back. @defaultValue the cache's own */
  readonly hardTimeoutMs?: number | undefined
  /**
   * Takes a value that was invalidated, while it is kept (`keepInvalidatedMs`), as if it were stale: what
   * `invalidate` promises is not promised to this read. @defaultValue `false`
   */
  readonly allowStale?: boolean | undefined
  /**
   * Asks Redis for the entry and its tags whatever this process holds: what `invalidate` and `invalidateTags` promise then
   * holds for every process. @defaultValue `false`: what is held here is served for `maxStalenessMs` after its last proof
   */
  readonly strict?: boolean | undefined
  /** Ends this caller's waiting. The load goes on for the others, and is aborted when nobody is left. */
  readonly signal?: AbortSignal | undefined
  /** Ends it after so many milliseconds, the loader's time included, with a `TimeoutError` as `AbortSignal.timeout` does. */
  readonly deadlineMs?: number | undefined
}

/** Options of a read without a loader. */
export interface ReadOptions extends CallOptions {
  /** As of a read with a loader. */
  readonly strict?: boolean | undefined
}

/** Writes to the database: resolves once the change is committed, with the new value. */
export type Write<T> = (context: MutationContext) => T | Promise<T>

/** Options of one write. */
export interface WriteOptions {
  /** How long what is written now may be served. @defaultValue the cache's own `ttlMs` */
  readonly ttlMs?: number | undefined
  /** What the entry bears. @defaultValue none */
  readonly tags?: readonly string[] | undefined
  /** Other entries that show what is written; they are emptied. */
  readonly alsoInvalidate?: readonly Id[] | undefined
  /** Tags of everything else that shows it; they change before the write and after it. */
  readonly alsoInvalidateTags?: readonly string[] | undefined
  /** As of an invalidation. */
  readonly everywhere?: boolean | undefined
  /**
   * How long Redis may take to answer after the write, in milliseconds, before the invalidation counts as pending.
   *
   * @defaultValue what the port allows for a call
   */
  readonly deadlineMs?: number | undefined
}

/** What a change of the database changes, and how long it may take. */
export interface MutateOptions {
  /** Every entry that shows it. */
  readonly ids?: readonly Id[] | undefined
  /** Tags of what shows it: they change before it and after it, and nothing is stored under them meanwhile. */
  readonly tags?: readonly string[] | undefined
  /** As of an invalidation. */
  readonly everywhere?: boolean | undefined
  /** How long the change may take and be covered. @defaultValue the cache's own `leaseMs` */
  readonly intentMs?: number | undefined
  /** How far the replicas of the database may be behind, if loaders read from them. @defaultValue `0` */
  readonly replicaLagMs?: number | undefined
  /** As that of a write. */
  readonly deadlineMs?: number | undefined
}

/** Options of {@link CacheView.set}. */
export interface SetOptions {
  /** How long it may be served, in milliseconds. @defaultValue the cache's own `ttlMs` */
  readonly ttlMs?: number | undefined
  /** Stores only if nothing has happened to the entry since the read that gave it. */
  readonly token?: ReadToken | undefined
  /**
   * What the entry bears. What they are is read now: a tag that has changed since the value was read from where it came
   * is not noticed, so prefer `getOrLoad`, which reads them before. With the `token` of a read that has found something,
   * what that bore is borne as well, and a change of it since is noticed. @defaultValue none
   */
  readonly tags?: readonly string[] | undefined
  /** How long Redis may take. @defaultValue what the port allows for a call */
  readonly deadlineMs?: number | undefined
}

/** Options of {@link CacheView.warm}. */
export interface WarmOptions {
  /** How many ids go to one call of the loader. @defaultValue `100` */
  readonly batchSize?: number | undefined
  /** How many calls of the loader at a time. @defaultValue `2` */
  readonly concurrency?: number | undefined
  /** How long what is loaded now may be served, in milliseconds. @defaultValue the cache's own `ttlMs` */
  readonly ttlMs?: number | undefined
  /**
   * What every one of the entries bears, as readers name it: an entry without a tag is not taken away by a change of that
   * tag, whatever a reader names. What is there already keeps what it bears. @defaultValue none
   */
  readonly tags?: readonly string[] | undefined
  /** Called after each batch with the sums so far. What it throws ends the warming. @defaultValue none */
  readonly onProgress?: ((progress: Warmed) => void) | undefined
  /** Ends it: no further batch is begun, and `warm` rejects with its reason. @defaultValue none */
  readonly signal?: AbortSignal | undefined
}

/** What has become of the ids so far. */
export interface Warmed {
  /** How many ids are dealt with, failed and present ones among them. */
  readonly done: number
  /** Those among them that could not be loaded, or not be stored since Redis did not answer. */
  readonly failed: number
  /** Those among them that were there already, or are being loaded elsewhere. */
  readonly present: number
}

/** A value, and where it came from. */
export interface CacheAnswer<T> {
  readonly value: T
  /** Whether this process held it, Redis had it, or a loader had to be called. */
  readonly source: 'local' | 'redis' | 'loader'
  /**
   * `hit`: read from Redis at once. `stale`: the same, past its time, while the next one is being loaded. `load`: loaded
   * by this call. `wait`: taken from a load that another caller or another process was running. `bypass`: loaded
   * without Redis, which did not answer in time.
   */
  readonly how: How
  /** The whole call, in milliseconds. */
  readonly durationMs: number
}

/** What {@link CacheView.read} finds. */
export type CacheRead<T> =
  | {
      readonly found: true
      readonly value: T
      readonly source: 'local' | 'redis'
      /** Since it was stored, by the server's clock. */
      readonly ageMs: number
      /** Older than its `ttlMs`: it is only there for as long as it takes to load the next one. */
      readonly stale: boolean
      readonly token: ReadToken
    }
  | {
      readonly found: false
      /** Where Redis did not answer, or a write is under way, one with which nothing is ever stored. */
      readonly token: ReadToken
    }
