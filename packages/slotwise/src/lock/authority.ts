import type { Key } from '../keys.js'
import type { CallOptions } from '../options.js'

/** What is asked for. */
export interface Ask {
  readonly key: Key
  /** Fresh and random for each acquisition. */
  readonly owner: string
  readonly ttlMs: number
  /** How long to stay in the line; 0 takes no place. */
  readonly waitMs: number
  /** What others are told of the holder; empty for nothing. */
  readonly holder: string
  /** How many of the permits, where a resource has several. */
  readonly shares: number
}

/** What a request for a lock is told. */
export type Answer =
  | { readonly kind: 'held'; readonly token: bigint; readonly remainingMs: number }
  | {
      readonly kind: 'busy'
      readonly remainingMs: number
      /** In the line, from 1 on; 0 for none. */
      readonly place: number
      readonly holder: string
    }
  /** Locks may have been forgotten: none is given for so long. */
  | { readonly kind: 'quarantined'; readonly remainingMs: number }
  /** The work that the lock is for has been done, and nobody needs it. */
  | { readonly kind: 'done'; readonly result: string }
  /** Others say that there are so many permits. */
  | { readonly kind: 'conflict'; readonly permits: number }

/** What the end of a lock, or its extension, is told. */
export type Verdict = 'done' | 'over' | 'not-ours'

/** What whoever was turned away knows. */
export interface Busy {
  /** When it asked, on the monotonic clock. */
  readonly askedAt: number
  readonly remainingMs: number
  readonly place: number
  /** How long it still waits. */
  readonly leftMs: number
  readonly signal: AbortSignal | undefined
}

/** Who gives locks: one slot of a cluster, or a majority of nodes. */
export interface Authority {
  /** Before the first lock, and now and then: what only the servers can tell. */
  ready(call?: CallOptions): Promise<void>
  /** Rejects when nobody could say; it may have been granted then, and whoever asked gives it back. */
  acquire(ask: Ask, options: CallOptions): Promise<Answer>
  /** Rejects when nobody could say. */
  extend(key: Key, owner: string, ttlMs: number, options: CallOptions): Promise<Verdict>
  /** Frees the lock, or its place in the line. Rejects when nobody could say. */
  release(key: Key, owner: string, deadlineMs: number): Promise<Verdict>
  /** Resolves when it is worth to ask again, rather early than late. */
  turn(ask: Ask, busy: Busy): Promise<void>
  /** What is held stays so. */
  close(): Promise<void>
}
