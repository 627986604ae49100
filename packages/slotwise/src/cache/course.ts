import { UncacheableValueError } from '../errors.js'
import type { Key } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import { Budget } from './budget.js'
import { keptMsOf, type Stamp, versionOf } from './entry.js'
import type { Course, How, Landing, Storing } from './flight.js'
import type { Instance } from './instance.js'
import { LeaseClock } from './lease-clock.js'
import { acquire, fill, newToken, release } from './scripts.js'
import { lifetimes, MOST_TTL_MS } from './settings.js'
import { TagCheck } from './tags.js'
import { untilNextTurn } from './turn.js'
import type { Wake } from './wakes.js'

/** What a loader is told, and what it may say of the value that it brings. */
export interface LoadContext {
  /** Aborted when every caller that waits for this load has given up. */
  readonly signal: AbortSignal
  /** How long this value may be served, in the place of `ttlMs`. */
  readonly setTtlMs: (ttlMs: number) => void
  /** Gives the value to those who wait for it, and does not store it. */
  readonly skipStore: () => void
}

/** Fetches a value from where it truly is. Its errors reach the callers as they are, and are never cached. */
export type Load<T> = (context: LoadContext) => T | Promise<T>

/** What the caller that sets off a flight brings along. */
export interface Departure {
  readonly key: Key
  readonly load: Load<unknown>
  readonly ttlMs: number | undefined
  readonly budget: Budget
  /** What the entry is to bear, with what is above. */
  readonly tags: readonly string[]
  /** Version of bytes that are there and are to be replaced; empty for none. */
  readonly seen: Buffer
  /** What is there goes on being served meanwhile: somebody else's load of it is not waited for. */
  readonly isRefresh?: boolean | undefined
  /** Called as soon as it is known whether this flight loads, waits or has found something; perhaps again later. */
  readonly decided?: (() => void) | undefined
}

/** From the third refusal on it is worth a subscription to be woken; most loads are over by then. */
const WAKE_FROM = 2
const WAKE_WITHIN_MS = 1000

/** A load under the eyes of Redis: finds out whose turn it is, loads or waits, and stores. */
export function ruled(instance: Instance, departure: Departure, signal: AbortSignal): Course {
  const ride = new Ride(instance, departure, signal)
  return ride.course(ride.takeTurn())
}

/** A load of which Redis knows nothing, and after which nothing is stored. */
export function detour(instance: Instance, departure: Departure, signal: AbortSignal): Course {
  const ride = new Ride(instance, departure, signal)
  departure.decided?.()
  return ride.course(ride.load('bypass'))
}

class Ride {
  readonly #instance: Instance
  readonly #departure: Departure
  readonly #signal: AbortSignal
  readonly #clock: LeaseClock
  readonly #token = newToken()
  #granted = false
  /** What the tags were before the load; `undefined` where they are not known, so that nothing may be stored. */
  #stamps: readonly Stamp[] | undefined = []

  constructor(instance: Instance, departure: Departure, signal: AbortSignal) {
    this.#instance = instance
    this.#departure = departure
    this.#signal = signal
    this.#clock = new LeaseClock(instance.settings.leaseMs)
  }

  course(landing: Promise<Landing>): Course {
    const storing = landing.then((landed) => this.#store(landed))
    void this.#watch(landing, storing)
    return { landing, storing, overdue: this.#clock.overdue }
  }

  async #watch(landing: Promise<Landing>, storing: Promise<Storing>): Promise<void> {
    await landing
    this.#instance.storing.add(storing)
    await storing
    this.#instance.storing.delete(storing)
    this.#clock.stop()
  }

  async takeTurn(): Promise<Landing> {
    const next = await this.#turn()
    return typeof next === 'string' ? await this.load(next) : next
  }

  /** What is there, or how to load. Never rejects. */
  async #turn(): Promise<Landing | 'load' | 'bypass'> {
    const hearing: { wake?: Wake | undefined; opening?: Promise<Wake | undefined> } = {}
    try {
      const instance = this.#instance
      const { key, isRefresh } = this.#departure
      const { leaseMs, codec } = instance.settings
      const givesUpAt = performance.now() + leaseMs
      let { seen } = this.#departure
      for (let round = 0; ; round++) {
        if (round === WAKE_FROM) {
          // It may take a connection of its own, and asking goes on meanwhile.
          hearing.opening = instance.wakes.open(key, { deadlineMs: WAKE_WITHIN_MS })
          void hearing.opening.then((wake) => (hearing.wake = wake))
        }
        const { wake } = hearing
        wake?.arm()
        const since = instance.tick()
        const turn = await this.#ask(round, seen, wake !== undefined)
        this.#departure.decided?.()
        if (turn.state === 'granted') {
          this.#granted = true
          return 'load'
        }
        if (turn.state === 'writing') return 'load'
        if (turn.state === 'stored') {
          const { bytes } = turn
          const decoded = await codec.read(bytes)
          if (decoded !== undefined && (await this.#holds(decoded.stamps))) {
            return this.#found(bytes, round === 0 ? 'hit' : 'wait', since)
          }
          seen = versionOf(bytes)
          continue
        }
        if (isRefresh === true) return { ok: false, error: undefined, skipped: true, since }
        const remainingMs = Math.min(turn.remainingMs, givesUpAt - performance.now())
        if (remainingMs <= 0) return 'bypass'
        await untilNextTurn(round, remainingMs, this.#signal, wake)
      }
    } catch (error) {
      this.#departure.decided?.()
      return this.#withoutTurn(error)
    } finally {
      void hearing.opening?.then((wake) => wake?.close())
    }
  }

  async #ask(round: number, seen: Buffer, isWakeable: boolean): ReturnType<typeof acquire.run> {
    const instance = this.#instance
    const { key, budget } = this.#departure
    // An answer that tells us to wait shows that Redis is well, so what follows has a budget of its own.
    const purse = round === 0 ? budget : new Budget(instance.pace.budgetMs)
    const args = {
      token: this.#token,
      lease_ms: instance.settings.leaseMs,
      seen,
      wake: isWakeable ? 1 : 0,
    }
    return await purse.spend(async (deadlineMs) => {
      // In one round trip, and both before the load.
      const stamps = this.#takeStamps(deadlineMs)
      const turn = await acquire.run(instance.port, { entry: key }, args, { deadlineMs, binary: true })
      this.#stamps = await stamps
      return turn
    })
  }

  /** Never rejects. */
  async #takeStamps(deadlineMs: number): Promise<readonly Stamp[] | undefined> {
    const { key, tags } = this.#departure
    if (tags.length === 0) return []
    try {
      return await this.#instance.tags.stamps(key, tags, deadlineMs)
    } catch (error) {
      this.#instance.report(error, 'load', key)
      return undefined
    }
  }

  /** Whether no tag has changed since. @throws RedisUnavailableError nothing is known of one of them */
  async #holds(stamps: readonly Stamp[]): Promise<boolean> {
    if (stamps.length === 0) return true
    const { tags, pace } = this.#instance
    const budget = new Budget(pace.budgetMs)
    const check = new TagCheck(tags, this.#departure.key, { isStrict: true })
    const [holds] = await check.hold([stamps], budget)
    return holds === true
  }

  #withoutTurn(error: unknown): Landing | 'bypass' {
    const instance = this.#instance
    const since = instance.tick()
    // It may have been granted, or be granted yet, to a token that will never store.
    void this.#release(0)
    if (this.#signal.aborted) return { ok: false, error, since }
    instance.unanswered()
    instance.report(error, 'load', this.#departure.key)
    // What is there is served, and the next reader tries again.
    if (this.#departure.isRefresh === true) return { ok: false, error, skipped: true, since }
    return 'bypass'
  }

  #found(bytes: Buffer, how: How, since: number): Landing {
    const value = async (): Promise<unknown> => {
      const decoded = await this.#instance.settings.codec.read(bytes)
      if (decoded === undefined) throw new UncacheableValueError('the schema changed its mind about a value')
      return this.#handOut(decoded.value)
    }
    return { ok: true, value, entry: undefined, source: 'redis', how, since }
  }

  /** Never rejects. */
  async load(how: How): Promise<Landing> {
    const instance = this.#instance
    const { codec } = instance.settings
    instance.count('loads')
    if (how === 'bypass') instance.count('bypasses')
    if (this.#departure.isRefresh === true) instance.count('refreshes')
    const since = instance.tick()
    this.#clock.start(since)
    const from = performance.now()
    try {
      const said = { ttlMs: this.#departure.ttlMs, isToStore: true }
      const context: LoadContext = {
        signal: this.#signal,
        setTtlMs: (ms) => {
          said.ttlMs = integer('ttlMs', ms, { max: MOST_TTL_MS })
        },
        skipStore: () => {
          said.isToStore = false
        },
      }
      const value = await this.#departure.load(context)
      const payload = codec.payload(value)
      // Read back at once: a value that nobody could read would be loaded again and again.
      let first: { readonly value: unknown } | undefined = {
        value: this.#handOut(await codec.reread(payload)),
      }
      const own = (): unknown => {
        const taken = first
        first = undefined
        return taken === undefined ? codec.reread(payload).then((again) => this.#handOut(again)) : taken.value
      }
      const loadMs = performance.now() - from
      const times = lifetimes(instance.settings, value, { ttlMs: said.ttlMs, loadMs })
      const stamps = said.isToStore ? this.#stamps : undefined
      const entry = stamps === undefined ? undefined : codec.wrapped(payload, times, stamps)
      if (stamps !== undefined && entry === undefined) {
        const why = `the value is not cached: it takes ${payload.byteLength} bytes, more than maxValueBytes`
        instance.report(new UncacheableValueError(why), 'store', this.#departure.key)
      }
      return { ok: true, value: own, entry, source: 'loader', how, since }
    } catch (error) {
      return { ok: false, error, since }
    }
  }

  #handOut(value: unknown): unknown {
    const { local } = this.#instance
    return local === undefined ? value : local.handOut(value)
  }

  async #store(landing: Landing): Promise<Storing> {
    const instance = this.#instance
    const refused: Storing = { accepted: false, since: landing.since }
    if (!this.#granted) return refused
    const { settings } = instance
    if (!landing.ok || landing.entry === undefined || instance.closed) {
      // Only where an older value is served meanwhile: one whose tags have changed is there as well, and is not.
      const isHeld = this.#departure.isRefresh === true && !landing.ok && !this.#signal.aborted
      await this.#release(isHeld ? settings.staleRetryMs : 0)
      return refused
    }
    const { key } = this.#departure
    const from = performance.now()
    const since = instance.tick()
    try {
      const args = { token: this.#token, bytes: landing.entry, ttl_ms: keptMsOf(landing.entry) }
      const [accepted, holds] = await Promise.all([
        fill.run(instance.port, { entry: key }, args, { deadlineMs: settings.budget.max }),
        // Whoever began after a tag had changed may not have what was loaded before; Redis cannot refuse it for that,
        // since tags lie in other slots. Readers of the entry see that it is out of date.
        this.#holds(this.#stamps ?? []).catch(() => false),
      ])
      if (accepted) {
        instance.audit?.saw('fill', key, from, versionOf(landing.entry))
        if (this.#departure.isRefresh === true) await instance.tellOf(key)
        return { accepted: holds, since }
      }
      instance.count('refusedFills')
      instance.emit('refused-fill', key, from)
    } catch (error) {
      instance.report(error, 'store', key)
      void this.#release(0)
    }
    return refused
  }

  /**
   * Best effort: the lease ends by itself. A failover takes longer than one call waits, and the server that is elected has the lease
   * too: so it goes on being tried for as long as others may wait for it. Nobody waits for more than the first try.
   */
  async #release(holdMs: number): Promise<void> {
    const { closing, port, settings } = this.#instance
    const args = { token: this.#token, hold_ms: holdMs }
    const attempt = (options?: CallOptions) =>
      release.run(port, { entry: this.#departure.key }, args, options).then(
        () => true,
        () => false,
      )
    if (!(await attempt())) void attempt({ deadlineMs: settings.leaseMs, signal: closing })
  }
}
