import { LockLostError } from '../errors.js'
import type { Id, Key } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { Verdict } from './authority.js'
import type { Clocks } from './deadline.js'

/**
 * A lock that is held, until its deadline, its release or its loss. `await using` releases it.
 *
 * The handle is always right about its own deadline, whether or not Redis answers. A loss before that, by a
 * failover that forgot the lock, is noticed at the next extension; what happens in between is what
 * {@link Lock.token} is for: let the resource refuse tokens below the largest it has seen.
 */
export interface Lock extends AsyncDisposable {
  readonly resource: Id
  /** What it is filed under in Redis: namespace, name, tenant and resource. A fence in a database goes by it too. */
  readonly key: string
  /** Larger than the token of every earlier holder. */
  readonly token: bigint
  /** Aborts with {@link LockLostError} within 10 ms of the deadline while the event loop runs, or on a loss. */
  readonly signal: AbortSignal
  /** How long it is still held unless it is extended, in milliseconds; 0 from the deadline on. */
  remainingMs(): number
  /** @throws LockLostError if it is not held any more */
  assertHeld(): void
  /**
   * Counts the time anew from now on, where it does not last for longer anyway. Never brings back a lock whose time is over.
   *
   * @param ttlMs as much as it was acquired with, unless told
   * @throws LockLostError if it is not held any more
   * @throws RedisUnavailableError if Redis does not answer; the lock stays held until its deadline
   */
  extend(ttlMs?: number, options?: CallOptions): Promise<void>
  /**
   * Frees it. Idempotent, and never rejects: without an answer it goes on trying in the background until the time
   * is over anyway. Resolves with whether the lock was held until now.
   */
  release(): Promise<boolean>
}

/** What a {@link HeldLock} asks of whoever made it: one for all locks. */
export interface Keeper {
  readonly clocks: Clocks
  /** Asks for more time; resolves with what was said, and rejects when nothing was. */
  extend(grant: Grant, ttlMs: number, options: CallOptions): Promise<Verdict>
  release(grant: Grant, untilMs: number): Promise<boolean>
  checkedTtl(ttlMs: number): number
  countFrom(): (ttlMs: number) => { remainingMs(): number }
  lost(grant: Grant, reason: 'expired' | 'taken'): void
  /** Reports a loss that nobody else hears of. */
  report(error: unknown): void
}

/** What a {@link HeldLock} is made of. */
export interface Grant {
  readonly resource: Id
  readonly key: Key
  readonly owner: string
  readonly token: bigint
  readonly ttlMs: number
  /** How long it extends itself at most, from its acquisition on; `undefined` for not at all. */
  readonly maxHoldMs: number | undefined
  readonly deadline: { remainingMs(): number }
  /** On the monotonic clock; nothing once its end was told. */
  heldSince: number | undefined
}

const nothing = () => {}

export class HeldLock implements Lock {
  readonly resource: Id
  readonly key: string
  readonly token: bigint
  readonly #grant: Grant
  readonly #keeper: Keeper
  /** Made for whoever asks for the signal: it costs as much as all else of a handle. */
  #controller: AbortController | undefined
  /** On the monotonic clock: it extends itself up to here. */
  readonly #holdUntil: number
  #deadline: { remainingMs(): number }
  #cancelDeadline = nothing
  #cancelExtension = nothing
  readonly #unwatch: () => void
  #end: LockLostError['reason'] | undefined
  #error: LockLostError | undefined
  #released: Promise<boolean> | undefined
  #isEnding = false

  constructor(grant: Grant, keeper: Keeper) {
    this.resource = grant.resource
    this.key = grant.key
    this.token = grant.token
    this.#grant = grant
    this.#deadline = grant.deadline
    this.#keeper = keeper
    this.#holdUntil = keeper.clocks.monotonicMs() + (grant.maxHoldMs ?? 0)
    this.#unwatch = keeper.clocks.onStep(() => this.#arm())
    this.#arm()
    if (grant.maxHoldMs !== undefined) this.#extendLater(grant.ttlMs / 3)
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#end !== undefined && this.#end !== 'released')
        this.#controller.abort(this.#lostError(this.#end))
    }
    return this.#controller.signal
  }

  remainingMs(): number {
    return this.#end === undefined ? this.#deadline.remainingMs() : 0
  }

  assertHeld(): void {
    if (this.#end === undefined && this.#deadline.remainingMs() === 0) this.#lose('expired')
    if (this.#end !== undefined) throw this.#lostError(this.#end)
  }

  async extend(ttlMs: number = this.#grant.ttlMs, options: CallOptions = {}): Promise<void> {
    const ttl = this.#keeper.checkedTtl(ttlMs)
    this.assertHeld()
    const counted = this.#keeper.countFrom()
    // An answer after the deadline could not be used.
    const deadlineMs = Math.max(
      1,
      Math.min(options.deadlineMs ?? Number.POSITIVE_INFINITY, this.remainingMs()),
    )
    const verdict = await this.#keeper.extend(this.#grant, ttl, { ...options, deadlineMs })
    // Whoever ends it may have done so already.
    if (verdict !== 'done' && this.#isEnding) return
    if (verdict !== 'done') this.#lose(verdict === 'over' ? 'expired' : 'taken')
    // Granted too late to be used: nobody is to wait for it.
    else if (this.remainingMs() === 0) void this.release()
    this.assertHeld()
    const granted = counted(ttl)
    if (granted.remainingMs() <= this.remainingMs()) return
    this.#deadline = granted
    this.#arm()
  }

  release(): Promise<boolean> {
    this.#released ??= this.#release()
    return this.#released
  }

  /** Asks for no more time: it is about to be freed by what is written, which is no loss. */
  ending(): void {
    this.#isEnding = true
    this.#cancelExtension()
  }

  /** Redis has freed it already. */
  settle(): void {
    this.#still()
    this.#end ??= 'released'
    this.#released ??= Promise.resolve(true)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.remainingMs() === 0) this.#lose('expired')
    const lost = this.#end
    await this.release()
    // The body may have thrown: its error must not be replaced by this one.
    if (lost !== undefined && lost !== 'released') this.#keeper.report(this.#lostError(lost))
  }

  async #release(): Promise<boolean> {
    const remainingMs = this.remainingMs()
    // Here before its timer was called: it was lost all the same.
    if (remainingMs === 0) this.#lose('expired')
    const wasHeld = this.#end === undefined
    this.#still()
    this.#end ??= 'released'
    // Also where its time is over: the record of an expired lock goes, if nobody has taken it.
    const freed = await this.#keeper.release(this.#grant, Math.max(remainingMs, 1))
    return wasHeld && freed
  }

  #arm(): void {
    this.#cancelDeadline()
    if (this.#end !== undefined) return
    const remainingMs = this.#deadline.remainingMs()
    if (remainingMs === 0) return this.#lose('expired')
    this.#cancelDeadline = this.#keeper.clocks.after(Math.ceil(remainingMs), () => this.#arm())
  }

  #extendLater(ms: number): void {
    if (this.#isEnding) return
    this.#cancelExtension = this.#keeper.clocks.after(Math.ceil(ms), () => void this.#extendItself())
  }

  async #extendItself(): Promise<void> {
    const leftMs = Math.floor(this.#holdUntil - this.#keeper.clocks.monotonicMs())
    const remainingMs = this.remainingMs()
    if (leftMs <= remainingMs) return
    const ttlMs = Math.min(this.#grant.ttlMs, leftMs)
    try {
      if (ttlMs > remainingMs) await this.extend(ttlMs, { deadlineMs: Math.ceil(this.#grant.ttlMs / 4) })
      this.#extendLater(this.#grant.ttlMs / 3)
    } catch {
      // Without an answer it is held still, and asks again; a loss is told by the signal.
      if (this.#end === undefined) this.#extendLater(this.#grant.ttlMs / 10)
    }
  }

  #lose(reason: 'expired' | 'taken'): void {
    if (this.#end !== undefined) return
    this.#still()
    this.#end = reason
    this.#keeper.lost(this.#grant, reason)
    this.#controller?.abort(this.#lostError(reason))
  }

  /** Made where somebody is told: with its stack it costs more than all else that a release does here. */
  #lostError(reason: LockLostError['reason']): LockLostError {
    this.#error ??= new LockLostError(nameOf(this.resource), reason)
    return this.#error
  }

  #still(): void {
    this.#cancelDeadline()
    this.#cancelExtension()
    this.#unwatch()
  }
}

/** A resource as it is named in messages. */
export function nameOf(resource: Id): string {
  return typeof resource === 'string' ? resource : resource.join(':')
}

/** Runs `body` and releases the lock whatever happens. */
export async function whileHeld<R>(lock: Lock, body: (lock: Lock) => Promise<R>): Promise<R> {
  let result: R
  try {
    result = await body(lock)
  } catch (error) {
    // The caller hears of this error, and nobody would of a loss.
    await lock[Symbol.asyncDispose]()
    throw error
  }
  try {
    lock.assertHeld()
    return result
  } finally {
    await lock.release()
  }
}
