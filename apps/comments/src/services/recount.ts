import { hostname } from 'node:os'
import { fencedTransaction, type Lock, type Locks, type PostgresPool } from 'slotwise/lock'
import { BEGINNING, type Position, type RecountRepository } from '../repositories/recounts.js'

/** What a recount came to; `undefined` where there was nothing to do: another process is at it, or was today. */
export interface RecountResult {
  readonly looked: number
  readonly corrected: number
}

/** Settings of {@link RecountService}. */
export interface RecountOptions {
  readonly locks: Locks
  readonly pool: PostgresPool
  readonly recounts: RecountRepository
  readonly onError: (error: unknown) => void
  readonly onEnd?: (result: RecountResult) => void
}

/** Who dies in the middle keeps the others from it for so long. */
const TTL_MS = 10_000
const LONGEST_MS = 6 * 3_600_000
/** Comments that are locked at a time: liking one of them waits for so many. */
const PART = 500
const DAY_MS = 86_400_000

/**
 * Counts every comment's likes again, once a night in one of all processes, and corrects what a bug or a hand in the database has
 * made of it. The lock keeps two from doing the same work; that one that lost it writes nothing any more is the promise of
 * its token, which every transaction compares.
 */
export class RecountService {
  readonly #options: RecountOptions
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<unknown> | undefined

  constructor(options: RecountOptions) {
    this.#options = options
  }

  /** Every night at that time of UTC, a little later in some processes than in others. */
  start(at: { readonly hour: number; readonly minute: number }): void {
    const now = Date.now()
    const today = new Date(now).setUTCHours(at.hour, at.minute, 0, 0)
    const next = (today > now ? today : today + DAY_MS) + Math.random() * 30_000
    this.#timer = setTimeout(() => {
      this.#running = this.run(new Date(next).toISOString().slice(0, 10))
        .catch(this.#options.onError)
        .finally(() => {
          if (!this.#stop.signal.aborted) this.start(at)
        })
    }, next - now).unref()
  }

  async run(day: string): Promise<RecountResult | undefined> {
    const { locks, recounts, onEnd } = this.#options
    if (await recounts.hasEnded(day)) return undefined
    const holder = hostname().slice(0, 128)
    const outcome = await locks.tryAcquire('likes', { ttlMs: TTL_MS, maxHoldMs: LONGEST_MS, holder })
    if (!outcome.acquired) {
      if (outcome.reason === 'unavailable') throw outcome.cause
      return undefined
    }
    await using lock = outcome.lock
    // It may have ended between the look and the lock.
    if (await recounts.hasEnded(day)) return undefined
    const result = await this.#all(lock, day)
    onEnd?.(result)
    return result
  }

  async #all(lock: Lock, day: string): Promise<RecountResult> {
    const { pool, recounts } = this.#options
    let [looked, corrected] = [0, 0]
    for (let after: Position | undefined = BEGINNING; after !== undefined; ) {
      this.#stop.signal.throwIfAborted()
      const from: Position = after
      const part = await fencedTransaction(pool, lock, async (client) => {
        const done = await recounts.part(client, from, PART)
        looked += done.looked
        corrected += done.corrected
        if (done.next === undefined) await recounts.end(client, day, { looked, corrected })
        return done
      })
      after = part.next
    }
    return { looked, corrected }
  }

  /** Lets the part that is under way end. Idempotent. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#stop.abort(new Error('the service ends'))
    await this.#running
  }
}
