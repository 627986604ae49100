import { serializeList } from 'structured-headers'
import type { TierDescription, TierState } from '../decision.js'

/** What a tier counts, by the registry of the draft. */
export type QuotaUnit = 'requests' | 'content-bytes' | 'concurrent-requests'

type Parameters = Map<string, number | string>

/** The largest integer of a structured field (RFC 9651 §3.3.1), which is below what a limit may be. */
const LARGEST = 999_999_999_999_999

const bounded = (value: number): number => Math.min(LARGEST, Math.max(0, Math.floor(value)))

/** Later is safe, earlier sends a client into a refusal. */
export const seconds = (ms: number): number => bounded(Math.ceil(ms / 1000))

/**
 * The name of a tier as it can stand in a header, and so in the body beside it: what is not printable ASCII is
 * percent-encoded.
 */
export function policyName(name: string): string {
  if (/^[ -$&-~]*$/.test(name)) return name
  const encode = (part: string) =>
    `%${[...Buffer.from(part)].map((byte) => byte.toString(16).padStart(2, '0')).join('%')}`
  return name.replaceAll(/[^ -$&-~]+/g, encode)
}

/**
 * `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-10. `w` is whole seconds, and the draft has no finer: a window
 * is rounded up, so that who keeps to it is not refused, and one below a second is left out, as `w` may be, since a second
 * would be far from the truth.
 */
export function policyField(
  tiers: readonly TierDescription[],
  units: ReadonlyMap<string, QuotaUnit | undefined>,
): string {
  return serializeList(
    tiers.map(({ name, kind, limit, windowMs }) => {
      const parameters: Parameters = new Map([['q', bounded(limit)]])
      const isConcurrency = kind === 'concurrency'
      const unit = units.get(name) ?? (isConcurrency ? 'concurrent-requests' : 'requests')
      if (unit !== 'requests') parameters.set('qu', unit)
      if (!isConcurrency && windowMs >= 1000) parameters.set('w', seconds(windowMs))
      return [policyName(name), parameters]
    }),
  )
}

/** What `t` and `r` are bounded by. */
export interface LimitBounds {
  /** Names of tiers that have no time: when a request that is under way ends, nobody knows. */
  readonly timeless: ReadonlySet<string>
  /** In seconds, on refusals: no `t` may be later than `Retry-After`, so a later one of a tier that did not refuse is left out. */
  readonly latest: number
  /** The most that `r` may promise for each second until `t`. */
  readonly maxPerSecond: number
}

/** `RateLimit` of the draft: `t` is the time until anything at all comes back, which is not yet everything. */
export function limitField(
  tiers: readonly TierState[],
  { timeless, latest, maxPerSecond }: LimitBounds,
): string {
  return serializeList(
    tiers.map(({ name, remaining, nextMs }) => {
      const t = seconds(nextMs)
      const parameters: Parameters = new Map([
        ['r', bounded(Math.min(remaining, maxPerSecond * Math.max(1, t)))],
      ])
      if (t > 0 && t <= latest && !timeless.has(name)) parameters.set('t', t)
      return [policyName(name), parameters]
    }),
  )
}
