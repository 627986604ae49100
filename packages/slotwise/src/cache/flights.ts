import type { Key } from '../keys.js'
import { type Course, Flight } from './flight.js'

/** A caller's place in a flight. */
export interface Seat {
  readonly flight: Flight
  /** Whether this caller set it off. */
  readonly first: boolean
  readonly leave: () => void
}

/**
 * One load of an entry at a time in this process; a map of its own per cache, because equal ids of two caches are
 * different entries. Whoever cannot use the outcome of a flight finds the next one here, not the same again.
 */
export class Flights {
  readonly #flights = new Map<Key, Flight>()

  join(key: Key, take: (signal: AbortSignal) => Course): Seat {
    const present = this.#flights.get(key)
    const flight = present ?? new Flight(take)
    if (present === undefined) {
      this.#flights.set(key, flight)
      void flight.over.then(() => this.#remove(key, flight))
    }
    flight.join()
    const leave = (): void => {
      if (flight.leave()) this.#remove(key, flight)
    }
    return { flight, first: present === undefined, leave }
  }

  #remove(key: Key, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }
}
