import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
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
  /** Has the partition until the signal is aborted; resolves when it has stopped. It is told the token of the lease. */
  readonly work: (partition: number, signal: AbortSignal, lease: bigint) => Promise<void>
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
  /** What is being handed over. */
  readonly #leaving = new Set<Promise<void>>()
  #members = 1
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>

  constructor(port: RedisPort, settings: SharesSettings) {
    this.#port = port
    this.#settings = settings
    // Every partition listens to it.
    setMaxListeners(0, this.#stop.signal)
    this.#ended = this.#run()
  }

  get mine(): readonly number[] {
    return [...this.#shares.keys()]
  }

  /** Hands everything over: others can have it at once; where a batch does not end, once the lease is over. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#ended
    for (const partition of this.mine) this.#giveUp(partition)
    const waited = new AbortController()
    const lease = sleep(this.#settings.leaseMs, undefined, { signal: waited.signal }).catch(() => {})
    await Promise.race([Promise.all(this.#leaving), lease])
    waited.abort()
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

  /**
   * Gives up what is too much, and takes what is free up to this process's part. It waits for none of its partitions: where
   * one cannot be reached, or its batch does not end, the others go on.
   */
  async #settle(): Promise<void> {
    const { partitions, leaseMs, report } = this.#settings
    // Without an answer there are as many as before.
    this.#members = await this.#enrol(leaseMs).catch((error: unknown) => {
      report(error)
      return this.#members
    })
    const part = Math.ceil(partitions / Math.max(1, this.#members))
    for (const partition of this.mine.slice(part)) this.#giveUp(partition)
    const others = this.#others()
    while (!this.#stop.signal.aborted && this.#shares.size < part && others.length > 0) {
      const wanted = others.splice(0, part - this.#shares.size)
      await Promise.all(wanted.map((partition) => this.#take(partition).catch(report)))
    }
  }

  /** In an order of its own, so that processes that begin at once do not all ask for the same. */
  #others(): number[] {
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
    const ended = work(partition, AbortSignal.any([lock.signal, stop.signal]), lock.token).finally(() => {
      // Lost, or fenced off: somebody else may have it.
      if (!stop.signal.aborted) this.#giveUp(partition)
    })
    this.#shares.set(partition, { lock, stop, ended })
    void this.#keep(partition, lock, stop.signal)
  }

  /** By itself, so that one that gets no answer costs the others nothing. */
  async #keep(partition: number, lock: Lock, stopped: AbortSignal): Promise<void> {
    const { leaseMs, report } = this.#settings
    const signal = AbortSignal.any([lock.signal, stopped])
    for (;;) {
      await sleep(leaseMs / 4, undefined, { ref: false, signal }).catch(() => {})
      if (signal.aborted) break
      await lock.extend(leaseMs, { deadlineMs: leaseMs / 2, signal }).catch((error: unknown) => {
        if (!signal.aborted) report(error)
      })
    }
    // Lost: somebody else may have it, and this process may too, whether or not its batch has ended.
    if (!stopped.aborted) this.#giveUp(partition)
  }

  #giveUp(partition: number): void {
    const share = this.#shares.get(partition)
    if (share === undefined) return
    this.#shares.delete(partition)
    share.stop.abort()
    const left = share.ended.then(() => share.lock.release()).then(() => void this.#leaving.delete(left))
    this.#leaving.add(left)
  }

  async #enrol(forMs: number): Promise<number> {
    return await enrol.run(
      this.#port,
      { members: this.#settings.members },
      { id: this.#id, for_ms: forMs },
      {
        deadlineMs: this.#settings.leaseMs / 2,
      },
    )
  }
}
