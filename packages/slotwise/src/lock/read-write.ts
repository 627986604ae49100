import type { Id } from '../keys.js'
import type { RedisPort } from '../redis/port.js'
import { CLOCKS, type Clocks } from './deadline.js'
import { type Lock, whileHeld } from './lock.js'
import { oneSlot } from './one-slot.js'
import type { Acquisition, LocksOptions, ShareOptions, TryShareOptions } from './options.js'
import { Requests } from './requests.js'

/** So many read a resource at a time; who writes takes the places of all. The record of a resource grows with them. */
const READERS = 1000

/**
 * Locks that many may hold to read, up to 1000 at a time, and one to write. **No writer holds a resource while anybody else does.** Those who wait
 * get it in the order in which they came: **a writer that waits is not passed by readers who come later**, so it waits for those
 * who were there before it, and no longer than they may hold it.
 *
 * Every handle is as one of {@link Locks}: with its own deadline, `signal` and extension, and a token of one order for readers
 * and writers. A resource that refuses writes below the largest token it has seen, those of reads included, is not written by
 * a writer whose time was over when somebody read. What a failover may forget is kept apart by a quarantine as with locks.
 *
 * Not guaranteed: that a reader who holds it may ask for it again, or to write, while it reads: with a writer in the line both
 * wait for each other until `waitMs` is over. Release first.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { ReadWriteLock } from 'slotwise/lock'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const lock = new ReadWriteLock(redis, { name: 'catalogue', maxTtlMs: 5000 })
 * await lock.usingRead('prices', { ttlMs: 2000 }, async ({ signal }) => console.log(signal.aborted))
 * await lock.usingWrite('prices', { ttlMs: 5000, waitMs: 3000 }, async ({ token }) => console.log(token))
 * ```
 */
export class ReadWriteLock {
  readonly #port: RedisPort
  readonly #options: LocksOptions
  readonly #requests: Requests

  constructor(port: RedisPort, options: LocksOptions)
  /** @internal */
  constructor(port: RedisPort, options: LocksOptions, clocks: Clocks, requests?: Requests)
  constructor(port: RedisPort, options: LocksOptions, clocks: Clocks = CLOCKS, requests?: Requests) {
    this.#port = port
    this.#options = options
    const made = () => ({
      pattern: 'rwlock',
      clocks,
      authority: oneSlot(port, options, clocks, { pattern: 'rwlock', permits: READERS }),
    })
    this.#requests = requests ?? new Requests(port, { ...options, ...made() })
  }

  /** The same locks for the resources of one tenant: a free view. */
  forTenant(tenant: string): ReadWriteLock {
    return new ReadWriteLock(this.#port, this.#options, CLOCKS, this.#requests.forTenant(tenant))
  }

  /** As {@link Locks.ready}. @throws ConfigurationError a primary may evict locks, or will not say */
  ready(): Promise<void> {
    return this.#requests.ready()
  }

  /**
   * Takes it to read, beside others who read, waiting up to `waitMs`.
   *
   * @throws LockBusyError somebody writes, or waits to, until the end of the wait
   * @throws LockUnavailableError Redis could not say, or may have forgotten who holds it
   */
  async read(resource: Id, options: ShareOptions): Promise<Lock> {
    return this.#requests.acquire(resource, options)
  }

  /**
   * Takes it to write, alone, waiting up to `waitMs`.
   *
   * @throws LockBusyError somebody else reads or writes until the end of the wait
   * @throws LockUnavailableError Redis could not say, or may have forgotten who holds it
   */
  async write(resource: Id, options: ShareOptions): Promise<Lock> {
    return this.#requests.acquire(resource, { ...options, shares: READERS })
  }

  /** Takes it to read if nobody writes or waits, at once. */
  async tryRead(resource: Id, options: TryShareOptions): Promise<Acquisition> {
    return this.#requests.tryAcquire(resource, options)
  }

  /** Takes it to write if nobody else has it or waits, at once. */
  async tryWrite(resource: Id, options: TryShareOptions): Promise<Acquisition> {
    return this.#requests.tryAcquire(resource, { ...options, shares: READERS })
  }

  /**
   * Runs `body` while reading, and releases whatever happens.
   *
   * @throws LockLostError if the body succeeded, but the lock was over before it had ended
   */
  async usingRead<R>(resource: Id, options: ShareOptions, body: (lock: Lock) => Promise<R>): Promise<R> {
    return whileHeld(await this.read(resource, options), body)
  }

  /**
   * Runs `body` while writing, and releases whatever happens.
   *
   * @throws LockLostError if the body succeeded, but the lock was over before it had ended
   */
  async usingWrite<R>(resource: Id, options: ShareOptions, body: (lock: Lock) => Promise<R>): Promise<R> {
    return whileHeld(await this.write(resource, options), body)
  }

  /** Ends these locks: none can be acquired any more; those that are held stay so. The port stays open. Idempotent. */
  close(): Promise<void> {
    return this.#requests.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
