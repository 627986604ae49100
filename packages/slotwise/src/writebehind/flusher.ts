import { setTimeout as sleep } from 'node:timers/promises'
import { BatchFencedError } from '../errors.js'
import { type Events, publish } from '../telemetry.js'
import type { DeadLetters } from './dead-letters.js'
import { isAsked, type Safety } from './durability.js'
import {
  isSame,
  type Journal,
  NOWHERE,
  type Owner,
  type Position,
  type Taken,
  type TakenRow,
} from './journal.js'
import { Pace, type PaceBounds } from './pace.js'
import { rowOf } from './rows.js'
import { type Evidence, type NamedRow, Settling } from './settling.js'
import { Seen } from './stats.js'
import { errorOf, timely } from './timely.js'
import { toldOfLetters } from './told.js'
import { valueOf } from './values.js'
import type { BatchContext, Claim, Writer } from './writer.js'

/** How one partition is flushed. */
export interface FlusherSettings<T> {
  /** What events call it. */
  readonly name: string
  readonly writer: Writer<T>
  readonly letters: DeadLetters<T>
  readonly evidence: Evidence
  readonly writeTimeoutMs: number
  readonly batchSize: PaceBounds
  readonly flushIntervalMs: number
  /** What is written has to be so safe. */
  readonly safety: Safety
  /** The token of the lease: larger than that of every earlier one. */
  readonly lease: bigint
  /** Told of every failure; the batch is tried again. */
  readonly report: (error: unknown) => void
}

/** Longer than an election takes. */
const REPLICA_PATIENCE_MS = 10_000
const BACKOFF_MS = { min: 50, max: 5000 }

/** Carries the journal of one partition to the database, for as long as the partition is this process's. */
export class Flusher<T> {
  readonly #journal: Journal
  readonly #partition: number
  readonly #settings: FlusherSettings<T>
  readonly #settling: Settling<T>
  #wake = new AbortController()
  #isHurried = false
  /** What is under way, for who is told of it. */
  #batch = { lines: 0, rows: 0, from: 0 }
  readonly #pace: Pace
  readonly seen = new Seen()

  constructor(journal: Journal, partition: number, settings: FlusherSettings<T>) {
    this.#journal = journal
    this.#partition = partition
    this.#settings = settings
    this.#settling = new Settling(settings)
    this.#pace = new Pace(settings.batchSize)
  }

  /** Somebody waits for what is accepted by now. */
  hurry(): void {
    this.#isHurried = true
    this.#wake.abort()
  }

  /** How many lines the next batch may have. */
  get batchSize(): number {
    return this.#pace.size
  }

  /** Resolves once the signal is aborted, or another flusher has claimed the partition. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { writer, writeTimeoutMs } = this.#settings
    let failures = 0
    while (!signal.aborted) {
      this.#batch = { lines: 0, rows: 0, from: performance.now() }
      try {
        const claim = await timely(writeTimeoutMs, signal, (until) => writer.claim(this.#partition, until))
        await this.#carry(claim, signal, () => (failures = 0))
      } catch (thrown) {
        if (isAborted(signal)) return
        const error = errorOf(thrown)
        if (error instanceof BatchFencedError) {
          this.#tell('fenced', error.message)
          return
        }
        this.#tell('failed', error.message)
        if (this.#batch.lines > 0) this.#pace.failed(this.#batch.lines)
        this.#settings.report(error)
        const most = Math.min(BACKOFF_MS.max, BACKOFF_MS.min * 2 ** Math.min(failures++, 10))
        await this.#pause(most * (0.5 + Math.random() / 2), signal)
      }
    }
  }

  async #carry(claim: Claim | undefined, signal: AbortSignal, moved: () => void): Promise<void> {
    const { flushIntervalMs, lease } = this.#settings
    const owner: Owner = claim === undefined ? `t${lease}` : `e${claim.epoch}`
    let position = claim?.position ?? NOWHERE
    while (!signal.aborted) {
      this.#isHurried = false
      const from = performance.now()
      this.#batch = { lines: 0, rows: 0, from }
      const taken = await this.#take(position, owner, signal)
      this.seen.took(taken)
      if (!isSame(position, taken.to)) {
        position = await this.#write(taken, { from: position, epoch: claim?.epoch ?? 0n, owner, signal })
      }
      // Also what another flusher has written and not removed.
      if (position.written.number >= taken.first) await this.#journal.trim(position, { owner, signal })
      moved()
      const isMore = position.seen.number > position.written.number
      if (!isMore) await this.#pause(flushIntervalMs - (performance.now() - from), signal)
    }
  }

  /**
   * What the database has and a failover takes back, marks included, would be counted again by whoever repeats it: so
   * nothing is written that is not as safe as was asked for. Where that takes long, it is written all the same.
   */
  async #take(position: Position, owner: Owner, signal: AbortSignal): Promise<Taken> {
    const { safety } = this.#settings
    const from = performance.now()
    if (!isAsked(safety)) return await this.#journal.take(position, this.#pace.size, { signal, owner })
    const isMore = position.seen.number > position.written.number
    if (!isMore) {
      // One line says whether there is anything to wait for.
      const looked = await this.#journal.take(position, 1, { signal, owner })
      if (isSame(position, looked.to)) return looked
    }
    for (;;) {
      const taken = await this.#journal.take(position, this.#pace.size, { signal, owner, ...safety })
      if (taken.isSafe || performance.now() - from > REPLICA_PATIENCE_MS) return taken
      await sleep(BACKOFF_MS.min, undefined, { ref: false, signal })
    }
  }

  /** Where the journal is once that is done. */
  async #write(
    taken: Taken,
    {
      from,
      epoch,
      owner,
      signal,
    }: Pick<BatchContext, 'from' | 'epoch' | 'signal'> & { readonly owner: Owner },
  ): Promise<Position> {
    const { name, report } = this.#settings
    const rows = taken.rows.map((row) => this.#row(row))
    const lines = taken.to.written.number - taken.from + 1
    this.#batch = { lines, rows: rows.length, from: performance.now() }
    const context = { partition: this.#partition, epoch, from, to: taken.to, signal }
    const { to, given, ms } = await this.#settling.write(rows, context, owner)
    if (ms !== undefined && lines > 0) this.#pace.wrote(lines, ms)
    this.seen.wrote(to.seen.number - to.written.number, given)
    if (lines > 0) this.#tell('written', undefined, taken.ms)
    toldOfLetters(name, 'given-up', given)
    if (!taken.goesOn && !isSame(from, NOWHERE)) {
      this.#tell('rewound')
      const words = `the journal of partition ${this.#partition} did not go on from what the database had`
      report(new Error(`${words}: ${lines} lines were written again`))
    }
    return to
  }

  #row({ name, waiting, tag, hasLetter }: TakenRow): NamedRow<T> {
    const { id, tenant } = rowOf(name)
    const isDeleted = waiting.bytes === undefined
    const value = isDeleted ? undefined : (valueOf(waiting) as T)
    // Written out: this is done for each row, and to spread it costs more than to read it.
    if (tenant === undefined) {
      const row = isDeleted
        ? ({ id, deleted: true } as const)
        : { id, deleted: false as const, value: value as T }
      return { name, tag, hasLetter, row }
    }
    const row = isDeleted
      ? ({ id, tenant, deleted: true } as const)
      : { id, tenant, deleted: false as const, value: value as T }
    return { name, tag, hasLetter, row }
  }

  #tell(kind: Events['slotwise:writebehind:flush']['kind'], reason?: string, waitedMs?: number): void {
    publish('slotwise:writebehind:flush', () => {
      const { lines, rows, from } = this.#batch
      const durationMs = performance.now() - from
      return {
        name: this.#settings.name,
        partition: this.#partition,
        kind,
        lines,
        rows,
        durationMs,
        delayMs: waitedMs === undefined ? undefined : waitedMs + durationMs,
        reason,
      }
    })
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    if (ms <= 0 || this.#isHurried) return
    this.#wake = new AbortController()
    const ended = AbortSignal.any([signal, this.#wake.signal])
    await sleep(ms, undefined, { ref: false, signal: ended }).catch(() => {})
  }
}

/** Asked again after a wait, which the compiler does not know of. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted
