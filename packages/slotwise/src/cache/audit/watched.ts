import type { Key } from '../../keys.js'
import { History } from './history.js'
import type { AuditedEntry } from './options.js'

/** A key of the sample. */
export interface Watched {
  readonly key: Key
  readonly entry: AuditedEntry
  readonly history: History
  /** By window: whether a look is planned already. */
  readonly planned: boolean[]
  /** And whether something has happened since, so that it is not the last one. */
  readonly again: boolean[]
  /** Looks that are planned or under way, second ones among them. */
  pending: number
  /** Keys of the tags that the entry bore when it was seen. */
  tags: ReadonlySet<string>
}

const NONE: ReadonlySet<string> = new Set()

/** A bounded number of keys. Whoever is still to be looked at stays, so that what was begun is ended. */
export class WatchedKeys {
  readonly #most: number
  /** The one that was planned longest ago first. */
  readonly #byKey = new Map<string, Watched>()

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#byKey.size
  }

  get(key: string): Watched | undefined {
    return this.#byKey.get(key)
  }

  all(): Iterable<Watched> {
    return this.#byKey.values()
  }

  /** `undefined` where there is no room for one more. */
  admit(key: Key, entry: AuditedEntry): Watched | undefined {
    if (this.#byKey.size >= this.#most) {
      const [oldest] = this.#byKey.values()
      if (oldest === undefined || oldest.pending > 0) return undefined
      this.#byKey.delete(oldest.key)
    }
    const watched: Watched = {
      key,
      entry,
      history: new History(),
      planned: [],
      again: [],
      pending: 0,
      tags: NONE,
    }
    this.#byKey.set(key, watched)
    return watched
  }

  /** It stays for longer than those that were planned before. */
  renew(watched: Watched): void {
    this.#byKey.delete(watched.key)
    this.#byKey.set(watched.key, watched)
  }

  clear(): void {
    this.#byKey.clear()
  }
}
