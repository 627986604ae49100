import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError, LockBusyError, LockUnavailableError } from '../errors.js'
import { type Id, type Key, type KeySpace, keyOf, plainName } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import { randomTag } from '../random.js'
import type { RedisPort } from '../redis/port.js'
import { type Events, publish } from '../telemetry.js'
import { Deadline } from './deadline.js'
import { HeldLock, type Keeper, type Lock, nameOf } from './lock.js'
import * as scripts from './scripts.js'

/** Settings of {@link Locks}. */
export interface LocksOptions {
  /** Part of every key: locks of one name exclude each other. */
  readonly name: string
  /** Longest time a lock may be asked for. @defaultValue `30000` */
  readonly maxTtlMs?: number | undefined
  /** Hears of locks that were lost while in use, and of releases that Redis did not confirm. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Options of {@link Locks.tryAcquire}. */
export interface TryAcquireOptions extends CallOptions {
  /** How long it is held unless extended, in milliseconds: longer than the work ever takes. */
  readonly ttlMs: number
}

/** Options of {@link Locks.acquire} and {@link Locks.using}. */
export interface AcquireOptions extends TryAcquireOptions {
  /** How long to wait for whoever holds it, in milliseconds. No order is promised. @defaultValue `300` */
  readonly waitMs?: number | undefined
}

/** What {@link Locks.tryAcquire} was told. */
export type Acquisition =
  | { readonly acquired: true; readonly lock: Lock }
  | { readonly acquired: false; readonly reason: 'busy'; readonly retryAfterMs: number }
  | { readonly acquired: false; readonly reason: 'unavailable'; readonly cause: unknown }

/** One request may take so long at most; its answer is worth less the later it comes. */
const LONGEST_REQUEST_MS = 1000
/** Bounds of the wait between two requests, with full jitter. */
const POLL_MS = { min: 5, max: 50 }

/**
 * Locks, each in one slot of the cluster. **At most one holder's fenced writes take effect**: every holder gets a
 * token larger than all before it, which the resource compares. The handle knows when its time is over whether or
 * not Redis answers.
 *
 * Not guaranteed: that nobody else believes to hold the lock after a failover of an asynchronous replica, which can
 * forget the last acquisitions. The token tells the two apart; a resource that does not compare tokens is
 * protected only as far as the primaries survive.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { Locks } from 'slotwise/lock'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const locks = new Locks(redis, { name: 'invoices' })
 * const total = await locks.using(['invoice', 42], { ttlMs: 5000 }, async (lock) => {
 *   lock.assertHeld()
 *   return 17n + lock.token
 * })
 * console.log(total)
 * ```
 */
export class Locks {
  readonly #port: RedisPort
  readonly #options: LocksOptions
  #space: KeySpace
  readonly #maxTtlMs: number
  /** Shared by all views, so that closing one closes the locks. */
  #life: { closed: boolean } = { closed: false }

  constructor(port: RedisPort, options: LocksOptions) {
    this.#port = port
    this.#options = options
    this.#space = { namespace: port.namespace, pattern: 'lock', name: plainName('name', options.name) }
    // A timer of Node counts to 2^31 - 1 ms.
    this.#maxTtlMs = integer('maxTtlMs', options.maxTtlMs ?? 30_000, { max: 2 ** 31 - 1 })
  }

  /** The same locks for the resources of one tenant: a free view. */
  forTenant(tenant: string): Locks {
    const view = new Locks(this.#port, this.#options)
    view.#space = { ...this.#space, tenant }
    view.#life = this.#life
    return view
  }

  /**
   * Takes the lock, waiting up to `waitMs` for it.
   *
   * @throws LockBusyError if somebody else holds it until the end of the wait
   * @throws LockUnavailableError if Redis could not say; what may have been taken is released in the background
   */
  async acquire(resource: Id, options: AcquireOptions): Promise<Lock> {
    const waitMs = integer('waitMs', options.waitMs ?? 300, { min: 0 })
    const until = performance.now() + waitMs
    for (let round = 0; ; round++) {
      const outcome = await this.tryAcquire(resource, options)
      if (outcome.acquired) return outcome.lock
      if (outcome.reason === 'unavailable') throw new LockUnavailableError(nameOf(resource), outcome)
      const leftMs = until - performance.now()
      if (leftMs <= 0) throw new LockBusyError(nameOf(resource), outcome.retryAfterMs)
      const step = Math.min(POLL_MS.max, POLL_MS.min * 2 ** Math.min(round, 10))
      const pause = Math.min(leftMs, outcome.retryAfterMs, Math.random() * step)
      // An aborted sleep is told by the signal's own reason, at the next request.
      await sleep(Math.ceil(pause), undefined, { ...(options.signal && { signal: options.signal }) }).catch(
        () => {},
      )
    }
  }

  /** Takes the lock if nobody holds it, at once. */
  async tryAcquire(resource: Id, { ttlMs, signal, deadlineMs }: TryAcquireOptions): Promise<Acquisition> {
    if (this.#life.closed) throw new ClosedError('these locks have been closed')
    signal?.throwIfAborted()
    const ttl = this.#checkedTtl(ttlMs)
    const key = keyOf(this.#space, resource)
    const owner = randomTag(16).toString('base64url')
    const startedAt = performance.now()
    const counted = Deadline.starting()
    try {
      const grant = await scripts.acquire.run(
        this.#port,
        { lock: key },
        { owner, ttl_ms: ttl, retain_ms: scripts.RETAIN_MS },
        { signal, deadlineMs: Math.min(deadlineMs ?? LONGEST_REQUEST_MS, LONGEST_REQUEST_MS, ttl) },
      )
      if (!grant.held) {
        this.#publish(resource, 'busy', startedAt)
        return { acquired: false, reason: 'busy', retryAfterMs: grant.remainingMs }
      }
      const deadline = counted(ttl)
      if (deadline.remainingMs() === 0) throw new Error('the answer came when the lock was over already')
      this.#publish(resource, 'acquired', startedAt)
      return {
        acquired: true,
        lock: new HeldLock(resource, key, grant.token, ttl, deadline, this.#keeper(resource, key, owner)),
      }
    } catch (cause) {
      // It may have been granted, and nobody would release it until its time is over.
      void this.#releaseUntil(key, owner, ttl)
      signal?.throwIfAborted()
      this.#publish(resource, 'unavailable', startedAt)
      return { acquired: false, reason: 'unavailable', cause }
    }
  }

  /**
   * Runs `body` while holding the lock, and releases it whatever happens.
   *
   * @throws LockLostError if the body succeeded, but the lock was over before it had ended
   */
  async using<R>(resource: Id, options: AcquireOptions, body: (lock: Lock) => Promise<R>): Promise<R> {
    const lock = await this.acquire(resource, options)
    try {
      const result = await body(lock)
      lock.assertHeld()
      return result
    } finally {
      await lock.release()
    }
  }

  /** Ends these locks: none can be acquired any more; those that are held stay so. The port stays open. Idempotent. */
  close(): Promise<void> {
    this.#life.closed = true
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #checkedTtl(ttlMs: number): number {
    // Below 10 ms nothing would be left of it after the allowance for clocks.
    return integer('ttlMs', ttlMs, { min: 10, max: this.#maxTtlMs })
  }

  #keeper(resource: Id, key: Key, owner: string): Keeper {
    return {
      checkedTtl: (ttlMs) => this.#checkedTtl(ttlMs),
      countFrom: () => Deadline.starting(),
      extend: async (ttl, options) => {
        const startedAt = performance.now()
        const args = { owner, ttl_ms: ttl, retain_ms: scripts.RETAIN_MS }
        const verdict = await scripts.extend.run(this.#port, { lock: key }, args, options)
        if (verdict === 'done') this.#publish(resource, 'extended', startedAt)
        return verdict
      },
      release: async (untilMs) => {
        const startedAt = performance.now()
        const freed = await this.#releaseUntil(key, owner, untilMs)
        if (freed) this.#publish(resource, 'released', startedAt)
        return freed
      },
      lost: () => {
        this.#publish(resource, 'lost', performance.now())
      },
      report: (error) => this.#options.onError?.(error),
    }
  }

  /** Never rejects. The caller waits for the first try only, the others run until the lock is over by itself. */
  async #releaseUntil(key: Key, owner: string, untilMs: number): Promise<boolean> {
    const first = Math.min(LONGEST_REQUEST_MS, Math.max(untilMs, 100))
    try {
      return (
        (await scripts.release.run(this.#port, { lock: key }, { owner }, { deadlineMs: first })) === 'done'
      )
    } catch (error) {
      if (untilMs > first) void this.#releaseLater(key, owner, Math.ceil(untilMs - first))
      else this.#options.onError?.(error)
      return false
    }
  }

  async #releaseLater(key: Key, owner: string, deadlineMs: number): Promise<void> {
    try {
      await scripts.release.run(this.#port, { lock: key }, { owner }, { deadlineMs })
    } catch (error) {
      this.#options.onError?.(error)
    }
  }

  #publish(resource: Id, kind: Events['slotwise:lock']['kind'], startedAt: number): void {
    const { name } = this.#space
    publish('slotwise:lock', () => ({
      name,
      resource: nameOf(resource),
      kind,
      durationMs: performance.now() - startedAt,
    }))
  }
}
