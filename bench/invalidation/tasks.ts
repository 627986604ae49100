import { setTimeout as sleep } from 'node:timers/promises'
import { valueOf } from '../cache/subject.js'
import { Gate } from '../measuring/gate.js'
import { type OneByOne, oneByOne } from './one-by-one.js'
import type { Levels, LevelsPlace, OpenLevels } from './subject.js'

const TAG = 'tag'
const POLL_MS = 10

/** What a process that holds one cache can be asked to do. */
export class Tasks {
  readonly #open: OpenLevels
  readonly #place: LevelsPlace
  #levels: Levels | undefined

  constructor(open: OpenLevels, place: LevelsPlace) {
    this.#open = open
    this.#place = place
  }

  /** Connects the instance that the other tasks use. */
  async open(): Promise<void> {
    this.#levels = await this.#open(this.#place)
  }

  /**
   * A value that bears a tag changes while it is being loaded, and the instance that loads invalidates the tag: what the
   * same instance and another one read later. The loader of those reads would bring the new one.
   */
  async tagDuringLoad(): Promise<TagDuringLoad> {
    const [same, other] = [await this.#open(this.#place), await this.#open(this.#place)]
    let version = 'old'
    const [began, gate] = [new Gate(), new Gate()]
    const load = async () => {
      const seen = valueOf('tagged', version)
      began.open()
      await gate.opened
      return seen
    }
    const loading = same.read('tagged', load, TAG)
    await began.opened
    version = 'new'
    await same.removeTag?.(TAG)
    gate.open()
    await loading
    // What is stored behind the caller's back is to be there, and what is told of it, told.
    await sleep(100)
    const later = async (levels: Levels) =>
      (await levels.read('tagged', async () => valueOf('tagged', version), TAG)).version
    const found = { same: await later(same), other: await later(other) }
    version = 'newest'
    return { ...found, isStored: (await later(other)) !== version }
  }

  /** What is read; `version` is what the database has. */
  async read(id: string, version: string): Promise<string> {
    const { version: read } = await this.#one.read(id, async () => valueOf(id, version))
    return read
  }

  async remove(id: string): Promise<void> {
    await this.#one.remove(id)
  }

  /** Whether it is the first level that answers, of whoever tells: else what is shown of that would be shown of nothing. */
  async mustHold(id: string): Promise<void> {
    const before = this.#one.localHits?.()
    await this.read(id, 'loaded')
    if (before !== undefined && this.#one.localHits?.() === before) throw new Error(`${id} is not held`)
  }

  /** Milliseconds until the instance reads what the database has; `undefined` if it does not within the bound. */
  async staleFor(id: string, version: string, boundMs: number): Promise<number | undefined> {
    const from = performance.now()
    for (;;) {
      const took = performance.now() - from
      if ((await this.read(id, version)) === version) return took
      if (took > boundMs) return undefined
      await sleep(POLL_MS)
    }
  }

  /** Reads so many entries until all of them come from the process. */
  async hold(count: number): Promise<void> {
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < count; n++) await this.read(`hit-${n}`, 'held')
      await sleep(100)
    }
  }

  /** What a hit in the process takes, one after the other, as a caller who reads in turns has it. */
  async hits(count: number, ms: number): Promise<LocalHits> {
    const ids = Array.from({ length: count }, (_, n) => `hit-${n}`)
    const levels = this.#one
    let loads = 0
    const load = async () => {
      loads++
      return valueOf('loaded')
    }
    const before = levels.localHits?.() ?? 0
    const took = await oneByOne((i) => levels.read(ids[i % count] ?? '', load), ms)
    const local = levels.localHits?.()
    return { ...took, loads, others: local === undefined ? 0 : took.calls - (local - before) }
  }

  get #one(): Levels {
    if (this.#levels === undefined) throw new Error('nothing was opened')
    return this.#levels
  }
}

/** What is read later of what was loaded before its tag changed. */
export interface TagDuringLoad {
  readonly same: string
  readonly other: string
  /** What is read later is stored: else nothing of this has been shown. */
  readonly isStored: boolean
}

export interface LocalHits extends OneByOne {
  readonly loads: number
  /** Those that came from somewhere else than the first level, where it tells. */
  readonly others: number
}
