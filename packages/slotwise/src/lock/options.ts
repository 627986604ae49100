import { ConfigurationError } from '../errors.js'
import { type CallOptions, shown } from '../options.js'
import type { EvictionCheck } from '../redis/eviction.js'
import type { Lock } from './lock.js'

/** Settings of all kinds of locks. */
export interface CommonLocksOptions {
  /** Part of every key: locks of one name exclude each other. */
  readonly name: string
  /**
   * Longest time a lock may be asked for, and be held without being extended. A server that may have forgotten locks gives
   * none for so long: shorter is better. Among processes that set different ones the largest counts, once each has looked,
   * which it does every minute: raise it everywhere a minute before you ask for more. @defaultValue `30000`
   */
  readonly maxTtlMs?: number | undefined
  /** What others are told of the holder, up to 128 characters: a host, a job. @defaultValue nothing */
  readonly holder?: string | undefined
  /** Hears of locks that were lost while in use, and of releases that Redis did not confirm. What it throws is ignored. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Settings of {@link Locks}. */
export interface LocksOptions extends CommonLocksOptions {
  /**
   * Whether a server that was started or promoted, or a slot that moved by other hands than ours, gives no locks until all that
   * it may have forgotten are over: one outage of the longest `maxTtlMs`. Without it two may believe to hold the same lock then,
   * and only the token tells them apart: for holders whose every effect is fenced. It takes the right to `INFO`.
   * @defaultValue `true`
   */
  readonly quarantine?: boolean | undefined
  /** What to do about primaries that may evict locks; `'off'` for users without the right to CONFIG. @defaultValue `'refuse'` */
  readonly evictionCheck?: EvictionCheck | undefined
}

/** Settings of {@link Locks.redlock}. */
export interface RedlockOptions extends LocksOptions {
  /**
   * How long a node has for its answer to a request, in milliseconds. Whoever is later has no vote; the lock is decided without
   * it as soon as it can be. More is needed where nodes are far away: it is lost from the lock's time where the majority is slow.
   * @defaultValue a twentieth of `ttlMs`, from 10 to 50
   */
  readonly nodeTimeoutMs?: number | undefined
}

/** Options of {@link Locks.tryAcquire}. */
export interface TryAcquireOptions extends CallOptions {
  /** How long it is held unless extended, in milliseconds. */
  readonly ttlMs: number
  /**
   * Extends itself at a third of `ttlMs`, until it is released or was held for so long. A process that dies holds the lock
   * for `ttlMs` at most; one that hangs, up to its deadline. No less than `ttlMs`. @defaultValue it does not extend itself
   */
  readonly maxHoldMs?: number | undefined
  /**
   * A lock on the same resource that the caller was handed: it is held by both then, and free when the outer one is released.
   * Only its key is compared, so one of another Redis would pass for it.
   * @defaultValue none: a lock is not re-entrant by itself
   */
  readonly within?: Lock | undefined
  /** What others are told of the holder. @defaultValue that of the locks */
  readonly holder?: string | undefined
}

/** Options of {@link Locks.acquire} and {@link Locks.using}. */
export interface AcquireOptions extends TryAcquireOptions {
  /**
   * How long to wait for whoever holds it, in milliseconds. Locks of one slot are given to those who wait in the order in which
   * they came. @defaultValue `300`
   */
  readonly waitMs?: number | undefined
}

/** Options of {@link Semaphore.tryAcquire}, {@link ReadWriteLock.tryRead} and {@link ReadWriteLock.tryWrite}. */
export type TryShareOptions = Omit<TryAcquireOptions, 'within'>

/** Options of {@link Semaphore.acquire}, {@link ReadWriteLock.read} and {@link ReadWriteLock.write}. */
export type ShareOptions = Omit<AcquireOptions, 'within'>

/** What {@link Locks.tryAcquire} was told. */
export type Acquisition =
  | { readonly acquired: true; readonly lock: Lock }
  | {
      readonly acquired: false
      readonly reason: 'busy'
      readonly retryAfterMs: number
      readonly holder: string | undefined
    }
  /** The server may have forgotten locks: none is given for so long. */
  | { readonly acquired: false; readonly reason: 'quarantined'; readonly retryAfterMs: number }
  | { readonly acquired: false; readonly reason: 'unavailable'; readonly cause: unknown }

/** What a holder says of itself; empty for nothing. */
export function checkedHolder(holder: unknown = ''): string {
  if (typeof holder === 'string' && holder.length <= 128) return holder
  throw new ConfigurationError(`holder must be text of up to 128 characters, got ${shown(holder)}`)
}

/** What tells `onError`. A listener that throws must not end what it listens to. */
export function reporter({ onError }: Pick<CommonLocksOptions, 'onError'>): (error: unknown) => void {
  return (error) => {
    try {
      onError?.(error)
    } catch {
      // It was told.
    }
  }
}
