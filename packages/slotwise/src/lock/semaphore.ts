import type { Id } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { CLOCKS, type Clocks } from './deadline.js'
import { type Lock, whileHeld } from './lock.js'
import { oneSlot } from './one-slot.js'
import type { Acquisition, LocksOptions, ShareOptions, TryShareOptions } from './options.js'
import { Requests } from './requests.js'
import * as scripts from './scripts.js'

/** Settings of {@link Semaphore}. */
export interface SemaphoreOptions extends LocksOptions {
  /**
   * How many may hold a resource at a time, up to 1000. The first to use a resource says so for all: who comes with another
   * number while it is in use is refused with a `ConfigurationError`, until {@link Semaphore.resize} was called or nobody
   * uses it.
   */
  readonly permits: number
}

/**
 * Lets a stated number hold a resource at a time. **Never more than `permits` hold one, by the server's clock**, and a permit whose
 * holder died comes back when its time is over, by itself: nothing is counted that could be left wrong. Those who wait get one in the order
 * in which they came.
 *
 * Every permit is a handle as one of {@link Locks}, with its own deadline, `signal`, extension, and a token larger than that of
 * every permit given out before it. What a failover may forget is kept apart by a quarantine as with locks.
 *
 * Not guaranteed: that no more than `permits` are *at work*: who stalls until its time is over may go on when it wakes up. To
 * bound how many requests are served a second, or how many calls are under way without a line, see `slotwise/ratelimit`.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { Semaphore } from 'slotwise/lock'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const exports = new Semaphore(redis, { name: 'exports', permits: 3, maxTtlMs: 10_000 })
 * await exports.using('pdf', { ttlMs: 10_000, maxHoldMs: 60_000, waitMs: 5000 }, async ({ signal }) => {
 *   console.log(signal.aborted)
 * })
 * ```
 */
export class Semaphore {
  readonly #port: RedisPort
  readonly #options: SemaphoreOptions
  readonly #permits: number
  readonly #requests: Requests

  constructor(port: RedisPort, options: SemaphoreOptions)
  /** @internal */
  constructor(port: RedisPort, options: SemaphoreOptions, clocks: Clocks, requests?: Requests)
  constructor(port: RedisPort, options: SemaphoreOptions, clocks: Clocks = CLOCKS, requests?: Requests) {
    this.#port = port
    this.#options = options
    this.#permits = integer('permits', options.permits, { max: 1000 })
    const made = () => ({
      pattern: 'semaphore',
      clocks,
      authority: oneSlot(port, options, clocks, { pattern: 'semaphore', permits: this.#permits }),
    })
    this.#requests = requests ?? new Requests(port, { ...options, ...made() })
  }

  /** The same for the resources of one tenant: a free view. */
  forTenant(tenant: string): Semaphore {
    return new Semaphore(this.#port, this.#options, CLOCKS, this.#requests.forTenant(tenant))
  }

  /** As {@link Locks.ready}. @throws ConfigurationError a primary may evict locks, or will not say */
  ready(): Promise<void> {
    return this.#requests.ready()
  }

  /**
   * Takes a permit, waiting up to `waitMs` for it.
   *
   * @throws LockBusyError all are taken until the end of the wait; `retryAfterMs` is when the first comes back if nobody extends
   * @throws LockUnavailableError Redis could not say, or may have forgotten who holds some
   * @throws ConfigurationError the resource is in use with another number of permits
   */
  async acquire(resource: Id, options: ShareOptions): Promise<Lock> {
    return this.#requests.acquire(resource, options)
  }

  /**
   * Takes a permit if there is one and nobody waits for it, at once.
   *
   * @throws ConfigurationError the resource is in use with another number of permits
   */
  async tryAcquire(resource: Id, options: TryShareOptions): Promise<Acquisition> {
    return this.#requests.tryAcquire(resource, options)
  }

  /**
   * Runs `body` while holding a permit, and releases it whatever happens.
   *
   * @throws LockLostError if the body succeeded, but the time was over before it had ended
   */
  async using<R>(resource: Id, options: ShareOptions, body: (permit: Lock) => Promise<R>): Promise<R> {
    return whileHeld(await this.acquire(resource, options), body)
  }

  /**
   * Gives a resource that is in use with another number the one of this semaphore. Raised, those who wait get in at once;
   * lowered, nobody loses a permit, and none is given until fewer are held. Processes that come with the former number are
   * refused from then on.
   *
   * @returns whether it was in use; else the next to use it says how many there are
   * @throws RedisUnavailableError Redis does not answer
   */
  async resize(resource: Id, options: CallOptions = {}): Promise<boolean> {
    this.#requests.checkOpen()
    const lock = this.#requests.keyOf(resource)
    const changed = await scripts.resizePermits.run(this.#port, { lock }, { permits: this.#permits }, options)
    return changed === 1
  }

  /** Ends it: no permit can be acquired any more; those that are held stay so. The port stays open. Idempotent. */
  close(): Promise<void> {
    return this.#requests.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
