import { LockLostError } from '../errors.js'
import type { Id } from '../keys.js'
import type { CallOptions } from '../options.js'

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
  /** How long it is still held, in milliseconds; 0 from the deadline on. */
  remainingMs(): number
  /** @throws LockLostError if it is not held any more */
  assertHeld(): void
  /**
   * Counts the time anew from now on. Never brings back a lock whose time is over.
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

/** What a {@link HeldLock} asks of whoever made it. */
export interface Keeper {
  /** Asks for more time; resolves with what was said, and rejects when nothing was. */
  extend(ttlMs: number, options: CallOptions): Promise<'done' | 'over' | 'not-ours'>
  release(untilMs: number): Promise<boolean>
  checkedTtl(ttlMs: number): number
  countFrom(): (ttlMs: number) => { remainingMs(): number }
  lost(): void
  /** Reports a loss that nobody else hears of. */
  report(error: unknown): void
}

/** Wakes at least this often, so that a clock that was set is noticed. */
const LONGEST_SLEEP_MS = 250

export class HeldLock implements Lock {
  readonly resource: Id
  readonly key: string
  readonly token: bigint
  readonly #keeper: Keeper
  readonly #controller = new AbortController()
  readonly #ttlMs: number
  #deadline: { remainingMs(): number }
  #timer: NodeJS.Timeout | undefined
  #end: LockLostError | undefined
  #released: Promise<boolean> | undefined

  constructor(
    resource: Id,
    key: string,
    token: bigint,
    ttlMs: number,
    deadline: { remainingMs(): number },
    keeper: Keeper,
  ) {
    this.resource = resource
    this.key = key
    this.token = token
    this.#ttlMs = ttlMs
    this.#deadline = deadline
    this.#keeper = keeper
    this.#arm()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  remainingMs(): number {
    return this.#end === undefined ? this.#deadline.remainingMs() : 0
  }

  assertHeld(): void {
    if (this.#end === undefined && this.#deadline.remainingMs() === 0) this.#lose('expired')
    if (this.#end !== undefined) throw this.#end
  }

  async extend(ttlMs: number = this.#ttlMs, options: CallOptions = {}): Promise<void> {
    const ttl = this.#keeper.checkedTtl(ttlMs)
    this.assertHeld()
    const counted = this.#keeper.countFrom()
    // An answer after the deadline could not be used.
    const deadlineMs = Math.max(
      1,
      Math.min(options.deadlineMs ?? Number.POSITIVE_INFINITY, this.remainingMs()),
    )
    const verdict = await this.#keeper.extend(ttl, { ...options, deadlineMs })
    if (verdict !== 'done') this.#lose(verdict === 'over' ? 'expired' : 'taken')
    this.assertHeld()
    this.#deadline = counted(ttl)
    this.#arm()
  }

  release(): Promise<boolean> {
    this.#released ??= this.#release()
    return this.#released
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const lost = this.#end
    await this.release()
    // The body may have thrown: its error must not be replaced by this one.
    if (lost !== undefined) this.#keeper.report(lost)
  }

  async #release(): Promise<boolean> {
    const remainingMs = this.remainingMs()
    const wasHeld = this.#end === undefined && remainingMs > 0
    clearTimeout(this.#timer)
    this.#end ??= new LockLostError(nameOf(this.resource), 'released')
    // Also where its time is over: the record of an expired lock goes, if nobody has taken it.
    const freed = await this.#keeper.release(Math.max(remainingMs, 1))
    return wasHeld && freed
  }

  #arm(): void {
    clearTimeout(this.#timer)
    const remainingMs = this.#deadline.remainingMs()
    if (remainingMs === 0) return this.#lose('expired')
    const sleepMs = Math.min(Math.ceil(remainingMs), LONGEST_SLEEP_MS)
    this.#timer = setTimeout(() => {
      this.#arm()
    }, sleepMs).unref()
  }

  #lose(reason: 'expired' | 'taken'): void {
    if (this.#end !== undefined) return
    clearTimeout(this.#timer)
    this.#end = new LockLostError(nameOf(this.resource), reason)
    this.#keeper.lost()
    this.#controller.abort(this.#end)
  }
}

/** A resource as it is named in messages. */
export function nameOf(resource: Id): string {
  return typeof resource === 'string' ? resource : resource.join(':')
}
