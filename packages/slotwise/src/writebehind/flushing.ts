import { setTimeout as sleep } from 'node:timers/promises'
import type { KeySpace } from '../keys.js'
import { Locks } from '../lock/index.js'
import type { RedisPort } from '../redis/port.js'
import { Flusher } from './flusher.js'
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

  /** Somebody waits for what is accepted by now. */
  hurry(): void {
    for (const flusher of this.#flushers.values()) flusher.hurry()
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
   * them over what was accepted in other partitions meanwhile.
   */
  async #fence(layout: Layout): Promise<void> {
    const { writer, writeTimeoutMs } = this.#settings
    const { signal } = this.#stop
    for (let partition = 0; partition < layout.former; partition++) {
      await timely(writeTimeoutMs, signal, (until) => writer.claim(partition, until))
    }
    await this.#layouts.replace(layout, { ...layout, former: 0 }, { signal })
  }

  #share({ partitions: count }: Layout): Shares {
    const { name, leaseMs, report } = this.#settings
    const partitions = this.#partitionsOf(count)
    return new Shares(this.#port, {
      locks: new Locks(this.#port, { name: `writebehind-${name}`, onError: report }),
      members: membersKey(this.#space),
      partitions: count,
      leaseMs,
      work: (partition, signal) => this.#flush(partitions, partition, signal),
      report,
    })
  }

  async #flush(partitions: Partitions<T>, partition: number, signal: AbortSignal): Promise<void> {
    const { journal, letters } = partitions.at(partition)
    const evidence = this.#evidence
    const flusher = new Flusher<T>(journal, partition, { ...this.#settings, letters, evidence })
    this.#flushers.set(partition, flusher)
    try {
      await flusher.run(signal)
    } finally {
      this.#flushers.delete(partition)
    }
  }
}

/** Asked again after a wait, which the compiler does not know of. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted
