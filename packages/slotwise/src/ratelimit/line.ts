import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigurationError } from '../errors.js'
import { type CallOptions, integer } from '../options.js'
import type { Decision, Refused } from './decision.js'
import type { Cost, Policy } from './policy.js'

/** Options of {@link RateLimiter.wait} and {@link RateLimiter.takePlace}. */
export interface WaitOptions<N extends string> extends CallOptions {
  /** Whole numbers from 1. @defaultValue `1` */
  readonly cost?: Cost<N> | undefined
  /** Refused where it would be longer, in milliseconds. @defaultValue that of the tier */
  readonly maxWaitMs?: number | undefined
}

/** A place in the line of a bucket. What it takes is taken. */
export type Place<N extends string = string> = Extract<Decision<N>, { readonly allowed: true }> & {
  /** Until its turn, from when it was answered. */
  readonly delayMs: number
  /**
   * Resolves at its turn, and not before.
   *
   * @throws the reason of the signal, if that ends it before; the place stays taken
   */
  readonly turn: (signal?: AbortSignal) => Promise<void>
  /**
   * Gives the place back, so that the next to come has it. `false` where somebody is behind it, whose moment was told and stays, or its turn
   * has come: what it takes stays taken. Harmless to repeat.
   */
  readonly leave: (call?: CallOptions) => Promise<boolean>
}

/**
 * How far ahead a place may be.
 *
 * @throws ConfigurationError there is no line, or none that long
 */
export function aheadUs(
  policy: Policy<string>,
  [cost]: readonly number[],
  maxWaitMs: number | undefined,
): number {
  const [tier] = policy.tiers
  // A place is one moment. Of several tiers each has its own, and what is taken for a later one comes back too soon.
  const longestMs = policy.tiers.length === 1 && tier?.algorithm.code === 1 ? tier.algorithm.unit : 0
  if (longestMs === 0) {
    throw new ConfigurationError(
      'to wait, a subject must have one tier, a tokenBucket with refillPerSecond and maxWaitMs',
    )
  }
  integer('cost', cost)
  return 1000 * integer('maxWaitMs', maxWaitMs ?? longestMs, { min: 0, max: longestMs })
}

/** A place whose turn is `delayMs` from now. */
export function placeOf<N extends string>(
  decision: Extract<Decision<N>, { readonly allowed: true }>,
  delayMs: number,
  giveBack: (call: CallOptions) => Promise<boolean>,
): Place<N> {
  const dueAt = performance.now() + delayMs
  return {
    ...decision,
    delayMs,
    async turn(signal) {
      // A timer may fire a part of a millisecond early.
      for (let left = delayMs; left > 0; left = dueAt - performance.now())
        await sleep(Math.ceil(left), undefined, { signal }).catch((error: unknown) => {
          signal?.throwIfAborted()
          throw error
        })
      signal?.throwIfAborted()
    },
    leave: async (call = {}) => performance.now() < dueAt && (await giveBack(call)),
  }
}

/** Waits for its turn; who gives up leaves the line. */
export async function turnOf<N extends string>(
  place: Place<N> | Refused<N>,
  signal: AbortSignal | undefined,
  report: (error: unknown) => void,
): Promise<Decision<N>> {
  if (!place.allowed) return place
  try {
    await place.turn(signal)
  } catch (error) {
    await place.leave().catch(report)
    throw error
  }
  const { delayMs: _, turn: __, leave: ___, ...decision } = place
  return decision
}
