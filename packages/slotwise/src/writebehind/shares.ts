import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Key } from '../keys.js'
import type { Lock, Locks } from '../lock/index.js'
import type { RedisPort } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import enrolSource from './enrol.lua.js'

const enrol = defineScript(enrolSource, { repeat: 'safe', decode: Number })

/** How the partitions are shared. */
export interface SharesSettings {
  readonly locks: Locks
  readonly members: Key
  readonly partitions: number
  readonly leaseMs: number
  /** Has the partition until the signal is aborted; resolves when it has stopped. */
  readonly work: (partition: number, signal: AbortSignal) => Promise<void>
  readonly report: (error: unknown) => void
}

/** What this process has at the moment. */
interface Share {
  readonly lock: Lock
  readonly stop: AbortController
  readonly ended: Promise<void>
}

/**
 * Which of the partitions are this process's: each belongs to one process, by a lease, and each process has as many as the
 * others. When one comes or goes, or dies, that is so again within two lease terms.
 *
 * That nobody else has a partition is as true as a lock is: what is done with it has to be fenced.
 */
export class Shares {
  readonly #port: RedisPort
  readonly #settings: SharesSettings
  readonly #id = randomBytes(12).toString('base64url')
  readonly #shares = new Map<number, Share>()
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>

  constructor(port: RedisPort, settings: SharesSettings) {
    this.#port = port
    this.#settings = settings
    this.#ended = this.#run()
  }

  get mine(): readonly number[] {
    return [...this.#shares.keys()]
  }

  /** Hands everything over: others can have it at once. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#ended
    await Promise.all([...this.#shares.keys()].map((partition) => this.#giveUp(partition)))
    await this.#enrol(0).catch(this.#settings.report)
  }

  async #run(): Promise<void> {
    const { leaseMs, report } = this.#settings
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.#settle().catch(report)
      await sleep(leaseMs / 4, undefined, { ref: false, signal }).catch(() => {})
    }
  }

  /** Keeps what there is, gives up what is too much, and takes what is free up to this process's part. */
  async #settle(): Promise<void> {
    const { partitions, leaseMs } = this.#settings
    const part = Math.ceil(partitions / Math.max(1, await this.#enrol(leaseMs)))
    await Promise.all([...this.#shares].map(([partition, { lock }]) => this.#keep(partition, lock)))
    const surplus = this.mine.slice(part)
    await Promise.all(surplus.map((partition) => this.#giveUp(partition)))
    for (const partition of this.#others()) {
      if (this.#stop.signal.aborted || this.#shares.size >= part) return
      await this.#take(partition)
    }
  }

  /** In an order of its own, so that processes that begin at once do not all ask for the same. */
  #others(): readonly number[] {
    const all = Array.from({ length: this.#settings.partitions }, (_, i) => i)
    const from = Math.floor(Math.random() * all.length)
    return [...all.slice(from), ...all.slice(0, from)].filter((partition) => !this.#shares.has(partition))
  }

  async #take(partition: number): Promise<void> {
    const { locks, leaseMs, work } = this.#settings
    const outcome = await locks.tryAcquire([partition], { ttlMs: leaseMs, signal: this.#stop.signal })
    if (!outcome.acquired) {
      if (outcome.reason === 'unavailable') throw outcome.cause
      return
    }
    const { lock } = outcome
    const stop = new AbortController()
    const ended = work(partition, AbortSignal.any([lock.signal, stop.signal])).finally(() => {
      // Lost, or fenced off: somebody else may have it.
      if (!stop.signal.aborted) void this.#giveUp(partition)
    })
    this.#shares.set(partition, { lock, stop, ended })
  }

  async #keep(partition: number, lock: Lock): Promise<void> {
    try {
      await lock.extend(this.#settings.leaseMs)
    } catch (error) {
      this.#settings.report(error)
      if (lock.remainingMs() === 0) await this.#giveUp(partition)
    }
  }

  async #giveUp(partition: number): Promise<void> {
    const share = this.#shares.get(partition)
    if (share === undefined) return
    this.#shares.delete(partition)
    share.stop.abort()
    await share.ended
    await share.lock.release()
  }

  async #enrol(forMs: number): Promise<number> {
    return await enrol.run(this.#port, { members: this.#settings.members }, { id: this.#id, for_ms: forMs })
  }
}
