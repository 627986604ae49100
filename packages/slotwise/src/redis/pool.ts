import { ClosedError, RedisUnavailableError } from '../errors.js'
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
  readonly resolve: (connection: DedicatedConnection | undefined) => void
  readonly reject: (error: Error) => void
}

/** The connections to one node that one caller at a time has to itself: at most `max`, the last one used first. */
export class Pool {
  readonly #address: string
  readonly #settings: PoolSettings
  readonly #open: (signal?: AbortSignal) => Promise<DedicatedConnection>
  readonly #idle: DedicatedConnection[] = []
  readonly #taken = new Set<DedicatedConnection>()
  #opening = 0
  readonly #waiting: Waiter[] = []
  #closed = false

  constructor(
    address: string,
    settings: PoolSettings,
    open: (signal?: AbortSignal) => Promise<DedicatedConnection>,
  ) {
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
    if (this.#closed) throw closed()
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
    if (this.size < this.#settings.max) return this.#lent(await this.#opened(signal))
    const given = await this.#turn(Math.min(waitMs, this.#settings.poolTimeoutMs), signal)
    return given ?? this.#lent(await this.#opened(signal))
  }

  /** Takes it back; one in an unknown state is closed, and whoever waits opens another. */
  async give(connection: DedicatedConnection): Promise<void> {
    const isClean = !connection.signal.aborted && !this.#closed && (await connection.reset())
    this.#taken.delete(connection)
    if (!isClean || this.#isClosed()) connection.close()
    const next = this.#waiting.shift()
    if (connection.signal.aborted) next?.resolve(undefined)
    else if (next === undefined) this.#idle.push(connection)
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
      // A node that cannot be reached is tried again at the next look.
      this.#opened().then(
        (connection) => this.give(this.#lent(connection)),
        () => undefined,
      )
    }
  }

  /** Ends the idle ones; the others end when they are given back. */
  close(): void {
    this.#closed = true
    for (const connection of this.#idle.splice(0)) connection.close()
    for (const { reject } of this.#waiting.splice(0)) reject(closed())
  }

  /** Ends those that are out as well. */
  destroy(): void {
    this.close()
    for (const connection of this.#taken) connection.close()
  }

  #isClosed(): boolean {
    return this.#closed
  }

  #lent(connection: DedicatedConnection): DedicatedConnection {
    this.#taken.add(connection)
    return connection
  }

  async #opened(signal?: AbortSignal): Promise<DedicatedConnection> {
    this.#opening++
    try {
      return await this.#open(signal)
    } catch (error) {
      // Whoever waited for this place may try its luck.
      this.#waiting.shift()?.resolve(undefined)
      throw error
    } finally {
      this.#opening--
    }
  }

  #turn(waitMs: number, signal: AbortSignal | undefined): Promise<DedicatedConnection | undefined> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        const at = this.#waiting.indexOf(waiter)
        if (at >= 0) this.#waiting.splice(at, 1)
      }
      const onAbort = () => {
        settle()
        reject(signal?.reason as Error)
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
      const timer = setTimeout(() => {
        const message = `all ${this.#settings.max} connections to ${this.#address} of their own were taken for ${waitMs} ms: raise connectionsPerNode.max or poolTimeoutMs`
        const refusal = new RedisUnavailableError(message, { node: this.#address })
        refusals.add(refusal)
        waiter.reject(refusal)
      }, waitMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(waiter)
    })
  }
}

const closed = () => new ClosedError('this port has been closed')
