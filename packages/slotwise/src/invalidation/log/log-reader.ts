import { setTimeout as sleep } from 'node:timers/promises'
import type { Key } from '../../keys.js'
import type { ShardSubscription } from '../../redis/port.js'
import { Link } from '../tracking/link.js'
import type { ChangeLog, Position } from './change-log.js'

/** What is heard of a log. */
export interface LogEvents {
  changed(name: string): void
  /** Something may have been appended that will not be told. */
  missed(log: number): void
  failed(error: unknown): void
}

/** How a log is read. */
export interface LogReaderSettings {
  /** How often it is read while somebody wants to know; always, unless told. */
  readonly everyMs: number
  readonly isWanted?: (() => boolean) | undefined
  /** Where to go on; the end of the log if there is none. */
  readonly from?: Position | undefined
}

const AGAIN_MS = 50
/** How often it is read while nobody wants to know, so that what it tells is not too much at a time. */
const IDLE_MS = 1000

/** Reads one log on and on: when it is woken, and every so often, since what wakes it may be lost. */
export class LogReader {
  readonly #changes: ChangeLog
  readonly #index: number
  readonly #log: Key
  readonly #settings: LogReaderSettings
  readonly #events: LogEvents
  readonly #stop = new AbortController()
  #subscription: Promise<ShardSubscription | undefined> | undefined
  #wake = new AbortController()
  /** Something was appended since the last reading began. */
  #isWoken = false
  #position: Position | undefined
  #link: Link | undefined
  /** Resolves when the first page was read, or the reader was closed before. */
  readonly started: Promise<void>
  #onStart: () => void = () => {}

  constructor(changes: ChangeLog, index: number, settings: LogReaderSettings, events: LogEvents) {
    this.#changes = changes
    this.#index = index
    this.#log = changes.logs[index] ?? ('' as never)
    this.#settings = settings
    this.#position = settings.from
    this.#events = events
    this.started = new Promise((resolve) => (this.#onStart = resolve))
    void this.#run()
  }

  /** What it tells, from when it began, or since it last missed something. */
  get link(): Link | undefined {
    return this.#link
  }

  get position(): Position | undefined {
    return this.#position
  }

  close(): void {
    this.#stop.abort()
    this.#wake.abort()
    if (this.#link !== undefined) this.#link.isLive = false
    this.#onStart()
    void this.#subscription?.then((subscription) => subscription?.close())
  }

  async #run(): Promise<void> {
    this.#subscription = this.#subscribe()
    while (!this.#stop.signal.aborted) {
      const pause = await this.#read().catch((error: unknown) => {
        this.#failed(error)
        return AGAIN_MS
      })
      if (pause > 0) await this.#pause(pause)
      for (let ms = pause; ms < IDLE_MS && ms > 0 && !this.#isDue(); ms += pause) await this.#pause(pause)
    }
  }

  /** One page; how long to wait for the next. */
  async #read(): Promise<number> {
    const [at, wall] = [performance.now(), Date.now()]
    const options = { signal: this.#stop.signal }
    this.#isWoken = false
    if (this.#position === undefined) {
      this.#position = await this.#changes.end(this.#log, options)
      this.#begin(at, wall)
      return this.#settings.everyMs
    }
    const page = await this.#changes.after(this.#log, this.#position, options)
    if (page === 'missed') {
      if (this.#link !== undefined) this.#link.isLive = false
      this.#link = undefined
      this.#position = undefined
      this.#events.missed(this.#index)
      return 0
    }
    this.#position = page.position
    for (const name of page.names) this.#events.changed(name)
    if (!page.isLast) return 0
    if (this.#link === undefined) this.#begin(at, wall)
    else {
      this.#link.provedAt = at
      this.#link.provedAtWall = wall
    }
    return this.#settings.everyMs
  }

  /** Whatever is appended from here on is told. */
  #begin(at: number, wall: number): void {
    // Whoever reads something later than this is told of what changes after: `at` is from before the log was asked.
    const link = new Link(this.#log, performance.now())
    link.provedAt = at
    link.provedAtWall = wall
    this.#link = link
    this.#onStart()
  }

  #isDue(): boolean {
    return this.#stop.signal.aborted || this.#isWoken || this.#settings.isWanted?.() !== false
  }

  #wakeUp(): void {
    this.#isWoken = true
    this.#wake.abort()
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isWoken) return
    this.#wake = new AbortController()
    await sleep(ms, undefined, { ref: false, signal: this.#wake.signal }).catch(() => {})
  }

  #failed(error: unknown): void {
    if (!this.#stop.signal.aborted) this.#events.failed(error)
  }

  async #subscribe(): Promise<ShardSubscription | undefined> {
    const listener = { message: () => this.#wakeUp(), resumed: () => this.#wakeUp() }
    while (!this.#stop.signal.aborted) {
      try {
        return await this.#changes.port.subscribe(this.#log, listener, { signal: this.#stop.signal })
      } catch (error) {
        this.#failed(error)
        await sleep(1000 * Math.random(), undefined, { ref: false, signal: this.#stop.signal }).catch(
          () => {},
        )
      }
    }
    return undefined
  }
}
