import { setTimeout as sleep } from 'node:timers/promises'
import { ImpossibleChangeError } from '../errors.js'
import type { KeySpace } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { Copies } from './copies.js'
import type { Journal } from './journal.js'
import { type Layout, Layouts, nextOf, tokenOf } from './layout.js'
import { forMany, Partitions } from './partitions.js'
import { openJournal, type Remainder, remainderOfJournal, sealedFor, sealJournal } from './sealing.js'
import { flushersOf } from './shares.js'

/** How far a change of the number of partitions has come. */
export interface PartitionsProgress {
  readonly step: 'sealing' | 'draining' | 'letters' | 'opening'
  /** Partitions that are through with the step, of so many. */
  readonly done: number
  readonly total: number
  /** Changes that wait to be written, in partitions that take no more. */
  readonly entries: number
  /** For how long the answer to an increment with an `idempotencyKey` may still be asked for, in milliseconds; 0 if none may. */
  readonly marksForMs: number
  /** Processes that flush: without one nothing is ever drained. */
  readonly flushers: number
}

/** Options of a change of the number of partitions. */
export interface ChangePartitionsOptions {
  readonly signal?: AbortSignal | undefined
  /** Nothing is changed. @defaultValue `false` */
  readonly dryRun?: boolean | undefined
  readonly onProgress?: ((progress: PartitionsProgress) => void) | undefined
}

/** What was changed, or would be. */
export interface PartitionsChange {
  readonly from: number
  readonly to: number
  /** `false` if there were as many already. */
  readonly changed: boolean
  /** Changes that waited when it began, and are written first. */
  readonly entries: number
  /** Dead letters that have come to lie in another partition, or would. */
  readonly letters: number
  /** Processes that flushed when it began. */
  readonly flushers: number
}

const POLL_MS = 50
const NO_BOUNDS = { lines: 1, bytes: 1, markMs: 1 }

/**
 * Spreads the rows of a name over another number of partitions. In this order, each step harmless to repeat: the settings say that it is
 * under way; every journal takes no more lines; flushers write what waits; dead letters are carried over; the journals of the new
 * number take lines; the settings say the new number. Whoever comes back after a pause finds a later layout, and changes nothing.
 */
export class Repartition {
  readonly #port: RedisPort
  readonly #space: KeySpace
  readonly #layouts: Layouts
  readonly #to: number
  readonly #options: ChangePartitionsOptions
  readonly #copies: Copies

  constructor(port: RedisPort, space: KeySpace, to: number, options: ChangePartitionsOptions) {
    this.#port = port
    this.#space = space
    this.#layouts = new Layouts(port, space)
    this.#to = integer('to', to, { max: 1024 })
    this.#options = options
    this.#copies = new Copies(port)
  }

  async run(): Promise<PartitionsChange> {
    const layout = await this.#layouts.known(this.#call)
    const { partitions: from, moving } = layout
    const to = this.#to
    let flushers = await this.#flushers()
    if (from === to && moving === undefined) {
      return { from, to, changed: false, entries: 0, letters: 0, flushers }
    }
    if (moving !== undefined && moving !== to) {
      throw new ImpossibleChangeError(
        `a change from ${from} to ${moving} partitions has begun, and has to be finished before another begins`,
      )
    }
    const old = new Partitions<unknown>(this.#port, this.#space, from, NO_BOUNDS)
    const waiting = await old.waiting(this.#call)
    const entries = waiting.reduce((sum, { first, last }) => sum + last - first + 1, 0)
    if (this.#options.dryRun === true) {
      return { from, to, entries, flushers, changed: true, letters: await this.#misplaced(old) }
    }
    // Who has just begun to flush another number of partitions does not count for a moment.
    for (let i = 0; i < 20 && flushers === 0 && entries > 0; i++) {
      await sleep(POLL_MS, undefined, { signal: this.#options.signal })
      flushers = await this.#flushers()
    }
    if (moving === undefined && entries > 0 && flushers === 0) {
      throw new ImpossibleChangeError(
        `no process flushes what waits (${entries}): start one before the number of partitions is changed`,
      )
    }
    const marked = { ...layout, moving: to }
    if (!(await this.#layouts.replace(layout, marked, this.#call))) return await this.run()
    const letters = await this.#move(marked, old)
    return { from, to, entries, flushers, changed: true, letters }
  }

  /** How many letters it has carried; 0 if another has done it meanwhile. */
  async #move(layout: Layout, old: Partitions<unknown>): Promise<number> {
    const next = nextOf(layout, this.#to)
    const young = new Partitions<unknown>(this.#port, this.#space, this.#to, NO_BOUNDS)
    // A partition of both numbers may be the very same key.
    const all = [...new Map([...old.journals, ...young.journals].map((one) => [one.key, one])).values()]
    let letters = 0
    // A failover may take back what sealed a journal: then it takes lines again, and no letters.
    do {
      do {
        await this.#drain(all, tokenOf(next))
        letters += await this.#carryLetters(old, young, sealedFor(tokenOf(next)))
      } while (!(await this.#isDrained(all, tokenOf(next))))
      await this.#open(young, tokenOf(next))
    } while (!(await this.#isDrained(all, tokenOf(next))))
    await this.#finish(layout)
    return letters
  }

  /** Unless another has, and perhaps begun something else since. */
  async #finish({ changes }: Layout): Promise<void> {
    for (;;) {
      const now = await this.#layouts.known(this.#call)
      if (now.changes !== changes || now.moving !== this.#to) return
      const former = Math.max(now.former, now.partitions)
      const next = { ...nextOf(now, this.#to), moving: undefined, former }
      // What flushes may have fenced the former ones in between.
      if (await this.#layouts.replace(now, next, this.#call)) return
    }
  }

  async #drain(journals: readonly Journal[], next: string): Promise<void> {
    const total = journals.length
    let [sealed, flushers] = [0, await this.#flushers()]
    for (const journal of journals) {
      await sealJournal(journal, next, this.#copies, this.#call)
      this.#tell({ step: 'sealing', done: ++sealed, total, flushers })
    }
    for (let round = 1; ; round++) {
      const left = await this.#remainders(journals)
      const busy = left.filter((one) => isBusy(one, next))
      this.#tell({
        step: 'draining',
        done: total - busy.length,
        total,
        entries: busy.reduce((sum, { lines }) => sum + lines, 0),
        marksForMs: Math.max(0, ...busy.map(({ marksForMs }) => marksForMs)),
        flushers,
      })
      if (busy.length === 0) return
      await sleep(POLL_MS, undefined, { signal: this.#options.signal })
      if (round % 20 !== 0) continue
      flushers = await this.#flushers()
      for (const journal of journals) await sealJournal(journal, next, this.#copies, this.#call)
    }
  }

  async #carryLetters(old: Partitions<unknown>, young: Partitions<unknown>, sealed: string): Promise<number> {
    let letters = 0
    for (let i = 0; i < old.count; i++) {
      const keyOf = (name: string) => young.journalOf(name).key
      letters += await old.at(i).letters.bequeath(sealed, keyOf, this.#copies, this.#call)
      this.#tell({ step: 'letters', done: i + 1, total: old.count })
    }
    return letters
  }

  async #open(young: Partitions<unknown>, next: string): Promise<void> {
    let opened = 0
    for (const journal of young.journals) {
      await openJournal(journal, next, this.#call)
      this.#tell({ step: 'opening', done: ++opened, total: young.count })
    }
  }

  async #isDrained(journals: readonly Journal[], next: string): Promise<boolean> {
    const left = await this.#remainders(journals)
    return !left.some((one) => isEarlier(one.belongsTo, next) || isBusy(one, next))
  }

  async #remainders(journals: readonly Journal[]): Promise<readonly Remainder[]> {
    const each = forMany(this.#call)
    return await Promise.all(journals.map((journal) => remainderOfJournal(journal, each)))
  }

  async #misplaced(old: Partitions<unknown>): Promise<number> {
    const young = new Partitions<unknown>(this.#port, this.#space, this.#to, NO_BOUNDS)
    const found = await old.letters(() => true, this.#call)
    const keyNow = (partition: number) => old.at(partition).journal.key
    return found.filter(({ name, partition }) => young.journalOf(name).key !== keyNow(partition)).length
  }

  async #flushers(): Promise<number> {
    return await flushersOf(this.#port, this.#space, this.#call)
  }

  get #call(): CallOptions {
    return { signal: this.#options.signal }
  }

  #tell(progress: Pick<PartitionsProgress, 'step' | 'done' | 'total'> & Partial<PartitionsProgress>): void {
    this.#options.onProgress?.({ entries: 0, marksForMs: 0, flushers: 0, ...progress })
  }
}

/** Something waits in a sealed journal, or in one that is not sealed any more. */
function isBusy({ belongsTo, lines, marks }: Remainder, next: string): boolean {
  return (belongsTo === sealedFor(next) || isEarlier(belongsTo, next)) && (lines > 0 || marks > 0)
}

/** It is that of an earlier layout, sealed or not, or of none: as if nobody had sealed it for this one. */
function isEarlier(belongsTo: string, next: string): boolean {
  return belongsTo === '' || Number(belongsTo.replace(/^>/, '').slice(0, 10)) < Number(next.slice(0, 10))
}
