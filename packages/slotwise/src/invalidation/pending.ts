import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidationPendingError, RedisUnavailableError } from '../errors.js'
import type { Key } from '../keys.js'
import type { CommandCall, RedisPort, Reply, ScriptCall } from '../redis/port.js'
import { writeAll } from './write-all.js'

/** How many entries may wait to be invalidated; more would be a memory leak while Redis is away. */
const MOST = 100_000
/** How many are sent at a time. */
const BATCH = 1000
const BACKOFF_MS = { min: 25, max: 2000 }

type Settle = (reached: boolean) => void

/** What removes an entry, or changes a tag: harmless to repeat. */
export type CallOf = (key: Key) => CommandCall | ScriptCall

/** What waits for an entry to be removed, and how well it is to be removed. */
interface Waiting {
  readonly settles: readonly Settle[]
  /** So many replicas are to know of it. */
  readonly replicas: number
}

/** What invalidations need to know of whose they are. */
interface PendingOptions {
  readonly callOf: CallOf
  readonly report: (error: unknown, key: Key) => void
  /** What was done counts once this says so. @defaultValue at once */
  readonly told?: (
    keys: readonly Key[],
    results: readonly PromiseSettledResult<Reply>[],
  ) => Promise<readonly PromiseSettledResult<Reply>[]>
  /** Hears that there are some now, or none any more. */
  readonly changed: () => void
}

/** Removes entries now, or goes on trying in the background until Redis takes it. */
export class PendingInvalidations {
  readonly #port: RedisPort
  readonly #options: PendingOptions
  readonly #waiting = new Map<Key, Waiting>()
  /** Sent and not answered. An entry that is invalidated anew meanwhile waits as well: the answer says nothing of it. */
  readonly #sent = new Map<Key, Waiting>()
  readonly #stop = new AbortController()
  /** Timers that will remove entries once more, and of how many. */
  readonly #timers = new Set<NodeJS.Timeout>()
  #later = 0
  #running = false

  constructor(port: RedisPort, options: PendingOptions) {
    this.#port = port
    this.#options = options
  }

  get size(): number {
    return this.#waiting.size + this.#sent.size
  }

  has(key: Key): boolean {
    return this.size > 0 && (this.#waiting.has(key) || this.#sent.has(key))
  }

  /** Resolves with whether the entry was removed in the end; never rejects. */
  add(key: Key, replicas = 0): Promise<boolean> {
    if (this.#stop.signal.aborted) return Promise.resolve(false)
    if (!this.#waiting.has(key) && this.#waiting.size >= MOST) {
      this.#options.report(
        new RedisUnavailableError(`more than ${MOST} invalidations wait for Redis; one is given up`),
        key,
      )
      return Promise.resolve(false)
    }
    return new Promise((settle) => {
      this.#wait(key, { settles: [settle], replicas })
      this.#options.changed()
      if (!this.#running) void this.#run()
    })
  }

  /**
   * Removes the entries once more in the background, and with those that Redis does not take goes on like {@link add}.
   * Until then it knows of them no more than of others.
   */
  again(keys: readonly Key[], afterMs: number, replicas = 0): void {
    const [first] = keys
    if (this.#stop.signal.aborted || first === undefined) return
    if (this.#later + keys.length > MOST) {
      const told = `more than ${MOST} entries wait to be removed once more; ${keys.length} are not`
      this.#options.report(new RedisUnavailableError(told), first)
      return
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#later -= keys.length
      void this.#repeat(keys, replicas)
    }, afterMs).unref()
    this.#timers.add(timer)
    this.#later += keys.length
  }

  /** Gives up what waits. */
  close(): void {
    this.#stop.abort()
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    for (const { settles } of this.#waiting.values()) for (const settle of settles) settle(false)
    this.#waiting.clear()
    this.#options.changed()
  }

  async #repeat(keys: readonly Key[], replicas: number): Promise<void> {
    const results = await this.#remove(keys, replicas)
    for (const [i, key] of keys.entries()) {
      const result = results[i]
      if (result?.status === 'fulfilled') continue
      this.#options.report(result?.reason, key)
      void this.add(key, replicas)
    }
  }

  async #remove(
    keys: readonly Key[],
    replicas: number | readonly number[],
  ): Promise<readonly PromiseSettledResult<Reply>[]> {
    const { callOf, told } = this.#options
    const removed = await writeAll(this.#port, keys.map(callOf), { replicas })
    return told === undefined ? removed : await told(keys, removed)
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
    for (const [key, waiting] of batch) {
      this.#waiting.delete(key)
      this.#sent.set(key, waiting)
    }
    const results = await this.#remove(
      batch.map(([key]) => key),
      batch.map(([, { replicas }]) => replicas),
    )
    let all = true
    batch.forEach(([key, waiting], i) => {
      const result = results[i]
      this.#sent.delete(key)
      if (result?.status === 'fulfilled') return waiting.settles.forEach((settle) => settle(true))
      all = false
      if (this.#stop.signal.aborted) return waiting.settles.forEach((settle) => settle(false))
      this.#options.report(result?.reason, key)
      this.#wait(key, waiting)
    })
    this.#options.changed()
    return all
  }

  #wait(key: Key, { settles, replicas }: Waiting): void {
    const present = this.#waiting.get(key)
    this.#waiting.set(key, {
      settles: [...(present?.settles ?? []), ...settles],
      replicas: Math.max(present?.replicas ?? 0, replicas),
    })
  }
}

/** The error that tells a caller of what is left, and goes on being tried. */
export function pendingError(
  left: readonly Promise<boolean>[],
  what: readonly [one: string, many: string],
  options: { readonly cause: unknown; readonly written?: unknown },
): InvalidationPendingError {
  const settled = Promise.all(left).then((all) => all.every(Boolean))
  const [one, many] = what
  const told = left.length === 1 ? one : many.replace('#', String(left.length))
  return new InvalidationPendingError(`Redis could not be told to ${told}; it goes on being tried`, {
    ...options,
    settled,
  })
}
