import { ClosedError, ConfigurationError, LockBusyError, LockUnavailableError } from '../errors.js'
import { type Id, type Key, type KeySpace, keyOf, plainName } from '../keys.js'
import { type CallOptions, integer, oneOf, shown } from '../options.js'
import { randomTag } from '../random.js'
import type { RedisPort } from '../redis/port.js'
import { type Events, publish } from '../telemetry.js'
import type { Answer, Ask, Authority } from './authority.js'
import { CLOCKS, type Clocks, Deadline } from './deadline.js'
import { HeldLock, type Keeper, type Lock, nameOf } from './lock.js'
import { acquiredAll, type LockSet } from './lock-set.js'
import { NestedLock } from './nested.js'
import { OneSlot, type OneSlotOptions } from './one-slot.js'
import {
  type AcquireOptions,
  type Acquisition,
  checkedHolder,
  type LocksOptions,
  type TryAcquireOptions,
} from './options.js'

/** One request may take so long at most; its answer is worth less the later it comes. */
const LONGEST_REQUEST_MS = 1000

/** What a request came to. */
type Outcome =
  | Exclude<Answer, { kind: 'held' }>
  | { readonly kind: 'acquired'; readonly lock: Lock }
  | { readonly kind: 'unavailable'; readonly cause: unknown }

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
  readonly #maxTtlMs: number
  readonly #holder: string
  #space: KeySpace
  /** Shared by all views, so that closing one closes the locks. */
  #life: { closed: boolean } = { closed: false }

  constructor(port: RedisPort, options: LocksOptions)
  /** @internal */
  constructor(port: RedisPort, options: LocksOptions, clocks: Clocks, authority?: Authority)
  constructor(port: RedisPort, options: LocksOptions, clocks: Clocks = CLOCKS, authority?: Authority) {
    const name = plainName('name', options.name)
    this.#port = port
    this.#options = options
    this.#clocks = clocks
    this.#space = { namespace: port.namespace, pattern: 'lock', name }
    // A timer of Node counts to 2^31 - 1 ms.
    this.#maxTtlMs = integer('maxTtlMs', options.maxTtlMs ?? 30_000, { min: 10, max: 2 ** 31 - 1 })
    this.#holder = checkedHolder(options.holder)
    this.#authority = authority ?? new OneSlot(port, clocks, checkedOptions(name, this.#maxTtlMs, options))
  }

  /** The same locks for the resources of one tenant: a free view. */
  forTenant(tenant: string): Locks {
    const view = new Locks(this.#port, this.#options, this.#clocks, this.#authority)
    view.#space = { ...this.#space, tenant }
    view.#life = this.#life
    return view
  }

  /**
   * Looks at what only the servers can tell: whether they may evict locks. Every operation does so first, and every minute.
   *
   * @throws ConfigurationError a primary may evict locks, or will not say
   */
  ready(): Promise<void> {
    return this.#authority.ready()
  }

  /**
   * Takes the lock, waiting up to `waitMs` for it.
   *
   * @throws LockBusyError if somebody else holds it until the end of the wait
   * @throws LockUnavailableError if Redis could not say, and what may have been taken is released in the background; or if
   *   its server may have forgotten locks for longer than the wait lasts, and says in `retryAfterMs` until when
   */
  async acquire(resource: Id, options: AcquireOptions): Promise<Lock> {
    if (options.within !== undefined) return this.#nested(resource, options.within)
    const startedAt = this.#clocks.monotonicMs()
    const told = (outcome: Events['slotwise:lock:wait']['outcome']) => {
      const waitedMs = this.#clocks.monotonicMs() - startedAt
      publish('slotwise:lock:wait', () => ({
        name: this.#space.name,
        resource: nameOf(resource),
        outcome,
        waitedMs,
      }))
    }
    try {
      const lock = await this.#acquire(resource, options)
      told('acquired')
      return lock
    } catch (error) {
      if (options.signal?.aborted === true) told('aborted')
      else if (error instanceof LockBusyError) told('busy')
      else if (error instanceof LockUnavailableError)
        told(error.retryAfterMs === undefined ? 'unavailable' : 'quarantined')
      throw error
    }
  }

  async #acquire(resource: Id, options: AcquireOptions): Promise<Lock> {
    const waitMs = integer('waitMs', options.waitMs ?? 300, { min: 0 })
    const { signal } = options
    const ask = this.#ask(resource, options)
    const until = this.#clocks.monotonicMs() + waitMs
    let isInLine = false
    const given = (error: unknown) => {
      if (isInLine) void this.#releaseUntil(ask.key, ask.owner, LONGEST_REQUEST_MS)
      return error
    }
    for (;;) {
      const askedAt = this.#clocks.monotonicMs()
      const waiting = { ...ask, waitMs: Math.max(0, Math.ceil(until - askedAt)) }
      const outcome = await this.#try(resource, waiting, options)
      if (outcome.kind === 'acquired') return outcome.lock
      if (outcome.kind === 'unavailable') throw unavailable(resource, outcome.cause)
      const { remainingMs } = outcome
      const leftMs = until - this.#clocks.monotonicMs()
      if (outcome.kind === 'quarantined') {
        if (remainingMs > leftMs)
          throw given(new LockUnavailableError(nameOf(resource), { retryAfterMs: remainingMs }))
        await this.#pause(remainingMs, signal)
      } else {
        const { place, holder } = outcome
        isInLine ||= place > 0
        if (leftMs <= 0) throw given(new LockBusyError(nameOf(resource), remainingMs, holder || undefined))
        await this.#authority.turn(ask, { askedAt, remainingMs, place, leftMs, signal })
      }
      if (signal?.aborted === true) throw given(signal.reason)
    }
  }

  /** Takes the lock if nobody holds it and nobody waits for it, at once. */
  async tryAcquire(resource: Id, options: TryAcquireOptions): Promise<Acquisition> {
    if (options.within !== undefined) return { acquired: true, lock: this.#nested(resource, options.within) }
    const outcome = await this.#try(resource, this.#ask(resource, options), options)
    if (outcome.kind === 'acquired') return { acquired: true, lock: outcome.lock }
    if (outcome.kind === 'unavailable')
      return { acquired: false, reason: 'unavailable', cause: outcome.cause }
    const retryAfterMs = outcome.remainingMs
    if (outcome.kind === 'quarantined') return { acquired: false, reason: 'quarantined', retryAfterMs }
    return { acquired: false, reason: 'busy', retryAfterMs, holder: outcome.holder || undefined }
  }

  /**
   * Takes the locks of several resources, in an order of their own that is the same for everybody: who takes them so does not
   * wait in a circle. All or none.
   *
   * @throws LockBusyError one is held by somebody else until the end of the wait, which is one for all
   * @throws LockUnavailableError Redis could not say of one
   */
  acquireAll(resources: readonly Id[], options: Omit<AcquireOptions, 'within'>): Promise<LockSet> {
    const waitMs = integer('waitMs', options.waitMs ?? 300, { min: 0 })
    const inOrder = [...new Map(resources.map((one) => [keyOf(this.#space, one), one]))]
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
  async close(): Promise<void> {
    this.#life.closed = true
    await this.#authority.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #nested(resource: Id, outer: Lock): Lock {
    this.#checkOpen()
    outer.assertHeld()
    if (outer.key !== keyOf(this.#space, resource)) {
      throw new ConfigurationError(`within is a lock on ${outer.key}, not on ${nameOf(resource)}`)
    }
    return new NestedLock(outer)
  }

  #ask(resource: Id, { ttlMs, maxHoldMs, holder }: TryAcquireOptions): Ask & Holding {
    this.#checkOpen()
    return {
      key: keyOf(this.#space, resource),
      owner: randomTag(16).toString('base64url'),
      ttlMs: this.#checkedTtl(ttlMs),
      maxHoldMs: maxHoldMs === undefined ? undefined : integer('maxHoldMs', maxHoldMs),
      waitMs: 0,
      holder: holder === undefined ? this.#holder : checkedHolder(holder),
    }
  }

  #checkOpen(): void {
    if (this.#life.closed) throw new ClosedError('these locks have been closed')
  }

  /** One request. Whatever it may have got without being told so is given back. */
  async #try(resource: Id, ask: Ask & Holding, { signal, deadlineMs }: CallOptions): Promise<Outcome> {
    signal?.throwIfAborted()
    const { key, owner, ttlMs } = ask
    await this.ready()
    this.#checkOpen()
    const startedAt = this.#clocks.monotonicMs()
    const counted = Deadline.starting(this.#clocks)
    try {
      const answer = await this.#authority.acquire(ask, {
        signal,
        deadlineMs: Math.min(deadlineMs ?? LONGEST_REQUEST_MS, LONGEST_REQUEST_MS, ttlMs),
      })
      if (answer.kind !== 'held') {
        const place = answer.kind === 'busy' && answer.place > 0 ? answer.place : undefined
        this.#publish(resource, answer.kind, startedAt, { place })
        return answer
      }
      const deadline = counted(Math.min(ttlMs, answer.remainingMs))
      if (deadline.remainingMs() === 0) throw new Error('the answer came when the lock was over already')
      this.#publish(resource, 'acquired', startedAt)
      const grant = { ...ask, resource, token: answer.token, deadline }
      return { kind: 'acquired', lock: new HeldLock(grant, this.#keeper(resource, key, owner)) }
    } catch (cause) {
      // It may have been granted, and nobody would release it until its time is over.
      void this.#releaseUntil(key, owner, ttlMs)
      signal?.throwIfAborted()
      this.#publish(resource, 'unavailable', startedAt)
      return { kind: 'unavailable', cause }
    }
  }

  #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clocks.after(Math.ceil(ms), wake)
      function wake(): void {
        cancel()
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      signal?.addEventListener('abort', wake, { once: true })
    })
  }

  #checkedTtl(ttlMs: number): number {
    // Below 10 ms nothing would be left of it after the allowance for clocks.
    return integer('ttlMs', ttlMs, { min: 10, max: this.#maxTtlMs })
  }

  #keeper(resource: Id, key: Key, owner: string): Keeper {
    const heldSince = this.#clocks.monotonicMs()
    let isOver = false
    const end = (kind: 'released' | 'lost', startedAt: number, reason?: 'expired' | 'taken') => {
      // A lock that was lost here may still be released there.
      const heldMs = isOver ? undefined : this.#clocks.monotonicMs() - heldSince
      isOver = true
      this.#publish(resource, kind, startedAt, { heldMs, reason })
    }
    return {
      clocks: this.#clocks,
      checkedTtl: (ttlMs) => this.#checkedTtl(ttlMs),
      countFrom: () => Deadline.starting(this.#clocks),
      extend: async (ttlMs, options) => {
        const startedAt = this.#clocks.monotonicMs()
        const verdict = await this.#authority.extend(key, owner, ttlMs, options)
        if (verdict === 'done') this.#publish(resource, 'extended', startedAt)
        return verdict
      },
      release: async (untilMs) => {
        const startedAt = this.#clocks.monotonicMs()
        const freed = await this.#releaseUntil(key, owner, untilMs)
        if (freed) end('released', startedAt)
        return freed
      },
      lost: (reason) => {
        end('lost', this.#clocks.monotonicMs(), reason)
      },
      report: (error) => this.#options.onError?.(error),
    }
  }

  /** Never rejects. The caller waits for the first try only, the others run until the lock is over by itself. */
  async #releaseUntil(key: Key, owner: string, untilMs: number): Promise<boolean> {
    const first = Math.ceil(Math.min(LONGEST_REQUEST_MS, Math.max(untilMs, 100)))
    try {
      return (await this.#authority.release(key, owner, first)) === 'done'
    } catch (error) {
      if (untilMs > first) void this.#releaseLater(key, owner, Math.ceil(untilMs - first))
      else this.#options.onError?.(error)
      return false
    }
  }

  async #releaseLater(key: Key, owner: string, deadlineMs: number): Promise<void> {
    try {
      await this.#authority.release(key, owner, deadlineMs)
    } catch (error) {
      this.#options.onError?.(error)
    }
  }

  #publish(
    resource: Id,
    kind: Events['slotwise:lock']['kind'],
    startedAt: number,
    more: Partial<Pick<Events['slotwise:lock'], 'place' | 'heldMs' | 'reason'>> = {},
  ): void {
    const { name } = this.#space
    publish('slotwise:lock', () => ({
      name,
      resource: nameOf(resource),
      kind,
      durationMs: this.#clocks.monotonicMs() - startedAt,
      place: undefined,
      heldMs: undefined,
      reason: undefined,
      ...more,
    }))
  }
}

interface Holding {
  readonly maxHoldMs: number | undefined
}

function checkedOptions(name: string, maxTtlMs: number, options: LocksOptions): OneSlotOptions {
  const { quarantine = true, evictionCheck = 'refuse' } = options
  if (typeof quarantine !== 'boolean')
    throw new ConfigurationError(`quarantine must be true or false, got ${shown(quarantine)}`)
  return {
    name,
    maxTtlMs,
    quarantine,
    evictionCheck: oneOf('evictionCheck', evictionCheck, ['refuse', 'warn', 'off']),
    report: (error) => options.onError?.(error),
  }
}

function unavailable(resource: Id, cause: unknown): Error {
  return cause instanceof LockUnavailableError ? cause : new LockUnavailableError(nameOf(resource), { cause })
}
