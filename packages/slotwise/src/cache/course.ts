import type { Key } from '../keys.js'
import { Budget } from './budget.js'
import { decode, encode } from './entry.js'
import type { Course, How, Landing, Storing } from './flight.js'
import type { Instance } from './instance.js'
import { LeaseClock } from './lease-clock.js'
import { acquire, fill, newToken, release } from './scripts.js'
import { untilNextTurn } from './turn.js'

/** What a loader is told. */
export interface LoadContext {
  /** Aborts when every caller that waits for this load has given up. */
  readonly signal: AbortSignal
}

/** Fetches a value from where it truly is. Its errors reach the callers as they are, and are never cached. */
export type Load<T> = (context: LoadContext) => T | Promise<T>

/** What the caller that sets off a flight brings along. */
export interface Departure {
  readonly key: Key
  readonly load: Load<unknown>
  readonly ttlMs: number
  readonly budget: Budget
  /** Bytes are there, and cannot be read. */
  readonly replace: boolean
}

/** A load under the eyes of Redis: finds out whose turn it is, loads or waits, and stores. */
export function ruled(instance: Instance, departure: Departure, signal: AbortSignal): Course {
  const ride = new Ride(instance, departure, signal)
  return ride.course(ride.takeTurn())
}

/** A load of which Redis knows nothing, and after which nothing is stored. */
export function detour(instance: Instance, departure: Departure, signal: AbortSignal): Course {
  const ride = new Ride(instance, departure, signal)
  return ride.course(ride.load('bypass'))
}

class Ride {
  readonly #instance: Instance
  readonly #departure: Departure
  readonly #signal: AbortSignal
  readonly #clock: LeaseClock
  readonly #token = newToken()
  #granted = false

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
    const instance = this.#instance
    const { key, budget } = this.#departure
    const { leaseMs, budgetMs } = instance.settings
    const givesUpAt = performance.now() + leaseMs
    let replace = this.#departure.replace
    for (let round = 0; ; round++) {
      const since = instance.tick()
      // An answer that tells us to wait shows that Redis is well, so what follows has a budget of its own.
      const purse = round === 0 ? budget : new Budget(budgetMs)
      try {
        const args = { token: this.#token, lease_ms: leaseMs, replace: replace ? 1 : 0 }
        const turn = await purse.spend((deadlineMs) =>
          acquire.run(instance.port, { entry: key }, args, { deadlineMs, binary: true }),
        )
        if (turn.state === 'granted') {
          this.#granted = true
          return await this.load('load')
        }
        if (turn.state === 'writing') return await this.load('load')
        if (turn.state === 'stored') {
          if (decode(turn.bytes) !== undefined)
            return { ok: true, bytes: turn.bytes, source: 'redis', how: round === 0 ? 'hit' : 'wait', since }
          replace = true
          continue
        }
        const remainingMs = Math.min(turn.remainingMs, givesUpAt - performance.now())
        if (remainingMs <= 0) return await this.load('bypass')
        await untilNextTurn(round, remainingMs, this.#signal)
      } catch (error) {
        // It may have been granted, or be granted yet, to a token that will never store.
        void this.#release()
        if (this.#signal.aborted) return { ok: false, error, since }
        instance.report(error, 'load', key)
        return await this.load('bypass')
      }
    }
  }

  /** Never rejects. */
  async load(how: How): Promise<Landing> {
    const instance = this.#instance
    instance.count('loads')
    if (how === 'bypass') instance.count('bypasses')
    const since = instance.tick()
    this.#clock.start(since)
    try {
      const bytes = encode(await this.#departure.load({ signal: this.#signal }))
      return { ok: true, bytes, source: 'loader', how, since }
    } catch (error) {
      return { ok: false, error, since }
    }
  }

  async #store(landing: Landing): Promise<Storing> {
    const instance = this.#instance
    const refused: Storing = { accepted: false, since: landing.since }
    if (!this.#granted) return refused
    if (!landing.ok || instance.closed) {
      await this.#release()
      return refused
    }
    const { key, ttlMs } = this.#departure
    const { budgetMs } = instance.settings
    const from = performance.now()
    const since = instance.tick()
    try {
      const args = { token: this.#token, bytes: landing.bytes, ttl_ms: instance.ttl(ttlMs) }
      const accepted = await fill.run(instance.port, { entry: key }, args, { deadlineMs: budgetMs })
      if (accepted) return { accepted, since }
      instance.count('refusedFills')
      instance.emit('refused-fill', key, from)
    } catch (error) {
      instance.report(error, 'store', key)
      void this.#release()
    }
    return refused
  }

  /** Best effort: the lease ends by itself. */
  async #release(): Promise<void> {
    const { port } = this.#instance
    await release.run(port, { entry: this.#departure.key }, { token: this.#token }).catch(() => {})
  }
}
