import type { Key } from '../keys.js'
import type { RedisPort } from '../redis/port.js'
import type { Clocks } from './deadline.js'
import * as scripts from './scripts.js'

/** How long to wait before a node is asked again; twice as long after every time that something is left. */
const AGAIN_MS = { first: 50, most: 1000 }
const TRY_MS = 1000
/** What a release answers where the owner holds nothing. */
const NOTHING_OF_THEIRS = -1
/** So many are remembered of a node; beyond that the oldest end by themselves. */
const MOST = 10_000

interface Debt {
  readonly key: Key
  /** On the monotonic clock: from then on it is over by itself. */
  readonly until: number
  /** What was asked for may still be executed, so that nothing to free now proves nothing. */
  readonly isUnsure: boolean
}

/** What one node may hold for nobody, and is to free: tried again until it has, or the time is over anyway. */
export class Debts {
  readonly #port: RedisPort
  readonly #clocks: Clocks
  /** By owner, which is one for each acquisition. */
  readonly #owed = new Map<string, Debt>()
  #againMs = AGAIN_MS.first
  #isWaiting = false

  constructor(port: RedisPort, clocks: Clocks) {
    this.#port = port
    this.#clocks = clocks
  }

  /** How many are left. */
  get size(): number {
    return this.#owed.size
  }

  add(key: Key, owner: string, forMs: number, { isUnsure = false } = {}): void {
    this.#owed.set(owner, { key, until: this.#clocks.monotonicMs() + forMs, isUnsure })
    // The oldest goes.
    if (this.#owed.size > MOST) for (const oldest of this.#owed.keys()) return void this.#owed.delete(oldest)
    this.#wait()
  }

  /** Frees what is owed of one lock, ahead of whoever asks for it next on the same connection. */
  settle(key: Key): void {
    if (this.#owed.size === 0) return
    const mine = [...this.#owed].filter(([, debt]) => debt.key === key)
    if (mine.length > 0) void this.#free(mine)
  }

  #wait(): void {
    if (this.#isWaiting || this.#owed.size === 0) return
    this.#isWaiting = true
    this.#clocks.after(this.#againMs, () => void this.#again())
  }

  async #again(): Promise<void> {
    await this.#free([...this.#owed])
    this.#againMs = this.#owed.size === 0 ? AGAIN_MS.first : Math.min(2 * this.#againMs, AGAIN_MS.most)
    this.#isWaiting = false
    this.#wait()
  }

  async #free(debts: readonly (readonly [string, Debt])[]): Promise<void> {
    const calls = debts.map(([owner, { key }]) => scripts.release.call({ lock: key }, { owner }))
    const answers = await this.#port.pipeline(calls, { deadlineMs: TRY_MS }).catch(() => [])
    const now = this.#clocks.monotonicMs()
    debts.forEach(([owner, { until, isUnsure }], i) => {
      const answer = answers[i]
      const isFreed = answer?.status === 'fulfilled' && !(isUnsure && answer.value === NOTHING_OF_THEIRS)
      if (isFreed || now >= until) this.#owed.delete(owner)
    })
  }
}
