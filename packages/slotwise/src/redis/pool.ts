import { ClosedError, RedisUnavailableError, type SlotwiseError } from '../errors.js'
import { publish } from '../telemetry.js'
import type { DedicatedConnection } from './dedicated.js'

/** How connections to one node are kept. */
export interface PoolSettings {
  readonly min: number
  readonly max: number
  readonly poolTimeoutMs: number
  readonly idleTimeoutMs: number
}

/** Refusals of a pool itself, as against those of its node. */
const refusals = new WeakSet<Error>()

interface Waiter {
  /** With nothing, there is a place for a connection, and it is counted as being opened already. */
  readonly resolve: (connection: DedicatedConnection | undefined) => void
  readonly reject: (error: unknown) => void
}

/** The connections to one node that one caller at a time has to itself: at most `max`, the last one used first. */
export class Pool {
  readonly #address: string
  readonly #settings: PoolSettings
  readonly #open: () => Promise<DedicatedConnection>
  readonly #idle: DedicatedConnection[] = []
  readonly #taken = new Set<DedicatedConnection>()
  #opening = 0
  readonly #waiting: Waiter[] = []
  /** Why it takes no more callers. */
  #closed: SlotwiseError | undefined

  constructor(address: string, settings: PoolSettings, open: () => Promise<DedicatedConnection>) {
    this.#address = address
    this.#settings = settings
    this.#open = open
  }

  /** How many there are of each kind, and how many callers wait. */
  get use(): { readonly inUse: number; readonly idle: number; readonly waiting: number } {
    return { inUse: this.#taken.size, idle: this.#idle.length, waiting: this.#waiting.length }
  }

  get size(): number {
    return this.#idle.length + this.#taken.size + this.#opening
  }

  /**
   * One for the caller alone, until it is given back.
   *
   * @throws RedisUnavailableError none was free in time, or the node cannot be reached
   */
  async take(waitMs: number, signal?: AbortSignal): Promise<DedicatedConnection> {
    signal?.throwIfAborted()
    if (this.#closed !== undefined) throw this.#closed
    const from = performance.now()
    try {
      const connection = await this.#one(waitMs, signal)
      this.#tell('borrowed', from)
      return connection
    } catch (error) {
      this.#tell(error instanceof Error && refusals.has(error) ? 'exhausted' : 'failed', from)
      throw error
    }
  }

  #tell(kind: 'borrowed' | 'exhausted' | 'failed', from: number): void {
    publish('slotwise:redis:pool', () => ({ kind, node: this.#address, waitedMs: performance.now() - from }))
  }

  async #one(waitMs: number, signal: AbortSignal | undefined): Promise<DedicatedConnection> {
    for (let known = this.#idle.pop(); known !== undefined; known = this.#idle.pop()) {
      if (!known.signal.aborted) return this.#lent(known)
    }
    if (this.size < this.#settings.max) {
      this.#opening++
      return await this.#openedFor(waitMs, signal)
    }
    const from = performance.now()
    const given = await this.#turn(Math.min(waitMs, this.#settings.poolTimeoutMs), signal)
    return given ?? (await this.#openedFor(waitMs - (performance.now() - from), signal))
  }

  /** Takes it back; one in an unknown state is closed, and whoever waits opens another. */
  async give(connection: DedicatedConnection): Promise<void> {
    const isClean = !connection.signal.aborted && !this.#isClosed() && (await connection.reset())
    this.#taken.delete(connection)
    if (!isClean || this.#isClosed()) connection.close()
    if (connection.signal.aborted) return this.#offerPlace()
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(connection)
    else next.resolve(this.#lent(connection))
  }

  /** Closes those that nobody has used for long, opens those that are to be kept ready. */
  tend(isPrimary: boolean): void {
    const now = performance.now()
    const kept = isPrimary ? this.#settings.min : 0
    // The longest unused are at the front.
    for (const connection of Array.from(this.#idle)) {
      const isOld = now - connection.idleSince > this.#settings.idleTimeoutMs && this.size > kept
      if (isOld || connection.signal.aborted) {
        this.#idle.splice(this.#idle.indexOf(connection), 1)
        connection.close()
      }
    }
    for (let missing = kept - this.size; missing > 0; missing--) {
      this.#opening++
      // A node that cannot be reached is tried again at the next look.
      this.#opened().then(
        (connection) => this.give(connection),
        () => undefined,
      )
    }
  }

  /** The node has left: ends the idle ones, and the others when they are given back. Who waits looks elsewhere. */
  leave(): void {
    const message = `${this.#address} is no node of this cluster any more`
    this.#close(new RedisUnavailableError(message, { node: this.#address }))
  }

  /** Ends all of them, those that are out as well. */
  destroy(): void {
    this.#close(new ClosedError('this port has been closed'))
    for (const connection of this.#taken) connection.close()
  }

  /** Changes behind the back of whoever awaits. */
  #isClosed(): boolean {
    return this.#closed !== undefined
  }

  #close(reason: SlotwiseError): void {
    this.#closed = reason
    for (const connection of this.#idle.splice(0)) connection.close()
    for (const { reject } of this.#waiting.splice(0)) reject(reason)
  }

  #lent(connection: DedicatedConnection): DedicatedConnection {
    this.#taken.add(connection)
    return connection
  }

  /** Opens one in a place that is counted already. */
  async #opened(): Promise<DedicatedConnection> {
    try {
      const connection = this.#lent(await this.#open())
      this.#opening--
      return connection
    } catch (error) {
      this.#opening--
      this.#offerPlace()
      throw error
    }
  }

  /**
   * The same, for a caller who does not wait for longer than this: a node that hangs accepts connections and then says
   * nothing. One that comes too late is the next caller's.
   */
  async #openedFor(waitMs: number, signal: AbortSignal | undefined): Promise<DedicatedConnection> {
    let isLate = false
    const opening = this.#opened().then((connection) => {
      if (isLate) void this.give(connection)
      return connection
    })
    try {
      return await this.#inTime(opening, waitMs, signal)
    } catch (error) {
      isLate = true
      throw error
    }
  }

  #inTime<R>(what: Promise<R>, waitMs: number, signal: AbortSignal | undefined): Promise<R> {
    return new Promise((resolve, reject) => {
      const settle = (then: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        then()
      }
      const onAbort = () => settle(() => reject(signal?.reason as Error))
      const timer = setTimeout(() => {
        const message = `no connection to ${this.#address} within ${Math.round(waitMs)} ms`
        settle(() => reject(new RedisUnavailableError(message, { node: this.#address })))
      }, waitMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      what.then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => settle(() => reject(error)),
      )
    })
  }

  /** A connection is gone; whoever waits longest may open another, before anybody who comes now. */
  #offerPlace(): void {
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.#opening++
    next.resolve(undefined)
  }

  #turn(waitMs: number, signal: AbortSignal | undefined): Promise<DedicatedConnection | undefined> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        const at = this.#waiting.indexOf(waiter)
        if (at >= 0) this.#waiting.splice(at, 1)
      }
      const waiter: Waiter = {
        resolve: (connection) => {
          settle()
          resolve(connection)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      }
      const onAbort = () => waiter.reject(signal?.reason)
      const timer = setTimeout(() => {
        const message = `all ${this.#settings.max} connections to ${this.#address} of their own were taken for ${Math.round(waitMs)} ms: raise connectionsPerNode.max or poolTimeoutMs`
        const refusal = new RedisUnavailableError(message, { node: this.#address })
        refusals.add(refusal)
        waiter.reject(refusal)
      }, waitMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(waiter)
    })
  }
}
