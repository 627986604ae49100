import type { RedisPort } from '../../redis/port.js'
import { Shelves } from '../shelf/shelves.js'
import type { NextSettings } from './options.js'
import { type Entry, type Fields, packed, unpacked } from './record.js'
import { type NewlyStamped, NextTags, type Stamped } from './tags.js'

/** For so long Redis is left alone after it has not answered. */
export const REST_MS = 1000

/** An entry that may be served. */
export interface Served {
  /** To be served while the next is made. */
  readonly isStale: boolean
  /** Since it was made, by the clock of its server. */
  readonly ageMs: number
  readonly entry: Entry
}

/** Which entry: of which build, of which kind, by Next's key. */
export interface Name {
  readonly buildId: string
  readonly kind: 'page' | 'fetch' | 'image' | 'use'
  readonly key: string
}

/** An entry to be stored. */
export interface Making {
  readonly about: unknown
  readonly fields: Fields | null
  /** What it bears. */
  readonly tags: readonly string[]
  /** When it was begun, by `performance.now()`, or earlier. */
  readonly from: number
  readonly ttlMs: number
  /** It is one that was served, to be stored again: it stays as old as it is. */
  readonly again?: Stamped | undefined
}

/** Entries of Next and their tags, on an open port. Reads and writes never reject and wait at most a budget. */
export class Store {
  readonly #shelves: Shelves
  readonly #tags: NextTags
  readonly #settings: NextSettings
  #restsUntil = 0

  constructor(port: RedisPort, settings: NextSettings) {
    this.#settings = settings
    this.#shelves = new Shelves(port, settings.shelves)
    this.#tags = new NextTags(port, {
      name: settings.name,
      keepMs: settings.ttlMs,
      replicas: settings.replicas,
      report: (error, key) => this.#shelves.report(error, 'invalidate', key),
    })
  }

  /** Two round trips; `undefined` for what is not there, has ended, or cannot be told in time. */
  async get(name: Name, minded: readonly string[]): Promise<Served | undefined> {
    if (this.#rests) return undefined
    const place = placeOf(name)
    const budget = this.#shelves.budget()
    const sought = await this.#shelves.seek(place, budget)
    if (sought.state === 'unreachable') this.#rest()
    const entry = sought.state === 'found' ? unpacked(sought.value) : undefined
    if (entry === undefined) return undefined
    const key = this.#shelves.keyOf(place)
    try {
      const standing = await budget.spend((deadlineMs) => this.#tags.standing(key, entry, minded, deadlineMs))
      if (standing.state === 'over') return undefined
      return { isStale: standing.state === 'stale', ageMs: standing.ageMs, entry }
    } catch (error) {
      this.#rest()
      this.#shelves.report(error, 'read', key)
      return undefined
    }
  }

  /** Whether it was stored, as far as is known within the budget; a write that takes longer goes on. */
  async put(name: Name, making: Making): Promise<boolean> {
    const budget = this.#shelves.budget()
    const stamped = this.#rests ? undefined : await this.#stamped(name, making, budget.leftMs)
    // Only of these Next lets others have what is not finished.
    if (name.kind === 'use' && stamped?.isOvertaken !== false) this.#tags.overtaken(making.tags)
    if (stamped === undefined) return false
    const { isOvertaken: _, ...stamps } = stamped
    return await budget.await(this.#write(name, making, stamps), false)
  }

  /** @throws InvalidationPendingError Redis does not answer; it goes on being tried */
  async change(tags: readonly string[], staleMs: number | undefined): Promise<void> {
    await this.#tags.change(tags, staleMs)
  }

  /** Removes the entries of a build. @throws RedisUnavailableError, InvalidationPendingError */
  async clear(buildId: string): Promise<void> {
    await this.#shelves.clear(buildId)
  }

  /** Tells `onError` of a failure that no caller will see. */
  report(error: unknown, operation: 'read' | 'write'): void {
    this.#shelves.report(error, operation, '')
  }

  async close(): Promise<void> {
    this.#tags.close()
    await this.#shelves.close()
  }

  async #stamped(
    name: Name,
    { tags, from, again }: Making,
    deadlineMs: number,
  ): Promise<NewlyStamped | undefined> {
    const key = this.#shelves.keyOf(placeOf(name))
    try {
      if (again === undefined) return await this.#tags.stamp(key, tags, from, Math.ceil(deadlineMs))
      const madeAt = await this.#tags.timeAt(key, Math.ceil(deadlineMs))
      return { ...again, madeAt, isOvertaken: false }
    } catch (error) {
      this.#rest()
      this.#shelves.report(error, 'write', key)
      return undefined
    }
  }

  async #write(name: Name, { about, fields, ttlMs }: Making, stamped: Stamped): Promise<boolean> {
    const place = placeOf(name)
    try {
      const value = packed({ ...stamped, about, fields })
      const filing = { ...place, value, ttlMs: Math.min(ttlMs, this.#settings.ttlMs) }
      const [stored = false] = await this.#shelves.put([filing])
      return stored
    } catch (error) {
      this.#shelves.report(error, 'write', this.#shelves.keyOf(place))
      return false
    }
  }

  get #rests(): boolean {
    return performance.now() < this.#restsUntil
  }

  #rest(): void {
    this.#restsUntil = performance.now() + REST_MS
  }
}

const placeOf = ({ buildId, kind, key }: Name) => ({ shelf: buildId, parts: [kind, key] })
