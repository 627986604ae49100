import type { Key } from '../keys.js'
import { unlessAborted } from './abort.js'
import { Budget } from './budget.js'
import { type Departure, detour, type Load, ruled } from './course.js'
import { decode } from './entry.js'
import type { How, Landing } from './flight.js'
import type { Flights } from './flights.js'
import type { Instance } from './instance.js'

/** What a caller wants. */
export interface Wish<T> {
  readonly load: Load<T>
  readonly ttlMs: number
  readonly signal: AbortSignal | undefined
}

/** What it gets. */
export interface Found<T> {
  readonly value: T
  readonly source: 'redis' | 'loader'
  readonly how: How
}

/** What lies in Redis: a value, nothing, bytes that cannot be read; or no answer. */
export type Look<T> =
  | { readonly state: 'found'; readonly value: T }
  | { readonly state: 'nothing' | 'unreadable' | 'unreachable' }

/** One round trip within the budget. Never rejects. */
export async function look<T>(instance: Instance, key: Key, budget: Budget): Promise<Look<T>> {
  // Redis still has what this process was told to remove.
  if (instance.pending.has(key)) return { state: 'unreachable' }
  try {
    const bytes = await budget.spend((deadlineMs) =>
      instance.port.call({ key, command: ['HGET', key, 'v'], repeat: 'safe' }, { deadlineMs, binary: true }),
    )
    if (bytes === null) return { state: 'nothing' }
    const decoded = Buffer.isBuffer(bytes) ? decode(bytes) : undefined
    return decoded === undefined ? { state: 'unreadable' } : { state: 'found', value: decoded.value as T }
  } catch (error) {
    instance.report(error, 'read', key)
    return { state: 'unreachable' }
  }
}

/**
 * Looks into Redis, then joins the load of the entry or sets one off.
 *
 * At most two rounds: a caller that may not have the value of the flight it found goes on to the next one, whose
 * load begins after the call did, so that nothing stands in the way of having its value.
 */
export async function readThrough<T>(instance: Instance, key: Key, wish: Wish<T>): Promise<Found<T>> {
  const began = instance.tick()
  const budget = new Budget(instance.settings.budgetMs)
  for (let round = 0; ; round++) {
    wish.signal?.throwIfAborted()
    const seen = await look<T>(instance, key, budget)
    if (seen.state === 'found') {
      const how = round === 0 ? 'hit' : 'wait'
      instance.count(how === 'hit' ? 'hits' : 'waits')
      return { value: seen.value, source: 'redis', how }
    }
    if (round === 0 && seen.state !== 'unreachable') instance.count('misses')
    const departure = {
      key,
      load: wish.load,
      ttlMs: wish.ttlMs,
      budget,
      replace: seen.state === 'unreadable',
    }
    const landing = await fly(instance, seen.state !== 'unreachable', departure, began, wish.signal)
    if (landing === undefined) continue
    if (!landing.ok) throw landing.error
    const decoded = decode(landing.bytes)
    if (decoded !== undefined) return { value: decoded.value as T, source: landing.source, how: landing.how }
  }
}

/** This caller's outcome of the flight it joins, counted; `undefined` if it must go on to the next one. */
async function fly(
  instance: Instance,
  reachable: boolean,
  departure: Departure,
  began: number,
  signal: AbortSignal | undefined,
): Promise<Landing | undefined> {
  const flights: Flights = reachable ? instance.flights : instance.detours
  const { flight, first, leave } = flights.join(departure.key, (aborted) =>
    (reachable ? ruled : detour)(instance, departure, aborted),
  )
  try {
    const landing = await unlessAborted(flight.outcome(began, departure.budget), signal)
    if (landing?.ok !== true) return landing
    const how = first || landing.how === 'bypass' ? landing.how : 'wait'
    if (how === 'hit') instance.count('hits')
    if (how === 'wait' || !first) instance.count('waits')
    return { ...landing, how }
  } finally {
    leave()
  }
}
