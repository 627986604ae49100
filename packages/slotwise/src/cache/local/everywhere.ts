import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Key, type KeySpace, keyOf } from '../../keys.js'
import type { RedisPort, Reply, ShardSubscription } from '../../redis/port.js'
import { defineScript } from '../../redis/script.js'
import enrolSource from './enrol.lua.js'
import type { LocalLevel } from './level.js'
import readersSource from './readers.lua.js'

const enrol = defineScript(enrolSource, { repeat: 'safe', decode: (reply: Reply) => reply })
const readers = defineScript(readersSource, { repeat: 'safe', decode: readersOf })

/** How long a process counts as a reader, and how often it says so. */
const COUNTS_MS = 30_000
const EVERY_MS = 10_000
/** What is left of that when it stops serving: clocks run at different speeds, by no more than this. */
const DRIFT = 0.02
const AGAIN_MS = 200
const LEAVING_MS = 1000
/** So many keys go into one message. */
const KEYS_IN_ONE = 100

/** A reader, and how far what it serves may be behind. */
interface Reader {
  readonly process: string
  readonly behindMs: number
}

/**
 * Who holds entries of one cache, over all processes: what a process may serve it has to be counted for, so that whoever
 * invalidates can wait until nobody serves the older value any more. Readers that answer shorten the wait.
 */
export class Everywhere {
  readonly #port: RedisPort
  readonly #space: KeySpace
  readonly #process = randomUUID()
  readonly #readers: Key
  /** On which readers hear what to forget. */
  readonly #heard: Key
  /** On which this process hears who has. */
  readonly #answers: Key
  readonly #report: (error: unknown) => void
  readonly #stop = new AbortController()
  readonly #subscriptions: Promise<ShardSubscription | undefined>[] = []
  readonly #waiting = new Map<string, (process: string) => void>()
  #listening: Promise<ShardSubscription | undefined> | undefined
  #calls = 0
  #hasJoined = false

  constructor(port: RedisPort, name: string, report: (error: unknown) => void) {
    this.#port = port
    this.#space = { namespace: port.namespace, pattern: 'level', name }
    this.#readers = keyOf(this.#space, ['readers'])
    this.#heard = keyOf(this.#space, ['forget'])
    this.#answers = keyOf(this.#space, ['forgotten', this.#process])
    this.#report = report
  }

  /** This process serves from the level from when it is counted, for as long as it is. */
  join(level: LocalLevel, maxStalenessMs: number): void {
    this.#hasJoined = true
    void this.#goOnCounting(level, maxStalenessMs)
    this.#subscriptions.push(this.#subscribe(this.#heard, (payload) => this.#forget(level, payload)))
  }

  /**
   * Resolves when no process serves anything older than what Redis has had of these keys since `since`, in the time of
   * `performance.now()`: after the largest `maxStalenessMs` of all readers, or as soon as all of them have answered.
   *
   * @throws RedisUnavailableError it is not known who reads
   */
  async forgotten(keys: readonly Key[], since: number, signal: AbortSignal | undefined): Promise<void> {
    const all = await readers.run(this.#port, { readers: this.#readers }, {})
    // What this process held is gone already.
    const others = new Map(
      all.filter(({ process }) => process !== this.#process).map((one) => [one.process, one.behindMs]),
    )
    if (others.size === 0) return
    const behindMs = Math.max(...others.values())
    const done = new AbortController()
    const signals = [done.signal, ...(signal === undefined ? [] : [signal])]
    const restMs = behindMs * (1 + DRIFT) + 1 - (performance.now() - since)
    const waited = sleep(Math.max(0, restMs), undefined, { ref: false, signal: AbortSignal.any(signals) })
    void this.#ask(keys, others, () => done.abort())
    await waited.catch(() => signal?.throwIfAborted())
  }

  /** What is asked of readers may be lost: then the time has to pass. */
  async #ask(keys: readonly Key[], others: Map<string, number>, answered: () => void): Promise<void> {
    try {
      this.#listening ??= this.#subscribe(this.#answers, (payload) => {
        const [call = '', process = ''] = payload.toString().split(' ')
        this.#waiting.get(call)?.(process)
      })
      if ((await this.#listening) === undefined) return
      const parts = Array.from({ length: Math.ceil(keys.length / KEYS_IN_ONE) }, (_, i) =>
        keys.slice(i * KEYS_IN_ONE, (i + 1) * KEYS_IN_ONE),
      )
      const left = new Map(parts.map((_, i) => [`${this.#calls + i}`, new Set(others.keys())]))
      this.#calls += parts.length
      for (const [call, processes] of left) {
        this.#waiting.set(call, (process) => {
          processes.delete(process)
          if (processes.size > 0) return
          this.#waiting.delete(call)
          left.delete(call)
          if (left.size === 0) answered()
        })
        // Whoever does not answer is not waited for here.
        setTimeout(() => this.#waiting.delete(call), COUNTS_MS).unref()
      }
      const calls = [...left.keys()]
      await Promise.all(
        parts.map((part, i) =>
          this.#publish(this.#heard, JSON.stringify([calls[i], this.#process, ...part])),
        ),
      )
    } catch (error) {
      this.#report(error)
    }
  }

  #forget(level: LocalLevel, payload: Buffer): void {
    try {
      const [call, asker, ...keys] = JSON.parse(payload.toString()) as readonly string[]
      for (const key of keys) level.forget(key)
      if (call === undefined || asker === undefined || asker === this.#process) return
      const answers = keyOf(this.#space, ['forgotten', asker])
      void this.#publish(answers, `${call} ${this.#process}`).catch(this.#report)
    } catch (error) {
      this.#report(error)
    }
  }

  async #goOnCounting(level: LocalLevel, maxStalenessMs: number): Promise<void> {
    const { signal } = this.#stop
    const args = { process: this.#process, behind_ms: maxStalenessMs, for_ms: COUNTS_MS }
    while (!signal.aborted) {
      const [at, wall] = [performance.now(), Date.now()]
      let isCounted = false
      try {
        await enrol.run(this.#port, { readers: this.#readers }, args, { deadlineMs: EVERY_MS, signal })
        isCounted = true
        if (this.#isStopped()) return
        const lastsMs = COUNTS_MS * (1 - DRIFT)
        level.serve(at + lastsMs, wall + lastsMs)
      } catch (error) {
        if (!this.#isStopped()) this.#report(error)
      }
      await sleep(isCounted ? EVERY_MS : AGAIN_MS, undefined, { ref: false, signal }).catch(() => {})
    }
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted
  }

  async #publish(channel: Key, message: string): Promise<void> {
    await this.#port.call({ key: channel, command: ['SPUBLISH', channel, message], repeat: 'safe' })
  }

  /** `undefined` where that is not possible: then nobody answers, and the time has to pass. */
  async #subscribe(channel: Key, message: (payload: Buffer) => void): Promise<ShardSubscription | undefined> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        return await this.#port.subscribe(channel, { message }, { signal })
      } catch (error) {
        if (!this.#isStopped()) this.#report(error)
        await sleep(EVERY_MS * Math.random(), undefined, { ref: false, signal }).catch(() => {})
      }
    }
    return undefined
  }

  /** Nobody is to wait for this process any more, which serves nothing from now on. Best effort: it ends by itself. */
  #leave(): void {
    const key = this.#readers
    const command = ['HDEL', key, `e${this.#process}`, `b${this.#process}`] as const
    void this.#port.call({ key, command, repeat: 'safe' }, { deadlineMs: LEAVING_MS }).catch(() => {})
  }

  /** To be called once the level that has joined is closed. */
  close(): void {
    if (!this.#isStopped() && this.#hasJoined) this.#leave()
    this.#stop.abort()
    for (const one of [...this.#subscriptions, this.#listening]) void one?.then((live) => live?.close())
  }
}

function readersOf(reply: Reply): readonly Reader[] {
  const parts = Array.isArray(reply) ? (reply as readonly Reply[]).map(String) : []
  return Array.from({ length: Math.floor(parts.length / 2) }, (_, i) => ({
    process: parts[2 * i] ?? '',
    behindMs: Number(parts[2 * i + 1]),
  }))
}
