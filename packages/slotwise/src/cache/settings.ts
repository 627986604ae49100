import type { Codec, Header } from './entry.js'
import type { ErrorContext } from './instance.js'
import type { LocalSettings } from './local/options.js'
import type { OriginOptions } from './origin.js'
import type { BudgetBounds } from './pace.js'

/** A hundred years; the most that the header of an entry could hold is more. */
export const MOST_TTL_MS = 100 * 365 * 86_400_000
/** What a timer can wait for: told to wait longer, it does not wait at all. */
export const MOST_WAIT_MS = 2 ** 31 - 1

/** What a cache was told, checked and with its defaults. */
export interface Settings {
  /** With its version. */
  readonly name: string
  /** Whose tags they are: caches with the same one share them. */
  readonly tagSpace: string
  readonly ttlMs: number
  readonly staleMs: number
  readonly negativeTtlMs: number
  readonly jitter: number
  readonly leaseMs: number
  readonly budget: BudgetBounds
  readonly earlyRefresh: number
  readonly softTimeoutMs: number
  readonly hardTimeoutMs: number
  readonly staleRetryMs: number
  readonly keepInvalidatedMs: number
  readonly replicas: number
  readonly origin: OriginOptions | undefined
  readonly local: LocalSettings | undefined
  readonly coherence: 'tracking' | 'log'
  readonly codec: Codec
  readonly onError: (error: Error, context: ErrorContext) => void
}

/** How long one value may be served: fresh, and then stale. */
export function lifetimes(
  settings: Settings,
  value: unknown,
  { ttlMs, loadMs }: { readonly ttlMs: number | undefined; readonly loadMs: number },
): Header {
  const asked = ttlMs ?? (value === null ? settings.negativeTtlMs : settings.ttlMs)
  // Up to the jitter shorter than asked, never longer, so that what was stored together does not end together.
  const freshMs = Math.max(1, Math.round(asked * (1 - settings.jitter * Math.random())))
  return { freshMs, keptMs: freshMs + settings.staleMs, loadMs }
}
