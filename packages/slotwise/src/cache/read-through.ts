import type { Key } from '../keys.js'
import { unlessAborted } from './abort.js'
import { Budget } from './budget.js'
import { type Departure, detour, type Load, ruled } from './course.js'
import { versionOf } from './entry.js'
import type { Flight, How, Landing } from './flight.js'
import type { Seat } from './flights.js'
import type { Instance } from './instance.js'
import { look } from './look.js'
import type { Look } from './look-reply.js'
import { timely } from './timely.js'

const NONE = Buffer.alloc(0)

/** What a caller wants. */
export interface Wish<T> {
  /** Bounded by the origin already. */
  readonly load: Load<T>
  readonly ttlMs: number | undefined
  /** What the entry bears, with what is above. */
  readonly tags: readonly string[]
  readonly softTimeoutMs: number
  readonly hardTimeoutMs: number
  readonly allowStale: boolean
  /** Nothing that this process holds counts. */
  readonly isStrict: boolean
  readonly signal: AbortSignal | undefined
  /** Called as soon as it is known whether the loader is needed; perhaps again later. */
  readonly decided?: (() => void) | undefined
}

/** What it gets. */
export interface Found<T> {
  readonly value: T
  readonly source: 'local' | 'redis' | 'loader'
  readonly how: How
}

type Seen = Extract<Look, { readonly state: 'found' }>

/**
 * Looks into Redis, then joins the load of the entry or sets one off.
 *
 * At most two rounds: a caller that may not have the value of the flight it found goes on to the next one, whose
 * load begins after the call did, so that nothing stands in the way of having its value.
 */
export async function readThrough<T>(
  instance: Instance,
  key: Key,
  wish: Wish<T>,
  looked?: Look,
  budgetMs = instance.pace.budgetMs,
): Promise<Found<T>> {
  const began = instance.tick()
  const budget = new Budget(budgetMs)
  for (let round = 0; ; round++) {
    wish.signal?.throwIfAborted()
    const seen =
      (round === 0 ? looked : undefined) ??
      (await look(instance, key, budget, {
        allowStale: wish.allowStale,
        named: wish.tags,
        isStrict: wish.isStrict,
      }))
    if (seen.state === 'found' && round === 0 && !seen.stale && !seen.early) return hit(instance, wish, seen)
    if (seen.state === 'found') return await served(instance, key, wish, seen, { began, budget, round })
    if (round === 0 && seen.state !== 'unreachable') instance.count('misses')
    const isReachable = seen.state !== 'unreachable'
    const flights = isReachable ? instance.flights : instance.detours
    const departure = departureOf(key, wish, budget, 'bytes' in seen ? versionOf(seen.bytes) : NONE)
    const seat = flights.join(key, (aborted) => (isReachable ? ruled : detour)(instance, departure, aborted))
    // Whoever joins a load under way does not decide anything, but for the batch that it may belong to.
    if (!seat.first) wish.decided?.()
    const landing = await landed(instance, seat, began, budget, wish)
    if (landing === undefined) continue
    if (!landing.ok) throw landing.error
    return { value: (await landing.value()) as T, source: landing.source, how: landing.how }
  }
}

function departureOf<T>(key: Key, wish: Wish<T>, budget: Budget, seen: Buffer): Departure {
  const { load, ttlMs, tags, decided } = wish
  return { key, load, ttlMs, tags, budget, seen, decided }
}

/** This caller's outcome of the flight it joins, counted; `undefined` if it must go on to the next one. */
async function landed<T>(
  instance: Instance,
  { flight, first, leave }: Seat,
  began: number,
  budget: Budget,
  { signal, hardTimeoutMs }: Wish<T>,
): Promise<Landing | undefined> {
  const seat = { isKept: false }
  try {
    const outcome = timely(flight.outcome(began, budget), hardTimeoutMs, () => {
      // The load goes on, and is stored for those who come later.
      seat.isKept = true
      void leaveWhenLanded(flight, leave)
    })
    const landing = await unlessAborted(outcome, signal)
    if (landing?.ok !== true) return landing
    const how = first || landing.how === 'bypass' ? landing.how : 'wait'
    if (how === 'hit') instance.count('hits')
    if (how === 'wait' || !first) instance.count('waits')
    return { ...landing, how }
  } finally {
    if (!seat.isKept) leave()
  }
}

async function leaveWhenLanded(flight: Flight, leave: () => void): Promise<void> {
  await flight.landed
  leave()
}

function hit<T>(instance: Instance, { decided }: Wish<T>, { value, source }: Seen): Found<T> {
  decided?.()
  instance.count(source === 'local' ? 'localHits' : 'hits')
  return { value: value as T, source, how: 'hit' }
}

/** A value that is there: as it is while it is fresh; refreshed behind the caller's back, or waited for a little, when not. */
async function served<T>(
  instance: Instance,
  key: Key,
  wish: Wish<T>,
  seen: Seen,
  { began, budget, round }: { readonly began: number; readonly budget: Budget; readonly round: number },
): Promise<Found<T>> {
  const how = round > 0 ? 'wait' : seen.stale ? 'stale' : 'hit'
  const value = { value: seen.value as T, source: 'redis', how } as const
  if (seen.stale || seen.early) {
    const departure = { ...departureOf(key, wish, budget, versionOf(seen.bytes)), isRefresh: true }
    const seat = instance.refreshes.join(key, (aborted) => ruled(instance, departure, aborted))
    // Whoever sets it off learns from Redis whether it is the one to load.
    if (!seat.first) wish.decided?.()
    void leaveWhenLanded(seat.flight, seat.leave)
    void seat.flight.landed.then((landing) => tell(instance, key, seat.first, landing))
    if (seen.stale && wish.softTimeoutMs > 0) {
      const waiting = timely(seat.flight.outcome(began, budget), wish.softTimeoutMs).catch(() => undefined)
      const landing = await unlessAborted(waiting, wish.signal)
      if (landing?.ok === true) {
        if (!seat.first) instance.count('waits')
        return { value: (await landing.value()) as T, source: landing.source, how: landing.how }
      }
    }
  } else wish.decided?.()
  instance.count(how === 'wait' ? 'waits' : 'hits')
  if (how === 'stale') instance.count('staleHits')
  return value
}

/** Nobody may be waiting for a refresh, so its failure has to be told. */
function tell(instance: Instance, key: Key, first: boolean, landing: Landing): void {
  if (first && !landing.ok && landing.skipped !== true) instance.report(landing.error, 'load', key)
}
