import type { Decision, TierDescription, TierState } from '../decision.js'
import { limitField, policyField, seconds } from './fields.js'
import type { Denial } from './limiter.js'
import type { checked } from './options.js'

/** Names and values, in the order in which they are sent. */
export type HeaderList = readonly (readonly [name: string, value: string])[]

type Settings = Pick<
  ReturnType<typeof checked>,
  'isStandard' | 'isLegacy' | 'legacyReset' | 'units' | 'maxPerSecond' | 'unavailableRetryAfterMs'
>

const MOST_POLICIES = 1000

/** What is the same for all requests of a policy. */
interface Told {
  readonly policy: string
  readonly timeless: ReadonlySet<string>
}

/** Makes the headers of decisions. */
export function headerMaker(settings: Settings) {
  const known = new Map<string, Told>()
  let last: readonly [readonly TierDescription[], Told] | undefined
  const toldOf = (tiers: readonly TierDescription[]): Told => {
    // A limiter makes its description anew each time, and most have one policy.
    if (last !== undefined && isSame(last[0], tiers)) return last[1]
    const told = lookedUp(tiers)
    last = [tiers, told]
    return told
  }
  const lookedUp = (tiers: readonly TierDescription[]): Told => {
    const which = JSON.stringify(tiers)
    const made = known.get(which)
    if (made !== undefined) return made
    const concurrency = tiers.filter(({ kind }) => kind === 'concurrency')
    const told = {
      policy: policyField(tiers, settings.units),
      timeless: new Set(concurrency.map(({ name }) => name)),
    }
    // Policies are a few plans, but nothing keeps a limiter from making one for each subject.
    if (known.size >= MOST_POLICIES) known.clear()
    known.set(which, told)
    return told
  }
  return (
    decision: Decision,
    tiers: readonly TierDescription[],
    retryAfter: number | undefined,
  ): HeaderList => {
    const headers: (readonly [string, string])[] = []
    const states = 'tiers' in decision ? decision.tiers : []
    if (settings.isStandard && tiers.length > 0) {
      const { policy, timeless } = toldOf(tiers)
      headers.push(['RateLimit-Policy', policy])
      const bounds = { timeless, latest: retryAfter ?? Infinity, maxPerSecond: settings.maxPerSecond }
      if (states.length > 0) headers.push(['RateLimit', limitField(states, bounds)])
    }
    if (settings.isLegacy) {
      const told = nearest(states, 'violated' in decision ? decision.violated : [])
      if (told !== undefined) headers.push(...legacyHeaders(told, settings.legacyReset))
    }
    if (decision.allowed) return headers
    // RFC 6585 §4: a 429 must not be stored by a cache; nor is it of use that another refusal is.
    headers.push(['Cache-Control', 'no-store'])
    if (retryAfter !== undefined) headers.push(['Retry-After', String(retryAfter)])
    return headers
  }
}

/**
 * When to come back, in whole seconds; `undefined` where waiting does not help. Where a limit of concurrency alone refused it is a
 * second: what the limiter tells then is by when a place is free at the latest, and most are long before.
 */
export function retryAfterSeconds(
  denial: Denial,
  tiers: readonly TierDescription[],
  unavailableRetryAfterMs: number,
): number | undefined {
  if (denial.reason === 'exceeds-capacity') return undefined
  if (denial.reason === 'unavailable') return seconds(unavailableRetryAfterMs)
  const { violated, retryAfterMs } = denial
  const refusing = tiers.filter(({ name }) => violated.includes(name))
  const isConcurrency = refusing.length > 0 && refusing.every(({ kind }) => kind === 'concurrency')
  return isConcurrency && denial.reason === 'limited' ? 1 : Math.max(1, seconds(retryAfterMs))
}

function isSame(some: readonly TierDescription[], others: readonly TierDescription[]): boolean {
  if (some.length !== others.length) return false
  return some.every(({ name, kind, limit, windowMs }, i) => {
    const other = others[i]
    return other?.name === name && other.kind === kind && other.limit === limit && other.windowMs === windowMs
  })
}

/** There is one place in these headers, so it goes to the tier that refuses, or will first. */
function nearest(states: readonly TierState[], violated: readonly string[]): TierState | undefined {
  const refusing = states.filter(({ name }) => violated.includes(name))
  const [first, ...rest] = refusing.length > 0 ? refusing : states
  if (first === undefined) return undefined
  return rest.reduce((least, state) => {
    if (state.remaining !== least.remaining) return state.remaining < least.remaining ? state : least
    return state.resetMs > least.resetMs ? state : least
  }, first)
}

function legacyHeaders({ limit, remaining, resetMs }: TierState, reset: 'seconds' | 'epoch'): HeaderList {
  const at = reset === 'epoch' ? seconds(Date.now() + resetMs) : seconds(resetMs)
  return [
    ['X-RateLimit-Limit', String(limit)],
    ['X-RateLimit-Remaining', String(remaining)],
    ['X-RateLimit-Reset', String(at)],
  ]
}

/** Whether a response refuses, as that of a limit further in: it speaks for itself, and no `t` may be later than it says. */
export const refuses = (status: number): boolean => status === 429 || status === 503
