import { LockLostError } from '../errors.js'
import type { Id } from '../keys.js'
import type { CallOptions } from '../options.js'
import { type Lock, nameOf } from './lock.js'

/** A lock that somebody further out holds: over when that is, and freed only there. */
export class NestedLock implements Lock {
  readonly resource: Id
  readonly key: string
  readonly token: bigint
  readonly signal: AbortSignal
  readonly #outer: Lock
  #isReleased = false

  constructor(outer: Lock) {
    this.#outer = outer
    this.resource = outer.resource
    this.key = outer.key
    this.token = outer.token
    this.signal = outer.signal
  }

  remainingMs(): number {
    return this.#isReleased ? 0 : this.#outer.remainingMs()
  }

  assertHeld(): void {
    if (this.#isReleased) throw new LockLostError(nameOf(this.resource), 'released')
    this.#outer.assertHeld()
  }

  async extend(ttlMs?: number, options?: CallOptions): Promise<void> {
    this.assertHeld()
    await this.#outer.extend(ttlMs, options)
  }

  release(): Promise<boolean> {
    const wasHeld = this.remainingMs() > 0
    this.#isReleased = true
    return Promise.resolve(wasHeld)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}
