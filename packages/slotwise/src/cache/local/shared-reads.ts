import type { Reading } from '../../invalidation/tracking/watch.js'
import type { Look } from '../look-reply.js'

interface Shared {
  readonly reading: Reading
  readonly seen: Promise<Look | undefined>
}

/**
 * Reads of Redis under way that others may join. What is told of a tag does not come here: everybody looks at the tags
 * of an entry for themselves.
 */
export class SharedReads {
  readonly #maxStalenessMs: number
  readonly #reads = new Map<string, Shared>()

  constructor(maxStalenessMs: number) {
    this.#maxStalenessMs = maxStalenessMs
  }

  get size(): number {
    return this.#reads.size
  }

  /**
   * A read that may answer somebody who begins now: it was sent at most `maxStalenessMs` ago, by both clocks, and nothing
   * has been heard of the key since. What it brings is then no more behind than a hit of this process may be.
   */
  find(key: string, now: number, wall: number): Promise<Look | undefined> | undefined {
    const shared = this.#reads.get(key)
    if (shared === undefined) return undefined
    const { at, wall: wallAt } = shared.reading
    const isRecent = now - at <= this.#maxStalenessMs && wall - wallAt <= this.#maxStalenessMs
    return isRecent ? shared.seen : undefined
  }

  /** Until it ends or is forgotten, or the next one takes its place. */
  add(key: string, reading: Reading, seen: Promise<Look | undefined>): void {
    this.#reads.set(key, { reading, seen })
    const end = (): void => {
      if (this.#reads.get(key)?.reading === reading) this.#reads.delete(key)
    }
    seen.then(end, end)
  }

  /** Whoever begins from now on may know of a change that these reads have missed. */
  forget(key: string): void {
    this.#reads.delete(key)
  }

  clear(): void {
    this.#reads.clear()
  }
}
