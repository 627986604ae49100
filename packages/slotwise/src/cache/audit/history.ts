/** What may have happened to a key, as one process knows it. */
export type HistoryKind =
  /** A reader got what was there: from this process if `version` is told, else from Redis. */
  | 'hit'
  | 'stale'
  /** A reader got what was loaded. */
  | 'load'
  | 'wait'
  | 'bypass'
  /** What was loaded here was stored. */
  | 'fill'
  | 'refused-fill'
  /** Written by `set`, `writeThrough` or `mutate`. */
  | 'write'
  | 'invalidate'
  /** A tag of the entry was changed, by this process. */
  | 'tag'
  /** What the process holds was compared with Redis, and is the same. */
  | 'proof'
  /** The level in the process was told that the key has changed. */
  | 'news'
  /** A replica took over the node of the key. */
  | 'failover'
  /** The slot of the key has another owner. */
  | 'moved'
  | 'error'

/** The same kind several times in a row is one event. */
export interface HistoryEvent {
  readonly kind: HistoryKind
  /** When it began, the first time; in milliseconds since 1970. */
  readonly at: number
  readonly lastAt: number
  readonly times: number
  /** Of the entry, where it was known; no two entries have the same. */
  readonly version?: string | undefined
}

const KEPT = 32

/** The last things that happened to a key. */
export class History {
  readonly #events: { -readonly [K in keyof HistoryEvent]: HistoryEvent[K] }[] = []

  add(kind: HistoryKind, at: number, version?: string): void {
    const last = this.#events.at(-1)
    if (last?.kind === kind && last.version === version) {
      last.lastAt = at
      last.times++
      return
    }
    if (this.#events.length >= KEPT) this.#events.shift()
    this.#events.push({ kind, at, lastAt: at, times: 1, version })
  }

  events(): readonly HistoryEvent[] {
    return this.#events.map((event) => ({ ...event }))
  }
}
