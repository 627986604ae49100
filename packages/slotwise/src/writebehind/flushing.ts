import { setTimeout as sleep } from 'node:timers/promises'
import { BatchFencedError } from '../errors.js'
import type { KeySpace } from '../keys.js'
import { Locks } from '../lock/index.js'
import type { RedisPort } from '../redis/port.js'
import { Flusher } from './flusher.js'
import { isSame, NOWHERE } from './journal.js'
import { type Layout, Layouts, tokenOf } from './layout.js'
import type { Settings } from './options.js'
import type { Partitions } from './partitions.js'
import type { Evidence } from './settling.js'
import { membersKey, Shares } from './shares.js'
import { timely } from './timely.js'

/**
 * Flushes as many partitions as there are by the settings of the name, not by this process's options: so what waits is written
 * while that number is changed, whoever is left to do it, and by the new number once it is changed.
 */
export class Flushing<T> {
  readonly #port: RedisPort
  readonly #space: KeySpace
  readonly #settings: Settings<T>
  readonly #partitionsOf: (count: number) => Partitions<T>
  readonly #layouts: Layouts
  readonly #evidence: Evidence = { taken: 0 }
  readonly #flushers = new Map<number, Flusher<T>>()
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #shares: Shares | undefined
  #layout = ''

  constructor(
    port: RedisPort,
    space: KeySpace,
    settings: Settings<T>,
    partitionsOf: (count: number) => Partitions<T>,
  ) {
    this.#port = port
    this.#space = space
    this.#settings = settings
    this.#partitionsOf = partitionsOf
    this.#layouts = new Layouts(port, space)
    this.#ended = this.#run()
  }

  /** Those at work in this process. */
  get flushers(): readonly Flusher<T>[] {
    return [...this.#flushers.values()]
  }

  /** Somebody waits for what is accepted in this partition by now. */
  hurry(partition: number): void {
    this.#flushers.get(partition)?.hurry()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#ended
  }

  async #run(): Promise<void> {
    const { leaseMs, report } = this.#settings
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.#follow().catch((error: unknown) => {
        if (!isAborted(signal)) report(error)
      })
      await sleep(leaseMs / 4, undefined, { ref: false, signal }).catch(() => {})
    }
    await this.#shares?.close()
  }

  async #follow(): Promise<void> {
    const layout = await this.#layouts.open(this.#settings.partitions)
    if (this.#layout === tokenOf(layout) || this.#stop.signal.aborted) return
    await this.#shares?.close()
    this.#shares = undefined
    this.#layout = ''
    if (layout.former > 0) await this.#fence(layout)
    this.#shares = this.#share(layout)
    this.#layout = tokenOf(layout)
  }

  /**
   * A flusher of a former number of partitions that was paused, with rows that a failover has taken back since, must not write
   * them over what was accepted in other partitions meanwhile. And what the database has of their journals says nothing about those
   * that there are now.
   */
  async #fence(layout: Layout): Promise<void> {
    const { signal } = this.#stop
    for (let partition = 0; partition < layout.former; partition++) await this.#begin(partition, signal)
    await this.#layouts.replace(layout, { ...layout, former: 0 }, { signal })
  }

  async #begin(partition: number, stop: AbortSignal): Promise<void> {
    const { writer, writeTimeoutMs } = this.#settings
    try {
      await timely(writeTimeoutMs, stop, async (signal) => {
        const claim = await writer.claim(partition, signal)
        if (claim === undefined || isSame(claim.position, NOWHERE)) return
        const { epoch, position: from } = claim
        await writer.write([], { partition, epoch, from, to: NOWHERE, signal })
      })
    } catch (error) {
      // By one that has claimed it later, and so knows of the change too.
      if (!(error instanceof BatchFencedError)) throw error
    }
  }

  #share({ partitions: count }: Layout): Shares {
    const { name, leaseMs, report } = this.#settings
    const partitions = this.#partitionsOf(count)
    return new Shares(this.#port, {
      // The database fences whoever held a partition before: nobody has to wait after a failover. Eviction is looked at already.
      locks: new Locks(this.#port, {
        name: `writebehind-${name}`,
        quarantine: false,
        evictionCheck: 'off',
        onError: report,
      }),
      members: membersKey(this.#space),
      partitions: count,
      leaseMs,
      work: (partition, signal, lease) => this.#flush(partitions, { partition, signal, lease }),
      report,
    })
  }

  async #flush(
    partitions: Partitions<T>,
    {
      partition,
      signal,
      lease,
    }: { readonly partition: number; readonly signal: AbortSignal; readonly lease: bigint },
  ): Promise<void> {
    const { journal, letters } = partitions.at(partition)
    const evidence = this.#evidence
    const flusher = new Flusher<T>(journal, partition, { ...this.#settings, letters, evidence, lease })
    this.#flushers.set(partition, flusher)
    try {
      await flusher.run(signal)
    } finally {
      // Another may be at work in its place by now.
      if (this.#flushers.get(partition) === flusher) this.#flushers.delete(partition)
    }
  }
}

/** Asked again after a wait, which the compiler does not know of. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted
