import { setTimeout as sleep } from 'node:timers/promises'
import { RedisUnavailableError } from '../errors.js'
import type { Key } from '../keys.js'
import type { RedisPort } from '../redis/port.js'

/** How many entries may wait to be invalidated; more would be a memory leak while Redis is away. */
const MOST = 100_000
/** How many are sent at a time. */
const BATCH = 1000
const BACKOFF_MS = { min: 25, max: 2000 }

type Settle = (reached: boolean) => void

/** Removes entries now, or goes on trying in the background until Redis takes it. */
export class PendingInvalidations {
  readonly #port: RedisPort
  readonly #report: (error: unknown, key: Key) => void
  readonly #waiting = new Map<Key, Settle[]>()
  /** Sent and not answered. An entry that is invalidated anew meanwhile waits as well: the answer says nothing of it. */
  readonly #sent = new Map<Key, Settle[]>()
  readonly #stop = new AbortController()
  #running = false

  constructor(port: RedisPort, report: (error: unknown, key: Key) => void) {
    this.#port = port
    this.#report = report
  }

  get size(): number {
    return this.#waiting.size + this.#sent.size
  }

  has(key: Key): boolean {
    return this.#waiting.has(key) || this.#sent.has(key)
  }

  /** Resolves with whether the entry was removed in the end; never rejects. */
  add(key: Key): Promise<boolean> {
    if (this.#stop.signal.aborted) return Promise.resolve(false)
    if (!this.#waiting.has(key) && this.#waiting.size >= MOST) {
      this.#report(
        new RedisUnavailableError(`more than ${MOST} invalidations wait for Redis; one is given up`),
        key,
      )
      return Promise.resolve(false)
    }
    return new Promise((settle) => {
      merge(this.#waiting, key, [settle])
      if (!this.#running) void this.#run()
    })
  }

  /** Gives up what waits. */
  close(): void {
    this.#stop.abort()
    for (const settles of this.#waiting.values()) for (const settle of settles) settle(false)
    this.#waiting.clear()
  }

  async #run(): Promise<void> {
    this.#running = true
    let backoffMs = BACKOFF_MS.min
    while (this.#waiting.size > 0) {
      // Full jitter: processes that lost Redis together do not come back together.
      await sleep(backoffMs * Math.random(), undefined, { ref: false, signal: this.#stop.signal }).catch(
        () => {},
      )
      backoffMs = (await this.#round()) ? BACKOFF_MS.min : Math.min(BACKOFF_MS.max, backoffMs * 2)
    }
    this.#running = false
  }

  /** `true` if every entry of this round was removed. */
  async #round(): Promise<boolean> {
    const batch = [...this.#waiting].slice(0, BATCH)
    for (const [key, settles] of batch) {
      this.#waiting.delete(key)
      this.#sent.set(key, settles)
    }
    const results = await removeAll(
      this.#port,
      batch.map(([key]) => key),
    )
    let all = true
    batch.forEach(([key, settles], i) => {
      const result = results[i]
      this.#sent.delete(key)
      if (result?.status === 'fulfilled') return settles.forEach((settle) => settle(true))
      all = false
      if (this.#stop.signal.aborted) return settles.forEach((settle) => settle(false))
      this.#report(result?.reason, key)
      merge(this.#waiting, key, settles)
    })
    return all
  }
}

/** Deletes entries wherever they live. Never rejects: a failure stays with its entry. */
export async function removeAll(
  port: RedisPort,
  keys: readonly Key[],
  options?: { readonly deadlineMs?: number | undefined; readonly signal?: AbortSignal | undefined },
): Promise<readonly PromiseSettledResult<unknown>[]> {
  try {
    return await port.pipeline(
      keys.map((key) => ({ key, command: ['DEL', key], repeat: 'safe' })),
      options,
    )
  } catch (reason) {
    return keys.map(() => ({ status: 'rejected', reason }))
  }
}

function merge(map: Map<Key, Settle[]>, key: Key, settles: Settle[]): void {
  map.set(key, [...(map.get(key) ?? []), ...settles])
}
