import type { Id } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { Lock } from './lock.js'

/** Several locks that are held together. `await using` releases them all. */
export interface LockSet extends AsyncDisposable {
  /** In the order in which they were taken. Each has a token of its own, for what it protects. */
  readonly locks: readonly Lock[]
  /** Aborts when the first of them is lost. */
  readonly signal: AbortSignal
  /** How long all of them are still held, in milliseconds. */
  remainingMs(): number
  /** @throws LockLostError if one is not held any more */
  assertHeld(): void
  /** Counts the time of each anew. @throws what {@link Lock.extend} does, if one could not be extended */
  extend(ttlMs?: number, options?: CallOptions): Promise<void>
  /** Frees all of them. Resolves with whether all were held until now. Idempotent, and never rejects. */
  release(): Promise<boolean>
}

/** One after the other, in the order given; what was taken is given back when one is not to be had. */
export async function acquiredAll(
  resources: readonly Id[],
  acquire: (resource: Id) => Promise<Lock>,
): Promise<LockSet> {
  const locks: Lock[] = []
  try {
    for (const resource of resources) {
      locks.push(await acquire(resource))
      // The first may have been over while the last was waited for.
      for (const lock of locks) lock.assertHeld()
    }
    return setOf(locks)
  } catch (error) {
    await Promise.all(locks.map((lock) => lock.release()))
    throw error
  }
}

function setOf(locks: readonly Lock[]): LockSet {
  const release = async () => {
    const released = await Promise.all(locks.map((lock) => lock.release()))
    return !released.includes(false)
  }
  return {
    locks,
    signal: AbortSignal.any(locks.map((lock) => lock.signal)),
    remainingMs: () => Math.min(...locks.map((lock) => lock.remainingMs())),
    assertHeld: () => {
      for (const lock of locks) lock.assertHeld()
    },
    extend: async (ttlMs, options) => {
      await Promise.all(locks.map((lock) => lock.extend(ttlMs, options)))
    },
    release,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(locks.map((lock) => lock[Symbol.asyncDispose]()))
    },
  }
}
