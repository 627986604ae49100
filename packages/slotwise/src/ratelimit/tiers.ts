import { ConfigurationError } from '../errors.js'
import { integer, oneOf, positive } from '../options.js'
import type { Algorithm } from './algorithm.js'
import { steadyBucket, steppedBucket } from './buckets.js'
import { calendarOf, type Period } from './calendar.js'
import type { TierKind } from './decision.js'
import { leases, log } from './lists.js'
import { alignedWindow, anchoredWindow, calendarWindow, estimatedWindow } from './windows.js'

/** One limit of a policy. Made by {@link tokenBucket}, {@link fixedWindow} and the others. */
export interface Tier<By extends string = never> {
  readonly kind: TierKind
  /** The most that can be had at once. */
  readonly limit: number
  /** Length of the window, in milliseconds; of a bucket the time from empty to full, of a concurrency its `ttlMs`. */
  readonly windowMs: number
  /** The part of a subject that it counts; nothing for all of it. */
  readonly by?: By | undefined
  /** How it is counted. @internal */
  readonly algorithm: Algorithm
}

/** Settings of every tier. */
export interface TierOptions<By extends string> {
  /**
   * Counts all subjects that have this part in common, such as `'tenant'`, at one key: with `together` of the limiter exactly, else by
   * leases, so `lease` has to be set.
   */
  readonly by?: By | undefined
}

/** Settings of {@link tokenBucket}. */
export type TokenBucketOptions = {
  /** How many tokens a full bucket holds: the largest burst. A whole number. */
  readonly capacity: number
} & (
  | {
      /** How many tokens come back a second; fractions are allowed, `10 / 60` is ten a minute. */
      readonly refillPerSecond: number
      /** How far ahead {@link RateLimiter.wait} gives places in its line, in milliseconds, up to four hours. @defaultValue `0` */
      readonly maxWaitMs?: number | undefined
    }
  | {
      /** So many tokens fall into it at every multiple of `everyMs` by the server's clock (UTC), and none between. */
      readonly refill: { readonly tokens: number; readonly everyMs: number }
    }
)

/** Settings of {@link fixedWindow}. */
export type FixedWindowOptions = {
  /** How much a window allows. */
  readonly limit: number
} & (
  | {
      readonly windowMs: number
      /**
       * `'first'`: a window begins with the first request after the last one ended; `'clock'`: at the multiples of its length
       * by the server's clock (UTC; those of a week begin on Mondays). @defaultValue `'first'`
       */
      readonly align?: 'first' | 'clock' | undefined
    }
  | {
      /** A day or a month of the calendar. @defaultValue of `timeZone` `'UTC'` */
      readonly align: { readonly period: Period; readonly timeZone?: string | undefined }
    }
)

/** Settings of {@link slidingWindow}. */
export interface SlidingWindowOptions {
  readonly limit: number
  readonly windowMs: number
  /**
   * `'estimate'` takes what came in the window before as evenly spread; `'strict'` never lets a window hold more than the limit,
   * and admits a little less for it. @defaultValue `'estimate'`
   */
  readonly mode?: 'estimate' | 'strict' | undefined
  /** Of `'strict'`: into how many parts a window is divided; what is admitted counts for at most one of them too long. @defaultValue `60` */
  readonly parts?: number | undefined
}

/** Settings of {@link slidingLog}. */
export interface SlidingLogOptions {
  /** At most 1000: each admission is kept. */
  readonly limit: number
  readonly windowMs: number
}

/** Settings of {@link concurrency}. */
export interface ConcurrencyOptions {
  /** How much may be under way at once. At most 1000: each is kept. */
  readonly max: number
  /** What was not released by then, and not renewed, is taken for lost. */
  readonly ttlMs: number
}

/** Times are integers that doubles hold exactly; with the server's own time on top they stay below 2^53. */
const LONGEST_US = 2 ** 48 - 1
const LARGEST = 2 ** 40 - 1
const LONGEST_LIST = 1000
/** How much slower than asked a bucket may fill because a token takes whole microseconds. */
const SLOWEST = 0.01

/**
 * A bucket of `capacity` tokens that refills steadily: bursts up to its capacity, `refillPerSecond` in the long
 * run. In any interval of `t` seconds at most `capacity + refillPerSecond × t` tokens are given out. With `refill` it is
 * filled in steps instead: then `capacity + tokens` for each step in the interval.
 *
 * A token takes a whole number of microseconds, rounded up, so the bucket never fills faster than asked, and at
 * most 1 % slower; rates for which that is not possible are refused, with the nearest one that is.
 *
 * @see {@link https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm | GCRA}
 *
 * @example
 * ```ts
 * import { tokenBucket } from 'slotwise/ratelimit'
 *
 * const tenPerMinute = tokenBucket({ capacity: 10, refillPerSecond: 10 / 60 })
 * const fiveAtEveryHour = tokenBucket({ capacity: 20, refill: { tokens: 5, everyMs: 3_600_000 } })
 * ```
 */
export function tokenBucket<const By extends string = never>(
  options: TokenBucketOptions & TierOptions<By>,
): Tier<By> {
  const { capacity, by } = options
  const limit = integer('capacity', capacity, { max: LARGEST })
  if ('refill' in options) {
    const tokens = integer('refill.tokens', options.refill.tokens, { max: 2 ** 24 - 1 })
    const everyUs = microseconds('refill.everyMs', options.refill.everyMs)
    const fillsUs = Math.ceil(limit / tokens) * everyUs
    if (fillsUs > LONGEST_US)
      throw tooSlow(`a bucket of ${capacity} that gets ${tokens} every ${everyUs / 1000} ms`)
    return {
      kind: 'token-bucket',
      by,
      limit,
      windowMs: fillsUs / 1000,
      algorithm: steppedBucket(limit, tokens, everyUs),
    }
  }
  const { refillPerSecond } = options
  const exact = 1_000_000 / positive('refillPerSecond', refillPerSecond)
  // 1e6 / (10 / 60) is 6000000.000000001: an error of the division must not cost a microsecond.
  const intervalUs =
    Math.abs(exact - Math.round(exact)) < exact * 1e-12 ? Math.round(exact) : Math.ceil(exact)
  if (intervalUs > exact * (1 + SLOWEST)) {
    const nearest = 1_000_000 / intervalUs
    throw new ConfigurationError(
      `refillPerSecond ${refillPerSecond} cannot be kept to within 1 % in whole microseconds; the next slower rate is ${nearest}`,
    )
  }
  if (limit * intervalUs > LONGEST_US) throw tooSlow(`a bucket of ${capacity} at ${refillPerSecond} a second`)
  return {
    kind: 'token-bucket',
    by,
    limit,
    windowMs: Math.ceil((limit * intervalUs) / 1000),
    algorithm: steadyBucket(
      limit,
      intervalUs,
      integer('maxWaitMs', options.maxWaitMs ?? 0, { min: 0, max: 14_400_000 }),
    ),
  }
}

/**
 * So many in a window of fixed length: for quotas, such as those of a month. Around the end of a window up to twice the limit
 * can be had at once; where that is too much, use {@link slidingWindow} or {@link tokenBucket}.
 *
 * @example
 * ```ts
 * import { fixedWindow } from 'slotwise/ratelimit'
 *
 * const perMonth = fixedWindow({ limit: 10_000, align: { period: 'month', timeZone: 'Europe/Zurich' } })
 * ```
 */
export function fixedWindow<const By extends string = never>(
  options: FixedWindowOptions & TierOptions<By>,
): Tier<By> {
  const { by } = options
  const limit = integer('limit', options.limit, { max: LARGEST })
  if (typeof options.align === 'object') {
    const { period, timeZone = 'UTC' } = options.align
    oneOf('align.period', period, ['day', 'month'])
    return {
      kind: 'fixed-window',
      by,
      limit,
      windowMs: (period === 'day' ? 1 : 31) * 86_400_000,
      algorithm: calendarWindow(limit, `${period} of ${timeZone}`, calendarOf(period, timeZone)),
    }
  }
  const { windowMs, align = 'first' } = options as { windowMs: number; align?: 'first' | 'clock' }
  const widthUs = microseconds('windowMs', windowMs)
  oneOf('align', align, ['first', 'clock'])
  const algorithm = align === 'first' ? anchoredWindow(limit, widthUs) : alignedWindow(limit, widthUs)
  return { kind: 'fixed-window', by, limit, windowMs, algorithm }
}

/**
 * So many in the time just gone by, in a few bytes. By `'estimate'` what came in the window before counts in proportion to how
 * much of it is still covered: cheap, and when all of it came at its very end, a window can hold almost twice the limit. With
 * `'strict'` no window ever holds more than the limit: what is admitted counts to the end of the part of the window it came in.
 *
 * @example
 * ```ts
 * import { slidingWindow } from 'slotwise/ratelimit'
 *
 * const perMinute = slidingWindow({ limit: 100, windowMs: 60_000 })
 * const neverMore = slidingWindow({ limit: 100, windowMs: 60_000, mode: 'strict' })
 * ```
 */
export function slidingWindow<const By extends string = never>({
  limit,
  windowMs,
  mode = 'estimate',
  parts = 60,
  by,
}: SlidingWindowOptions & TierOptions<By>): Tier<By> {
  integer('limit', limit, { max: LARGEST })
  const widthUs = microseconds('windowMs', windowMs)
  oneOf('mode', mode, ['estimate', 'strict'])
  if (mode === 'strict') {
    integer('limit', limit, { max: 2 ** 31 - 1 })
    integer('parts', parts, { max: LONGEST_LIST })
    return { kind: 'sliding-window', by, limit, windowMs, algorithm: log(limit, widthUs, parts) }
  }
  const unitUs = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000].find(
    (unit) => widthUs % unit === 0 && limit * (widthUs / unit) <= Number.MAX_SAFE_INTEGER,
  )
  if (unitUs === undefined || (unitUs > 1 && widthUs / unitUs < 1000)) {
    throw new ConfigurationError(
      `a limit of ${limit} in ${windowMs} ms cannot be counted exactly: limit × window is beyond 2^53, also in the coarsest unit that divides the window, of a second or a thousandth of it at most`,
    )
  }
  return { kind: 'sliding-window', by, limit, windowMs, algorithm: estimatedWindow(limit, widthUs, unitUs) }
}

/**
 * So many in the time just gone by, exactly: a window never holds more than the limit, and a place is free the moment its
 * admission is as old as the window. Each admission is kept, in 16 bytes, so the limit is at most 1000.
 */
export function slidingLog<const By extends string = never>({
  limit,
  windowMs,
  by,
}: SlidingLogOptions & TierOptions<By>): Tier<By> {
  integer('limit', limit, { max: LONGEST_LIST })
  const algorithm = log(limit, microseconds('windowMs', windowMs))
  return { kind: 'sliding-log', by, limit, windowMs, algorithm }
}

/**
 * So many at once: what is admitted counts until it is released, and no longer than `ttlMs` unless it is renewed. Of its refusals
 * `retryAfterMs` is a bound: a place may be released sooner, or what holds it be renewed.
 *
 * @see RateLimiter.release RateLimiter.renew
 */
export function concurrency<const By extends string = never>({
  max,
  ttlMs,
  by,
}: ConcurrencyOptions & TierOptions<By>): Tier<By> {
  integer('max', max, { max: LONGEST_LIST })
  return {
    kind: 'concurrency',
    by,
    limit: max,
    windowMs: ttlMs,
    algorithm: leases(max, microseconds('ttlMs', ttlMs)),
  }
}

const tooSlow = (bucket: string) =>
  new ConfigurationError(
    `${bucket} takes more than eight years to fill: use a smaller capacity or a higher rate`,
  )

const microseconds = (name: string, ms: number): number =>
  integer(name, ms, { max: Math.floor(LONGEST_US / 1000) }) * 1000
