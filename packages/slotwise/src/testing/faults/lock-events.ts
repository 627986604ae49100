/**
 * What somebody saw of a lock. Times are milliseconds of one clock for the whole history, one that is never set. `hold` names one
 * call of `acquire`, and what came of it: a number or text of its own for each.
 */
export type LockEvent = LockCall | LockGrant | LockExtension | LockEnd | LockWrite

/** `acquire` is called. Without a `LockGrant` or an end it never returned, and may or may not have got the lock. */
export interface LockCall {
  readonly kind: 'acquire'
  readonly at: number
  readonly hold: string | number
  readonly resource: string
  /**
   * Who asks. What one client does twice at a time is one holder: two tasks of a process that are to exclude each other are two
   * clients.
   */
  readonly client: string | number
}

/** `acquire` returned, with the lock. */
export interface LockGrant {
  readonly kind: 'acquired'
  readonly at: number
  readonly hold: string | number
  /** `undefined` for locks that have none. */
  readonly token?: bigint | undefined
  /** When the holder takes its time to be over. @defaultValue never */
  readonly until?: number | undefined
}

/** The holder was told that it has more time. */
export interface LockExtension {
  readonly kind: 'extended'
  readonly at: number
  readonly hold: string | number
  readonly until: number
}

/**
 * `'refused'`: `acquire` returned without the lock. `'released'`: the holder gives it back, told before it asks for that.
 * `'lost'`: the holder learns that it is over.
 */
export interface LockEnd {
  readonly kind: 'refused' | 'released' | 'lost'
  readonly at: number
  readonly hold: string | number
}

/** A write under the lock reached what the lock protects. These stand in the order in which it decided on them. */
export interface LockWrite {
  readonly kind: 'write'
  readonly at: number
  readonly hold: string | number
  readonly token?: bigint | undefined
  /** `undefined` where nobody knows. */
  readonly accepted: boolean | undefined
}

/** What a {@link LockRecorder} looks at in a handle. */
export interface RecordedLock {
  readonly token?: bigint | undefined
  remainingMs(): number
}

/**
 * Writes a history down as it happens, for {@link checkLockHistory}.
 *
 * @example
 * ```ts
 * import { Locks } from 'slotwise/lock'
 * import { memoryPort } from 'slotwise/testing'
 * import { checkLockHistory, LockRecorder } from 'slotwise/testing/faults'
 *
 * const locks = new Locks(memoryPort(), { name: 'invoices' })
 * const recorder = new LockRecorder()
 * const hold = recorder.acquiring('42', 'ann')
 * const lock = await locks.acquire('42', { ttlMs: 1000 })
 * hold.acquired(lock)
 * hold.wrote(true) // the ledger took it, by the token of the lock
 * hold.releasing()
 * await lock.release()
 * console.log(checkLockHistory(recorder.events).ok)
 * ```
 */
export class LockRecorder {
  readonly #now: () => number
  readonly #events: LockEvent[] = []
  #holds = 0

  /** @param now milliseconds of a clock that is never set @defaultValue `performance.now` */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get events(): readonly LockEvent[] {
    return this.#events
  }

  /** Call before asking for the lock. */
  acquiring(resource: string, client: string | number): RecordedHold {
    const hold = this.#holds++
    this.#events.push({ kind: 'acquire', at: this.#now(), hold, resource, client })
    return new RecordedHold(hold, this.#now, (event) => this.#events.push(event))
  }
}

/** One call of `acquire` in a {@link LockRecorder}, and what comes of it. */
export class RecordedHold {
  readonly #hold: number
  readonly #now: () => number
  readonly #tell: (event: LockEvent) => void
  #token: bigint | undefined

  /** @internal */
  constructor(hold: number, now: () => number, tell: (event: LockEvent) => void) {
    this.#hold = hold
    this.#now = now
    this.#tell = tell
  }

  acquired(lock: RecordedLock): void {
    const at = this.#now()
    this.#token = lock.token
    this.#tell({ kind: 'acquired', at, hold: this.#hold, token: lock.token, until: at + lock.remainingMs() })
  }

  /** It returned without the lock, or threw. */
  refused(): void {
    this.#end('refused')
  }

  extended(lock: RecordedLock): void {
    const at = this.#now()
    this.#tell({ kind: 'extended', at, hold: this.#hold, until: at + lock.remainingMs() })
  }

  /** Call before giving it back. */
  releasing(): void {
    this.#end('released')
  }

  lost(): void {
    this.#end('lost')
  }

  /**
   * Call where it is decided, so that writes are told in their order.
   *
   * @param accepted `undefined` where nobody knows
   * @param token that of the lock, unless told
   */
  wrote(accepted: boolean | undefined, token: bigint | undefined = this.#token): void {
    this.#tell({ kind: 'write', at: this.#now(), hold: this.#hold, token, accepted })
  }

  #end(kind: LockEnd['kind']): void {
    this.#tell({ kind, at: this.#now(), hold: this.#hold })
  }
}
