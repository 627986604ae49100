import { slotOf } from '../../slots.js'
import { Demand } from './demand.js'
import type { Link } from './link.js'

/** What keeps what was read of a key, and has to know when it is not as it was any more. */
export interface WatchEvents {
  /** The key has changed. */
  changed(key: string): void
  /** What is bound in these slots is to be read again, whoever told of it. */
  moved(slots: ReadonlySet<number>): void
  failed(error: unknown, node: string): void
}

/** Who tells of changes, and vouches that it has. */
export interface Witness {
  /** Who tells of the key, if `node` (`host:port`) has answered what was read of it. */
  linkOf(key: string, node: string): Link | undefined
  close(): void
}

/** A read on its way. */
export interface Reading {
  readonly at: number
  readonly wall: number
  readonly fence: Fence
}

/** The reads of one key under way that none of its changes has overtaken. */
interface Fence {
  isPassed: boolean
  readers: number
}

/** What was read, by whom it is vouched for, and when it was asked for. */
export interface Bond {
  link: Link | undefined
  readonly at: number
  readonly wall: number
}

/** How many proofs there are in the time that a hit may be behind. */
export const PROOFS = 4

/**
 * Vouches for what this process has read: a key's value was, at most `maxStalenessMs` ago, still what it was when it was
 * read, by both clocks of this process.
 *
 * The answer to a read and the news of a change come on different connections, so a read that a change may have
 * overtaken is bound to nothing, and neither is one that another node answered than the one that is listened to.
 */
export class Watch {
  readonly #witness: Witness
  readonly #fences = new Map<string, Fence>()
  readonly #maxStalenessMs: number
  /** For proofs: nobody is asked for one while nobody wants to know. */
  readonly #demand = new Demand()

  constructor(
    maxStalenessMs: number,
    events: WatchEvents,
    witness: (events: WatchEvents, demand: Demand) => Witness,
  ) {
    this.#maxStalenessMs = maxStalenessMs
    const heard: WatchEvents = {
      ...events,
      changed: (key) => {
        this.pass(key)
        events.changed(key)
      },
      moved: (slots) => {
        // Who answers late is the old owner, which may tell of nothing any more.
        for (const key of this.#fences.keys()) if (slots.has(slotOf(key))) this.pass(key)
        events.moved(slots)
      },
    }
    this.#witness = witness(heard, this.#demand)
  }

  /** A read begins; to be ended in any case. */
  begin(key: string): Reading {
    let fence = this.#fences.get(key)
    if (fence === undefined) this.#fences.set(key, (fence = { isPassed: false, readers: 0 }))
    fence.readers++
    return { at: performance.now(), wall: Date.now(), fence }
  }

  /** Its answer is there: what it can be kept under, if anything. */
  end(key: string, { at, wall, fence }: Reading, node: string | undefined): Bond | undefined {
    if (--fence.readers === 0 && this.#fences.get(key) === fence) this.#fences.delete(key)
    if (fence.isPassed || node === undefined) return undefined
    const link = this.#witness.linkOf(key, node)
    return link?.isLive === true && link.since <= at ? { link, at, wall } : undefined
  }

  /** What is being read of the key now may be older than what this process has just learnt. */
  pass(key: string): void {
    const fence = this.#fences.get(key)
    if (fence === undefined) return
    fence.isPassed = true
    this.#fences.delete(key)
  }

  /** Whether what was read is at most `maxStalenessMs` behind. */
  isFresh({ link, at, wall }: Bond, now: number, wallNow: number): boolean {
    this.#demand.isRaised = true
    const most = this.#maxStalenessMs
    if (link === undefined) return false
    return (
      now - (link.provedAt > at ? link.provedAt : at) <= most &&
      wallNow - (link.provedAtWall > wall ? link.provedAtWall : wall) <= most
    )
  }

  close(): void {
    this.#witness.close()
  }
}
