import { LRUCache } from 'lru-cache'
import type { Bond, Reading, Watch } from '../../invalidation/tracking/watch.js'
import type { Key } from '../../keys.js'
import { slotOf } from '../../slots.js'
import { type Codec, type Stamp, versionOf } from '../entry.js'
import type { Look } from '../look-reply.js'
import { copyOf, isTree } from './copy.js'
import { frozen } from './freeze.js'
import { HotKeys, type Reads } from './hot-keys.js'
import type { LocalSettings } from './options.js'
import { SharedReads } from './shared-reads.js'

/** What a tag was when it was read; the same object for all entries that bear it. */
export interface KnownTag {
  version: string | undefined
  bond: Bond
}

/** An entry that is held here. */
export interface Held {
  /** What Redis had, for a look at whether it still has. */
  readonly version: Buffer
  readonly bytes: Buffer
  /** For all callers, or to be copied for each; nothing if it has to be decoded for each. */
  readonly value: unknown
  readonly handing: Handing
  readonly stamps: readonly Stamp[]
  readonly tags: readonly KnownTag[]
  readonly keptMs: number
  /** Its age when it was asked for. */
  readonly ageMs: number
  /** When it is not fresh any more, by both clocks. */
  readonly endsAt: number
  readonly endsAtWall: number
  readonly bond: Bond
}

/** How a caller comes by a value. */
export type Handing = 'shared' | 'copied' | 'decoded'

/** An entry as it was read, and what vouches for it. */
export interface Holding {
  readonly value: unknown
  readonly bytes: Buffer
  readonly stamps: readonly Stamp[]
  readonly tags: readonly KnownTag[]
  readonly keptMs: number
  readonly ageMs: number
  /** How much longer it is fresh than when it was asked for. */
  readonly freshForMs: number
  readonly bond: Bond
}

/** Nothing vouches for it. */
const LOOSE: Bond = { link: undefined, at: Number.NEGATIVE_INFINITY, wall: Number.NEGATIVE_INFINITY }

/** The entries and tags that this process holds. What vouches for them is {@link Watch}'s affair. */
export class LocalLevel {
  readonly #settings: LocalSettings
  readonly #codec: Codec
  readonly #entries: LRUCache<string, Held>
  readonly #tags: LRUCache<string, KnownTag>
  readonly #watch: Watch
  /** What may be held, where that is not everything. */
  readonly #hot: HotKeys | undefined
  /** Of what is hot. */
  readonly #shared: SharedReads
  /** Told of the news that a key has changed, while somebody wants to know. */
  news: ((key: string) => void) | undefined
  /** Until when this process is counted as a reader, by both clocks. */
  #servesUntil = Number.NEGATIVE_INFINITY
  #servesUntilWall = Number.NEGATIVE_INFINITY
  /** Since when it has been counted without a break. */
  #countedSince = Number.POSITIVE_INFINITY

  constructor(settings: LocalSettings, codec: Codec, watch: (events: LevelEvents) => Watch) {
    this.#settings = settings
    this.#codec = codec
    const { maxEntries, maxBytes, holds, maxStalenessMs } = settings
    this.#hot = holds === 'hot' ? new HotKeys(maxEntries) : undefined
    this.#shared = new SharedReads(maxStalenessMs)
    this.#entries = new LRUCache({
      max: maxEntries,
      ...(maxBytes === Infinity
        ? {}
        : { maxSize: maxBytes, sizeCalculation: ({ bytes }: Held) => Math.max(1, bytes.length) }),
    })
    this.#tags = new LRUCache({
      max: 4 * maxEntries,
      // Entries that bear it go on holding it, and nobody tells it of changes any more.
      dispose: (tag) => loosen(tag),
    })
    this.#watch = watch({
      changed: (key) => {
        this.#changed(key)
        this.news?.(key)
      },
      moved: (slots) => this.#moved(slots),
    })
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * Somebody who invalidates everywhere waits for this process, until then. Nobody did while it was not counted, so what it
   * read before is to be proved again.
   */
  serve(until: number, untilWall: number): void {
    const now = performance.now()
    if (now >= this.#servesUntil || Date.now() >= this.#servesUntilWall) {
      this.#countedSince = now
      for (const { bond } of this.#entries.values()) bond.link = undefined
      for (const tag of this.#tags.values()) loosen(tag)
      this.#shared.clear()
    }
    this.#servesUntil = until
    this.#servesUntilWall = untilWall
  }

  /** What can be served as it is. All of a local hit is in here: nothing is allocated. */
  find(key: Key): Held | undefined {
    const held = this.#entries.get(key)
    if (held === undefined) return undefined
    const now = performance.now()
    const wall = Date.now()
    if (now >= held.endsAt || wall >= held.endsAtWall || !this.#watch.isFresh(held.bond, now, wall)) {
      return undefined
    }
    if (now >= this.#servesUntil || wall >= this.#servesUntilWall) return undefined
    const { tags, stamps } = held
    for (let i = 0; i < tags.length; i++) {
      const tag = tags[i]
      if (tag === undefined || tag.version !== stamps[i]?.version) return undefined
      if (!this.#watch.isFresh(tag.bond, now, wall)) return undefined
    }
    if (this.#hot !== undefined) this.#hot.read(key)
    return held
  }

  /** The key is read, and not found here. */
  missed(key: Key): void {
    this.#hot?.read(key)
  }

  /** A read of a hot key under way that answers whoever begins now; as little as a hit, if this process is not counted. */
  sharedRead(key: Key): Promise<Look | undefined> | undefined {
    if (this.#hot === undefined) return undefined
    const [now, wall] = [performance.now(), Date.now()]
    if (now >= this.#servesUntil || wall >= this.#servesUntilWall) return undefined
    return this.#shared.find(key, now, wall)
  }

  /** Others may join the read, if the key is hot. */
  share(key: Key, reading: Reading, seen: Promise<Look | undefined>): void {
    if (this.#hot?.isHot(key) === true) this.#shared.add(key, reading, seen)
  }

  /** The keys that are read most often, where that is counted. */
  hot(): readonly Reads[] {
    return this.#hot?.hot() ?? []
  }

  holds(key: string): boolean {
    return this.#entries.has(key)
  }

  /** What is held, and has to be proved before it can be served. */
  suspect(key: Key): Held | undefined {
    const held = this.#entries.get(key)
    if (held === undefined) return undefined
    if (performance.now() < held.endsAt && Date.now() < held.endsAtWall) return held
    this.#entries.delete(key)
    return undefined
  }

  /** What a caller gets of it. */
  valueOf({ handing, value, bytes }: Pick<Held, 'handing' | 'value' | 'bytes'>): unknown {
    if (handing === 'shared') return value
    if (handing === 'copied') return copyOf(value)
    const decoded = this.#codec.read(bytes)
    // It was readable when it came, and the schema has seen it.
    return decoded instanceof Promise ? decoded.then((late) => late?.value) : decoded?.value
  }

  /** A value that was just read, as it is handed out: what callers may do with one does not depend on where it came from. */
  handOut(value: unknown): unknown {
    if (this.#settings.values === 'frozen') frozen(value)
    return value
  }

  /** How others come by a value that one caller has. */
  handing(value: unknown): 'shared' | 'decoded' {
    const { values } = this.#settings
    return values === 'copied' || (values === 'frozen' && !frozen(value)) ? 'decoded' : 'shared'
  }

  begin(key: string): Reading {
    return this.#watch.begin(key)
  }

  end(key: string, reading: Reading, node: string | undefined): Bond | undefined {
    const bond = this.#watch.end(key, reading, node)
    return reading.at >= this.#countedSince ? bond : undefined
  }

  keep(key: Key, { value, bytes, stamps, tags, keptMs, ageMs, freshForMs, bond }: Holding): void {
    if (this.#hot?.isHot(key) === false) {
      this.#entries.delete(key)
      return
    }
    const lastsMs = Math.min(freshForMs, this.#settings.maxAgeMs)
    const shared = this.handing(value)
    const handing = shared === 'decoded' && isTree(value) ? 'copied' : shared
    this.#entries.set(key, {
      version: versionOf(bytes),
      bytes,
      // Whoever has read it may change it.
      value: handing === 'shared' ? value : handing === 'copied' ? copyOf(value) : undefined,
      handing,
      stamps: stamps.map((stamp, i) => sharing(stamp, tags[i])),
      tags,
      keptMs,
      ageMs,
      endsAt: bond.at + lastsMs,
      endsAtWall: bond.wall + lastsMs,
      bond,
    })
  }

  /** Redis has something else, or what cannot be held: what was held before is not served again after that answer. */
  drop(key: Key, { at }: Reading): void {
    const held = this.#entries.peek(key)
    if (held !== undefined && held.bond.at <= at) this.#entries.delete(key)
  }

  /** What is known of a tag, and is still so; `undefined` if nothing is. */
  tag(key: string): KnownTag | undefined {
    const known = this.#tags.get(key)
    if (known?.version === undefined) return undefined
    const [now, wall] = [performance.now(), Date.now()]
    if (now >= this.#servesUntil || wall >= this.#servesUntilWall) return undefined
    return this.#watch.isFresh(known.bond, now, wall) ? known : undefined
  }

  /** What was read of a tag; for an entry to hold on to, it may be replaced here and lives on there. */
  keepTag(key: string, version: string | undefined, bond: Bond | undefined): KnownTag {
    const known = this.#tags.get(key)
    // Where it is what it was, entries go on sharing its text.
    const same = known?.version === version ? known?.version : version
    const now = { version: same, bond: bond ?? LOOSE }
    if (known === undefined) {
      if (bond !== undefined) this.#tags.set(key, now)
      return now
    }
    return Object.assign(known, now)
  }

  /** This process has changed the entry or the tag, or is about to. */
  forget(key: string): void {
    this.#watch.pass(key)
    this.#changed(key)
  }

  clear(): void {
    for (const tag of this.#tags.values()) loosen(tag)
    this.#entries.clear()
    this.#tags.clear()
    this.#shared.clear()
  }

  close(): void {
    this.#watch.close()
    this.#servesUntil = Number.NEGATIVE_INFINITY
    this.clear()
  }

  #changed(key: string): void {
    this.#entries.delete(key)
    this.#shared.forget(key)
    const tag = this.#tags.peek(key)
    if (tag !== undefined) loosen(tag)
  }

  #moved(slots: ReadonlySet<number>): void {
    for (const [key, { bond }] of this.#entries.entries()) if (slots.has(slotOf(key))) bond.link = undefined
    for (const [key, tag] of this.#tags.entries()) if (slots.has(slotOf(key))) loosen(tag)
  }
}

/** What a level hears of what it holds. */
export interface LevelEvents {
  changed(key: string): void
  moved(slots: ReadonlySet<number>): void
}

/** The same text in the same place, so that to compare the two on a hit is to compare where they are. */
function sharing(stamp: Stamp, tag: KnownTag | undefined): Stamp {
  return tag?.version === stamp.version ? { path: stamp.path, version: tag.version } : stamp
}

function loosen(tag: KnownTag): void {
  tag.version = undefined
  tag.bond = LOOSE
}
