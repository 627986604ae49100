import type { Clocks } from '../../../src/lock/deadline.js'
import type { Chance } from './chance.js'
import type { VirtualTime } from './virtual-time.js'

/** When time begins on clocks that are right. */
export const EPOCH_MS = Date.UTC(2026, 0, 1)
/**
 * A wall clock runs too fast for so long, and too slow for as long: two may come further apart than servers are believed, and
 * come together again. Those that nobody sets right would stay apart for good.
 */
const SLEWED_MS = 100_000
/** How late a process notices at most that its clock was set. */
const NOTICED_MS = 250

/** By how much a wall clock is ahead, of those that run at this rate, at a time of the simulation. */
export function driftMs(ms: number, rate: number): number {
  const at = ms % (2 * SLEWED_MS)
  return (rate - 1) * Math.min(at, 2 * SLEWED_MS - at)
}

/** A process of a simulation: its clocks are its own, and now and then it stands still. */
export class SimulatedProcess {
  readonly id: number
  readonly clocks: Clocks
  readonly chance: Chance
  /** How fast its clocks are. */
  readonly rate: number
  readonly #time: VirtualTime
  readonly #steps = new Set<() => void>()
  #pausedUntil = 0
  #aheadMs: number

  constructor(id: number, time: VirtualTime, chance: Chance, clock: { rate: number; aheadMs: number }) {
    this.id = id
    this.chance = chance
    this.#time = time
    this.#aheadMs = clock.aheadMs
    const { rate } = clock
    this.rate = rate
    const start = chance.between(0, 1e6)
    this.clocks = {
      monotonicMs: () => start + time.now * rate,
      wallMs: () => EPOCH_MS + time.now + driftMs(time.now, rate) + this.#aheadMs,
      after: (ms, then) => time.after(ms / rate, () => this.run(then)),
      onStep: (listener) => {
        this.#steps.add(listener)
        return () => this.#steps.delete(listener)
      },
    }
  }

  /** Does something as soon as it does not stand still. */
  run(what: () => void): void {
    if (this.#time.now < this.#pausedUntil) this.#time.at(this.#pausedUntil, () => this.run(what))
    else what()
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clocks.after(ms, resolve)
    })
  }

  /** Stands still for so long: nothing is read, no timer runs. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#time.now + ms)
  }

  /** Its wall clock is set. */
  setClock(aheadMs: number): void {
    this.#aheadMs = aheadMs
    this.#time.after(this.chance.between(0, NOTICED_MS), () =>
      this.run(() => {
        for (const listener of this.#steps) listener()
      }),
    )
  }
}
