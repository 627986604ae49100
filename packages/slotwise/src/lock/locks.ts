import { ConfigurationError } from '../errors.js'
import type { Id } from '../keys.js'
import { integer } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import type { Authority } from './authority.js'
import { CLOCKS, type Clocks } from './deadline.js'
import { type Lock, nameOf, whileHeld } from './lock.js'
import { acquiredAll, type LockSet } from './lock-set.js'
import { NestedLock } from './nested.js'
import { oneSlot, slotOptions } from './one-slot.js'
import type {
  AcquireOptions,
  Acquisition,
  LocksOptions,
  RedlockOptions,
  TryAcquireOptions,
} from './options.js'
import { Quorum } from './quorum.js'
import { Requests } from './requests.js'

/**
 * Locks, each in one slot of the cluster. **At most one holder's fenced writes take effect**: every holder gets a
 * token larger than all before it, which the resource compares. The handle knows when its time is over whether or
 * not Redis answers. Those who wait get it in the order in which they came.
 *
 * A server that was started or promoted may have forgotten locks, and gives none until those are over. Not guaranteed: that
 * nobody else believes to hold the lock while a primary that was paused or cut off, and replaced, has not learnt of it. The
 * token tells the two apart.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { Locks } from 'slotwise/lock'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const locks = new Locks(redis, { name: 'invoices', maxTtlMs: 5000 })
 * const total = await locks.using(['invoice', 42], { ttlMs: 5000, maxHoldMs: 60_000 }, async (lock) => {
 *   lock.assertHeld()
 *   return 17n + lock.token
 * })
 * console.log(total)
 * ```
 */
export class Locks {
  readonly #port: RedisPort
  readonly #options: LocksOptions
  readonly #clocks: Clocks
  readonly #authority: Authority
  #requests: Requests

  constructor(port: RedisPort, options: LocksOptions)
  /** @internal */
  constructor(port: RedisPort, options: LocksOptions, clocks: Clocks, authority?: Authority)
  constructor(port: RedisPort, options: LocksOptions, clocks: Clocks = CLOCKS, authority?: Authority) {
    this.#port = port
    this.#options = options
    this.#clocks = clocks
    this.#authority = authority ?? oneSlot(port, options, clocks, { pattern: 'lock' })
    this.#requests = new Requests(port, {
      ...options,
      pattern: 'lock',
      clocks,
      authority: this.#authority,
    })
  }

  /**
   * Locks that a majority of independent nodes gives: as long as fewer than half of them are away, hang or forget, they go on, and
   * nobody else gets the lock. The same handle and the same tokens. Each port is one node: a server of its own, without replicas
   * ideally, whose clock is right to half of `maxTtlMs`. Three or five; an even number bears no more failures than one less.
   *
   * Whoever waits asks again at random times: no order is promised. Servers that stop together, or clocks that jump, are not
   * survived: see the page on locks for what only a consensus store does.
   *
   * @throws ConfigurationError fewer than three nodes, one twice, or different namespaces. `ready` and the first lock refuse two
   *   ports to one process or one cluster
   *
   * @example
   * ```ts
   * import { connect } from 'slotwise/ioredis'
   * import { Locks } from 'slotwise/lock'
   *
   * const hosts = ['10.0.0.1:6379', '10.0.1.1:6379', '10.0.2.1:6379']
   * const ports = await Promise.all(hosts.map((host) => connect({ nodes: [host], mode: 'standalone' })))
   * const locks = Locks.redlock(ports, { name: 'payouts', maxTtlMs: 10_000 })
   * await locks.ready()
   * await locks.using('today', { ttlMs: 10_000 }, async (lock) => lock.assertHeld())
   * ```
   */
  static redlock(ports: readonly RedisPort[], options: RedlockOptions): Locks
  /** @internal */
  static redlock(ports: readonly RedisPort[], options: RedlockOptions, clocks: Clocks): Locks
  static redlock(ports: readonly RedisPort[], options: RedlockOptions, clocks: Clocks = CLOCKS): Locks {
    const { nodeTimeoutMs } = options
    const quorum = new Quorum(ports, clocks, {
      ...slotOptions(options, 'lock'),
      nodeTimeoutMs: nodeTimeoutMs === undefined ? undefined : integer('nodeTimeoutMs', nodeTimeoutMs),
    })
    // It only names the keys, which are the same everywhere.
    return new Locks(ports[0] as RedisPort, options, clocks, quorum)
  }

  /** The same locks for the resources of one tenant: a free view. */
  forTenant(tenant: string): Locks {
    const view = new Locks(this.#port, this.#options, this.#clocks, this.#authority)
    view.#requests = this.#requests.forTenant(tenant)
    return view
  }

  /**
   * Looks at what only the servers can tell: whether they may evict locks. Every operation does so first, and every minute.
   *
   * @throws ConfigurationError a primary may evict locks, or will not say
   */
  ready(): Promise<void> {
    return this.#requests.ready()
  }

  /**
   * Takes the lock, waiting up to `waitMs` for it.
   *
   * @throws LockBusyError if somebody else holds it until the end of the wait
   * @throws LockUnavailableError if Redis could not say, and what may have been taken is released in the background; or if
   *   its server may have forgotten locks for longer than the wait lasts, and says in `retryAfterMs` until when
   */
  async acquire(resource: Id, options: AcquireOptions): Promise<Lock> {
    const { within } = options
    // Awaited: a promise that is returned from here as it is costs three turns.
    return within === undefined
      ? await this.#requests.acquire(resource, options)
      : this.#nested(resource, within)
  }

  /** Takes the lock if nobody holds it and nobody waits for it, at once. */
  async tryAcquire(resource: Id, options: TryAcquireOptions): Promise<Acquisition> {
    const { within } = options
    if (within !== undefined) return { acquired: true, lock: this.#nested(resource, within) }
    return await this.#requests.tryAcquire(resource, options)
  }

  /**
   * Takes the locks of several resources, in an order of their own that is the same for everybody: who takes them so does not
   * wait in a circle. All or none.
   *
   * @throws LockBusyError one is held by somebody else until the end of the wait, which is one for all
   * @throws LockUnavailableError Redis could not say of one
   */
  async acquireAll(resources: readonly Id[], options: Omit<AcquireOptions, 'within'>): Promise<LockSet> {
    const waitMs = integer('waitMs', options.waitMs ?? 300, { min: 0 })
    if (resources.length === 0) throw new ConfigurationError('acquireAll needs a resource')
    const inOrder = [...new Map(resources.map((one) => [this.#requests.keyOf(one), one]))]
    inOrder.sort(([a], [b]) => (a < b ? -1 : 1))
    const until = this.#clocks.monotonicMs() + waitMs
    return acquiredAll(
      inOrder.map(([, resource]) => resource),
      (resource) => {
        const leftMs = Math.max(0, Math.ceil(until - this.#clocks.monotonicMs()))
        return this.acquire(resource, { ...options, waitMs: leftMs })
      },
    )
  }

  /**
   * Runs `body` while holding the lock, and releases it whatever happens.
   *
   * @throws LockLostError if the body succeeded, but the lock was over before it had ended
   */
  async using<R>(resource: Id, options: AcquireOptions, body: (lock: Lock) => Promise<R>): Promise<R> {
    return whileHeld(await this.acquire(resource, options), body)
  }

  /** Ends these locks: none can be acquired any more; those that are held stay so. The port stays open. Idempotent. */
  async close(): Promise<void> {
    await this.#requests.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #nested(resource: Id, outer: Lock): Lock {
    this.#requests.checkOpen()
    outer.assertHeld()
    if (outer.key !== this.#requests.keyOf(resource)) {
      throw new ConfigurationError(`within is a lock on ${outer.key}, not on ${nameOf(resource)}`)
    }
    return new NestedLock(outer)
  }
}
