import { setTimeout as sleep } from 'node:timers/promises'
import { BatchFencedError } from '../errors.js'
import type { DeadLetters } from './dead-letters.js'
import { isSame, type Journal, NOWHERE, type Position, type State, type Taken } from './journal.js'
import { rowOf } from './rows.js'
import { type Evidence, type NamedRow, Settling } from './settling.js'
import { errorOf, timely } from './timely.js'
import { valueOf } from './values.js'
import type { Writer } from './writer.js'

/** How one partition is flushed. */
export interface FlusherSettings<T> {
  readonly writer: Writer<T>
  readonly letters: DeadLetters<T>
  readonly evidence: Evidence
  readonly writeTimeoutMs: number
  readonly batchSize: number
  readonly flushIntervalMs: number
  /** So many have to have what is written. */
  readonly replicas: number
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

  constructor(journal: Journal, partition: number, settings: FlusherSettings<T>) {
    this.#journal = journal
    this.#partition = partition
    this.#settings = settings
    this.#settling = new Settling(settings)
  }

  /** Somebody waits for what is accepted by now. */
  hurry(): void {
    this.#isHurried = true
    this.#wake.abort()
  }

  /** Resolves once the signal is aborted, or another flusher has claimed the partition. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { writer, writeTimeoutMs } = this.#settings
    let failures = 0
    while (!signal.aborted) {
      try {
        const claim = await timely(writeTimeoutMs, signal, (until) => writer.claim(this.#partition, until))
        await this.#carry(claim?.epoch ?? 0n, claim?.position ?? NOWHERE, signal, () => (failures = 0))
      } catch (error) {
        if (error instanceof BatchFencedError || isAborted(signal)) return
        this.#settings.report(errorOf(error))
        const most = Math.min(BACKOFF_MS.max, BACKOFF_MS.min * 2 ** Math.min(failures++, 10))
        await this.#pause(most * (0.5 + Math.random() / 2), signal)
      }
    }
  }

  async #carry(epoch: bigint, begin: Position, signal: AbortSignal, moved: () => void): Promise<void> {
    const { batchSize, flushIntervalMs, replicas } = this.#settings
    let position = begin
    while (!signal.aborted) {
      this.#isHurried = false
      const from = performance.now()
      let taken = await this.#journal.take(position, batchSize, { signal })
      if (replicas > 0 && !isSame(position, taken.to)) taken = await this.#takeReplicated(position, signal)
      const { to } = taken
      if (!isSame(position, to)) {
        const rows = taken.rows.map(({ name, waiting }) => this.#row(name, waiting))
        await this.#settling.write(rows, { partition: this.#partition, epoch, from: position, to, signal })
        position = to
      }
      // Also what another flusher has written and not removed.
      if (to.written.number >= taken.first) await this.#journal.trim(to, { signal })
      moved()
      const isMore = to.seen.number > to.written.number
      if (!isMore) await this.#pause(flushIntervalMs - (performance.now() - from), signal)
    }
  }

  /**
   * What the database has and a failover takes back, marks included, would be counted again by whoever repeats it: so
   * nothing is written that the replicas do not have. Where they are away for long, it is written all the same.
   */
  async #takeReplicated(position: Position, signal: AbortSignal): Promise<Taken> {
    const { batchSize, replicas } = this.#settings
    const from = performance.now()
    for (;;) {
      const taken = await this.#journal.take(position, batchSize, { signal, replicas })
      if (taken.isReplicated === true || performance.now() - from > REPLICA_PATIENCE_MS) return taken
      await sleep(BACKOFF_MS.min, undefined, { ref: false, signal })
    }
  }

  #row(name: string, waiting: State): NamedRow<T> {
    const row = rowOf(name)
    if (waiting.bytes === undefined) return { name, row: { ...row, deleted: true } }
    return { name, row: { ...row, deleted: false, value: valueOf(waiting) as T } }
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
