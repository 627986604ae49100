import {
  LockLostError,
  LockUnavailableError,
  UnexpectedReplyError,
  UnstorableResultError,
} from '../errors.js'
import type { Id } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { CLOCKS, type Clocks } from './deadline.js'
import { type HeldLock, nameOf } from './lock.js'
import { oneSlot } from './one-slot.js'
import type { LocksOptions } from './options.js'
import { checkedLongest, freshOwner, Requests } from './requests.js'
import * as scripts from './scripts.js'

const DEFAULT_RUN_MS = 600_000
const LONGEST_KEPT_MS = 100 * 365 * 86_400_000

/** How results become text and come back: `JSON`, superjson and others. */
export interface ResultSerializer {
  stringify(value: unknown): string | undefined
  parse(text: string): unknown
}

/** Settings of {@link Once}. */
export interface OnceOptions extends Omit<LocksOptions, 'maxTtlMs'> {
  /**
   * For how long a process that runs something and is not heard of keeps others from running it, in milliseconds. It is renewed at a
   * third of it, so the function may take longer. Also for how long a server that was started or promoted runs nothing.
   */
  readonly ttlMs: number
  /** How long a result is kept: it is run again after that. */
  readonly resultTtlMs: number
  /** @defaultValue `1048576`: 1 MiB of UTF-8 */
  readonly maxResultBytes?: number | undefined
  /** @defaultValue `JSON`, so dates come back as text */
  readonly serializer?: ResultSerializer | undefined
}

/** Options of {@link Once.run}. */
export interface RunOptions extends CallOptions {
  /** How long to wait for somebody else who runs it, in milliseconds. @defaultValue `30000` */
  readonly waitMs?: number | undefined
  /** How long the function may take; after that its `signal` aborts and others may run it. @defaultValue `600000`, or `ttlMs` where that is more */
  readonly maxRunMs?: number | undefined
}

/** What the function is given. */
export interface Run {
  /** Larger than that of every run before, for what it writes to. */
  readonly token: bigint
  /** Aborts when somebody else may run it, and when the caller's does. */
  readonly signal: AbortSignal
}

/** Where something stands. */
export type OnceStatus<R> =
  | { readonly state: 'absent' }
  | {
      readonly state: 'running'
      readonly token: bigint
      readonly remainingMs: number
      readonly holder: string | undefined
    }
  | { readonly state: 'done'; readonly token: bigint; readonly remainingMs: number; readonly result: R }

/**
 * Runs something once, and gives its result to everybody who asks. **While a result is kept nobody runs it again; at most one runs
 * it at a time, by the clock of the server that has its slot, and only who still has the right to stores a result.** It is one thing for all who
 * have the same namespace, name, tenant and id. Who asks while it runs, in whatever process, waits for the result and is told at once.
 *
 * - The function throws: nothing is stored, its caller gets the error, and the first of those who wait runs it.
 * - The process dies in the middle: after `ttlMs` the first of those who wait runs it **again**. So it is run at least once, and what it does
 *   outside is to be harmless to repeat, or to compare `token`.
 * - A failover loses the result: it is run again, one at a time and after a quarantine of `ttlMs`.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { Once } from 'slotwise/lock'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const invoices = new Once<{ pdf: string }>(redis, { name: 'invoices', ttlMs: 5000, resultTtlMs: 86_400_000 })
 * const { pdf } = await invoices.run(['invoice', 42], async ({ signal }) => render(42, signal))
 * console.log(pdf)
 *
 * declare function render(id: number, signal: AbortSignal): Promise<{ pdf: string }>
 * ```
 */
export class Once<R> {
  readonly #port: RedisPort
  readonly #options: OnceOptions
  readonly #ttlMs: number
  readonly #resultTtlMs: number
  readonly #maxBytes: number
  readonly #requests: Requests

  constructor(port: RedisPort, options: OnceOptions)
  /** @internal */
  constructor(port: RedisPort, options: OnceOptions, clocks: Clocks, requests?: Requests)
  constructor(port: RedisPort, options: OnceOptions, clocks: Clocks = CLOCKS, requests?: Requests) {
    this.#port = port
    this.#options = options
    this.#ttlMs = checkedLongest('ttlMs', options.ttlMs)
    this.#resultTtlMs = integer('resultTtlMs', options.resultTtlMs, { max: LONGEST_KEPT_MS })
    this.#maxBytes = integer('maxResultBytes', options.maxResultBytes ?? 2 ** 20, { max: 2 ** 29 })
    const given = { ...options, maxTtlMs: this.#ttlMs }
    const made = () => ({
      pattern: 'once',
      clocks,
      authority: oneSlot(port, given, clocks, { pattern: 'once' }),
    })
    this.#requests = requests ?? new Requests(port, { ...given, ...made() })
  }

  /** The same for one tenant: a free view. */
  forTenant(tenant: string): Once<R> {
    return new Once<R>(this.#port, this.#options, CLOCKS, this.#requests.forTenant(tenant))
  }

  /** As {@link Locks.ready}. @throws ConfigurationError a primary may evict results, or will not say */
  ready(): Promise<void> {
    return this.#requests.ready()
  }

  /**
   * The result that is stored, or that somebody else is about to store, or that of `fn`. All get the same: what was stored, read back.
   *
   * @throws whatever `fn` throws
   * @throws LockBusyError somebody else still runs it at the end of `waitMs`
   * @throws LockLostError `fn` has ended after its time was over: its result is not stored, and somebody else may have run it
   * @throws LockUnavailableError Redis could not say whether there is a result, or whether that of `fn` was stored
   * @throws UnstorableResultError the result is `undefined`, too large, or cannot be serialized: not stored
   */
  run(id: Id, fn: (run: Run) => Promise<R>): Promise<R>
  run(id: Id, options: RunOptions, fn: (run: Run) => Promise<R>): Promise<R>
  async run(
    id: Id,
    first: RunOptions | ((run: Run) => Promise<R>),
    second?: (run: Run) => Promise<R>,
  ): Promise<R> {
    const [options, fn] = typeof first === 'function' ? [{}, first] : [first, second]
    if (fn === undefined) throw new TypeError('run takes a function as its last argument')
    const { waitMs = 30_000, signal, deadlineMs } = options
    const maxRunMs = options.maxRunMs ?? Math.max(DEFAULT_RUN_MS, this.#ttlMs)
    const owner = freshOwner()
    const asking = { ttlMs: this.#ttlMs, maxHoldMs: maxRunMs, waitMs, signal, deadlineMs, owner }
    const sought = await this.#requests.seek(id, asking)
    if (sought.kind === 'done') return this.#parsed(id, sought.result)
    const { lock } = sought
    try {
      const ending = signal === undefined ? lock.signal : AbortSignal.any([lock.signal, signal])
      const text = this.#text(id, await fn({ token: lock.token, signal: ending }))
      await this.#store(lock, owner, text)
      return this.#parsed(id, text)
    } finally {
      await lock.release()
    }
  }

  /** Where it stands, without running it. @throws RedisUnavailableError Redis does not answer */
  async status(id: Id, options: CallOptions = {}): Promise<OnceStatus<R>> {
    const seen = await scripts.look.run(this.#port, { lock: this.#requests.keyOf(id) }, {}, options)
    if (seen.kind === 'free') return { state: 'absent' }
    const { token, remainingMs } = seen
    if (seen.kind === 'held')
      return { state: 'running', token, remainingMs, holder: seen.holder || undefined }
    return { state: 'done', token, remainingMs, result: this.#parsed(id, seen.result) }
  }

  /**
   * Forgets the result, so that the next to ask runs it again. A run that is under way goes on, and its result is stored.
   *
   * @returns whether there was a result
   * @throws RedisUnavailableError Redis does not answer
   */
  async forget(id: Id, options: CallOptions = {}): Promise<boolean> {
    this.#requests.checkOpen()
    const lock = this.#requests.keyOf(id)
    return (await scripts.forget.run(this.#port, { lock }, {}, options)) === 1
  }

  /** Ends it: nothing is run any more; what is under way goes on. The port stays open. Idempotent. */
  close(): Promise<void> {
    return this.#requests.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #store(lock: HeldLock, owner: string, result: string): Promise<void> {
    lock.assertHeld()
    lock.ending()
    const args = { owner, result, keep_ms: this.#resultTtlMs }
    const deadlineMs = Math.max(1, Math.ceil(lock.remainingMs()))
    const name = nameOf(lock.resource)
    const verdict = await scripts.finish
      .run(this.#port, { lock: this.#requests.keyOf(lock.resource) }, args, { deadlineMs })
      .catch((cause: unknown) => {
        throw new LockUnavailableError(name, { cause })
      })
    if (verdict !== 'done') throw new LockLostError(name, verdict === 'over' ? 'expired' : 'taken')
    lock.settle()
  }

  #text(id: Id, value: R): string {
    const refused = (why: string, options = {}) =>
      new UnstorableResultError(`the result of ${nameOf(id)} ${why}`, options)
    let text: string | undefined
    try {
      text = (this.#options.serializer ?? JSON).stringify(value)
    } catch (cause) {
      throw refused('cannot be serialized', { cause })
    }
    if (typeof text !== 'string') throw refused(`is a ${typeof value}`)
    const bytes = Buffer.byteLength(text)
    if (bytes > this.#maxBytes) throw refused(`takes ${bytes} bytes, more than ${this.#maxBytes}`)
    return text
  }

  #parsed(id: Id, text: string): R {
    try {
      return (this.#options.serializer ?? JSON).parse(text) as R
    } catch (cause) {
      throw new UnexpectedReplyError(`the stored result of ${nameOf(id)} cannot be read`, { cause })
    }
  }
}
