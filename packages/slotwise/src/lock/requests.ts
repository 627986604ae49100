import {
  ClosedError,
  ConfigurationError,
  LockBusyError,
  LockUnavailableError,
  RedisUnavailableError,
  UnexpectedReplyError,
} from '../errors.js'
import { type Id, type Key, type KeySpace, keyOf, plainName } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import { randomTag } from '../random.js'
import type { RedisPort } from '../redis/port.js'
import { restOf } from '../redis/readiness.js'
import { type Events, publish } from '../telemetry.js'
import type { Answer, Ask, Authority, Verdict } from './authority.js'
import { type Clocks, Deadline, pause } from './deadline.js'
import { type Grant, HeldLock, type Keeper, type Lock, nameOf } from './lock.js'
import {
  type Acquisition,
  type CommonLocksOptions,
  checkedHolder,
  reporter,
  type ShareOptions,
} from './options.js'

/** One request may take so long at most; its answer is worth less the later it comes. */
const LONGEST_REQUEST_MS = 1000

/** What a request came to. */
type Outcome =
  | Exclude<Answer, { kind: 'held' }>
  | { readonly kind: 'acquired'; readonly lock: HeldLock }
  | { readonly kind: 'unavailable'; readonly cause: unknown }

/** The lock, or what came of the work that it is for. */
export type Sought = Extract<Outcome, { kind: 'acquired' | 'done' }>

/** What is asked for. */
export interface Asking extends ShareOptions {
  readonly shares?: number | undefined
  readonly owner?: string | undefined
}

/** 128 random bits. */
export const freshOwner = (): string => randomTag(16).toString('base64url')

/** Who asks whom, by which clocks. */
export interface RequestsOptions extends CommonLocksOptions {
  /** First part of the keys, after the namespace. */
  readonly pattern: string
  readonly clocks: Clocks
  readonly authority: Authority
}

/** Longest time that something may be held, as it is checked everywhere. */
export function checkedLongest(name: string, ms: number): number {
  // A timer of Node counts to 2^31 - 1 ms.
  return integer(name, ms, { min: 10, max: 2 ** 31 - 1 })
}

/** What all kinds of locks have in common: asking, waiting in line, and handles that hold, extend and give back. */
export class Requests {
  readonly #port: RedisPort
  readonly #options: RequestsOptions
  readonly #clocks: Clocks
  readonly #authority: Authority
  readonly #maxTtlMs: number
  readonly #holder: string
  readonly #report: (error: unknown) => void
  readonly #keeper: Keeper
  #space: KeySpace
  /** Shared by all views, so that closing one closes the locks. */
  #life: { closed: boolean } = { closed: false }

  constructor(port: RedisPort, options: RequestsOptions) {
    this.#port = port
    this.#options = options
    this.#clocks = options.clocks
    this.#authority = options.authority
    this.#space = {
      namespace: port.namespace,
      pattern: options.pattern,
      name: plainName('name', options.name),
    }
    this.#maxTtlMs = checkedLongest('maxTtlMs', options.maxTtlMs ?? 30_000)
    this.#holder = checkedHolder(options.holder)
    this.#report = reporter(options)
    this.#keeper = this.#makeKeeper()
  }

  forTenant(tenant: string): Requests {
    const view = new Requests(this.#port, this.#options)
    view.#space = { ...this.#space, tenant }
    view.#life = this.#life
    return view
  }

  ready(call: CallOptions = {}): Promise<void> {
    return this.#authority.ready(call)
  }

  keyOf(resource: Id): Key {
    return keyOf(this.#space, resource)
  }

  async acquire(resource: Id, options: Asking): Promise<Lock> {
    const sought = await this.seek(resource, options)
    if (sought.kind === 'acquired') return sought.lock
    throw new UnexpectedReplyError('a request for a lock was answered with a result')
  }

  /** The lock, or what came of the work that it is for. */
  async seek(resource: Id, options: Asking): Promise<Sought> {
    const startedAt = this.#clocks.monotonicMs()
    try {
      const sought = await this.#seek(resource, options)
      this.#waited(resource, 'acquired', startedAt)
      return sought
    } catch (error) {
      if (options.signal?.aborted === true) this.#waited(resource, 'aborted', startedAt)
      else if (error instanceof LockBusyError) this.#waited(resource, 'busy', startedAt)
      else if (error instanceof LockUnavailableError)
        this.#waited(resource, error.retryAfterMs === undefined ? 'unavailable' : 'quarantined', startedAt)
      throw error
    }
  }

  #waited(resource: Id, outcome: Events['slotwise:lock:wait']['outcome'], startedAt: number): void {
    publish('slotwise:lock:wait', () => ({
      name: this.#space.name,
      resource: nameOf(resource),
      outcome,
      waitedMs: this.#clocks.monotonicMs() - startedAt,
    }))
  }

  async #seek(resource: Id, options: Asking): Promise<Sought> {
    const waitMs = integer('waitMs', options.waitMs ?? 300, { min: 0 })
    const { signal } = options
    let ask = this.#ask(resource, options, waitMs)
    const until = this.#clocks.monotonicMs() + waitMs
    let isInLine = false
    const given = (error: unknown) => {
      if (isInLine) void this.#releaseUntil(ask.key, ask.owner, LONGEST_REQUEST_MS)
      return error
    }
    for (;;) {
      const askedAt = this.#clocks.monotonicMs()
      let outcome: Outcome
      try {
        outcome = await this.#try(resource, ask, options)
      } catch (error) {
        throw given(error)
      }
      if (outcome.kind === 'acquired' || outcome.kind === 'done') return outcome
      if (outcome.kind === 'conflict') throw given(conflict(resource, outcome.permits))
      const leftMs = until - this.#clocks.monotonicMs()
      if (outcome.kind === 'unavailable') {
        if (leftMs <= 0 || !wereLate(outcome.cause)) throw unavailable(resource, outcome.cause)
        await this.#authority.turn(ask, { askedAt, remainingMs: 0, place: 0, leftMs, signal })
      } else if (outcome.kind === 'quarantined') {
        const { remainingMs } = outcome
        if (remainingMs > leftMs)
          throw given(new LockUnavailableError(nameOf(resource), { retryAfterMs: remainingMs }))
        await pause(this.#clocks, remainingMs, signal)
      } else {
        const { place, holder, remainingMs } = outcome
        isInLine ||= place > 0
        if (leftMs <= 0) throw given(new LockBusyError(nameOf(resource), remainingMs, holder || undefined))
        await this.#authority.turn(ask, { askedAt, remainingMs, place, leftMs, signal })
      }
      if (signal?.aborted === true) throw given(signal.reason)
      // What is given back of one try must not be taken for the next one's.
      const owner = !isInLine && options.owner === undefined ? freshOwner() : ask.owner
      ask = { ...ask, owner, waitMs: Math.max(0, Math.ceil(until - this.#clocks.monotonicMs())) }
    }
  }

  async tryAcquire(resource: Id, options: Asking): Promise<Acquisition> {
    const outcome = await this.#try(resource, this.#ask(resource, options, 0), options)
    if (outcome.kind === 'acquired') return { acquired: true, lock: outcome.lock }
    if (outcome.kind === 'conflict') throw conflict(resource, outcome.permits)
    if (outcome.kind === 'done')
      throw new UnexpectedReplyError('a request for a lock was answered with a result')
    if (outcome.kind === 'unavailable')
      return { acquired: false, reason: 'unavailable', cause: outcome.cause }
    const retryAfterMs = outcome.remainingMs
    if (outcome.kind === 'quarantined') return { acquired: false, reason: 'quarantined', retryAfterMs }
    return { acquired: false, reason: 'busy', retryAfterMs, holder: outcome.holder || undefined }
  }

  async close(): Promise<void> {
    this.#life.closed = true
    await this.#authority.close()
  }

  checkOpen(): void {
    if (this.#life.closed) throw new ClosedError('these locks have been closed')
  }

  #ask(resource: Id, options: Asking, waitMs: number): Ask & Holding {
    const { ttlMs, maxHoldMs, holder } = options
    this.checkOpen()
    const ttl = this.#checkedTtl(ttlMs)
    return {
      key: this.keyOf(resource),
      owner: options.owner ?? freshOwner(),
      ttlMs: ttl,
      maxHoldMs: maxHoldMs === undefined ? undefined : integer('maxHoldMs', maxHoldMs, { min: ttl }),
      waitMs,
      holder: holder === undefined ? this.#holder : checkedHolder(holder),
      shares: options.shares ?? 1,
    }
  }

  /** One request. Whatever it may have got without being told so is given back. */
  async #try(resource: Id, ask: Ask & Holding, { signal, deadlineMs }: CallOptions): Promise<Outcome> {
    signal?.throwIfAborted()
    const { key, owner, ttlMs } = ask
    const askedAt = this.#clocks.monotonicMs()
    try {
      await this.ready({ signal, deadlineMs })
    } catch (cause) {
      signal?.throwIfAborted()
      if (!(cause instanceof RedisUnavailableError)) throw cause
      this.#publish(resource, 'unavailable', askedAt)
      return { kind: 'unavailable', cause }
    }
    this.checkOpen()
    const startedAt = this.#clocks.monotonicMs()
    const { deadlineMs: leftMs = LONGEST_REQUEST_MS } = restOf({ deadlineMs }, startedAt - askedAt)
    const counted = Deadline.starting(this.#clocks)
    try {
      const answer = await this.#authority.acquire(ask, {
        signal,
        deadlineMs: Math.min(leftMs, LONGEST_REQUEST_MS, ttlMs),
      })
      if (answer.kind !== 'held') {
        const place = answer.kind === 'busy' && answer.place > 0 ? answer.place : undefined
        if (answer.kind !== 'conflict') this.#publish(resource, answer.kind, startedAt, { place })
        return answer
      }
      const deadline = counted(Math.min(ttlMs, answer.remainingMs))
      if (deadline.remainingMs() === 0) throw new Error('the answer came when the lock was over already')
      this.#publish(resource, 'acquired', startedAt)
      // Written out: spread, it costs as much as all else that happens here.
      const grant = {
        resource,
        key,
        owner,
        token: answer.token,
        ttlMs,
        maxHoldMs: ask.maxHoldMs,
        deadline,
        heldSince: this.#clocks.monotonicMs(),
      }
      return { kind: 'acquired', lock: new HeldLock(grant, this.#keeper) }
    } catch (cause) {
      // It may have been granted, and nobody would release it until its time is over.
      void this.#giveBack(key, owner, ttlMs)
      signal?.throwIfAborted()
      this.#publish(resource, 'unavailable', startedAt)
      return { kind: 'unavailable', cause }
    }
  }

  #makeKeeper(): Keeper {
    return {
      clocks: this.#clocks,
      checkedTtl: (ttlMs) => this.#checkedTtl(ttlMs),
      countFrom: () => Deadline.starting(this.#clocks),
      extend: async ({ resource, key, owner }, ttlMs, options) => {
        const startedAt = this.#clocks.monotonicMs()
        const verdict = await this.#authority.extend(key, owner, ttlMs, options)
        if (verdict === 'done') this.#publish(resource, 'extended', startedAt)
        return verdict
      },
      release: async (grant, untilMs) => {
        const startedAt = this.#clocks.monotonicMs()
        const freed = (await this.#releaseUntil(grant.key, grant.owner, untilMs)) === 'done'
        if (freed) this.#ended(grant, 'released', startedAt)
        return freed
      },
      lost: (grant, reason) => this.#ended(grant, 'lost', this.#clocks.monotonicMs(), reason),
      report: this.#report,
    }
  }

  #ended(grant: Grant, kind: 'released' | 'lost', startedAt: number, reason?: 'expired' | 'taken'): void {
    const { heldSince } = grant
    // A lock that was lost here may still be released there.
    grant.heldSince = undefined
    const heldMs = heldSince === undefined ? undefined : this.#clocks.monotonicMs() - heldSince
    this.#publish(grant.resource, kind, startedAt, { heldMs, reason })
  }

  #checkedTtl(ttlMs: number): number {
    // Below 10 ms nothing would be left of it after the allowance for clocks.
    return integer('ttlMs', ttlMs, { min: 10, max: this.#maxTtlMs })
  }

  /** Never rejects. */
  async #giveBack(key: Key, owner: string, untilMs: number): Promise<void> {
    if ((await this.#releaseUntil(key, owner, untilMs)) !== 'not-ours') return
    // On another connection the release may have come there before what it is to free: once more, when that has come.
    const laterMs = Math.min(LONGEST_REQUEST_MS, untilMs)
    this.#clocks.after(laterMs, () => void this.#releaseUntil(key, owner, untilMs - laterMs))
  }

  /**
   * Never rejects, and gives nothing where nobody could say. The caller waits for the first try only, the others run until the lock
   * is over by itself.
   */
  async #releaseUntil(key: Key, owner: string, untilMs: number): Promise<Verdict | undefined> {
    const first = Math.ceil(Math.min(LONGEST_REQUEST_MS, Math.max(untilMs, 100)))
    try {
      return await this.#authority.release(key, owner, first)
    } catch (error) {
      if (untilMs > first) void this.#releaseLater(key, owner, Math.ceil(untilMs - first))
      else this.#report(error)
      return undefined
    }
  }

  async #releaseLater(key: Key, owner: string, deadlineMs: number): Promise<void> {
    try {
      await this.#authority.release(key, owner, deadlineMs)
    } catch (error) {
      this.#report(error)
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

function conflict(resource: Id, permits: number): Error {
  return new ConfigurationError(
    `${nameOf(resource)} is in use with another number of permits, ${permits}: change it by resize, or wait until nobody uses it`,
  )
}

/** Nodes have little time for an answer, and may be in time at the next try. */
const wereLate = (cause: unknown): boolean =>
  cause instanceof LockUnavailableError && cause.nodes.some(({ reason }) => reason === 'late')

function unavailable(resource: Id, cause: unknown): Error {
  return cause instanceof LockUnavailableError ? cause : new LockUnavailableError(nameOf(resource), { cause })
}
