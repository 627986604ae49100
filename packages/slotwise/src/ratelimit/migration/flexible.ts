import type { Ruling, Side } from './side.js'

/** A limiter of rate-limiter-flexible, or a `RateLimiterUnion` of several, as far as it is asked. */
export interface FlexibleLimiter<T> {
  consume(key: string, points: number): Promise<T>
}

/**
 * A limiter of rate-limiter-flexible 11 as a side. It resolves where it allows, and rejects with what it also resolves with
 * where it refuses, or with an `Error` where it fails; a union has one such result for each of its limiters.
 */
export function flexibleSide<T>(limiter: FlexibleLimiter<T>): Side<T> {
  return {
    consume: (key, cost) => limiter.consume(key, cost),
    ruling: (answer) => {
      const results = resultsOf(answer)
      if (results.length === 0) return undefined
      return { allowed: true, remaining: Math.min(...results.map(({ remainingPoints }) => remainingPoints)) }
    },
    refusal: refusalOf,
  }
}

function refusalOf(rejection: unknown): Ruling | undefined {
  const results = rejection instanceof Error ? [] : resultsOf(rejection)
  if (results.length === 0) return undefined
  return {
    allowed: false,
    remaining: Math.min(...results.map(({ remainingPoints }) => remainingPoints)),
    retryAfterMs: Math.max(...results.map(({ msBeforeNext }) => msBeforeNext)),
  }
}

interface Result {
  readonly msBeforeNext: number
  readonly remainingPoints: number
}

function resultsOf(answer: unknown): readonly Result[] {
  if (isResult(answer)) return [answer]
  return typeof answer === 'object' && answer !== null ? Object.values(answer).filter(isResult) : []
}

function isResult(value: unknown): value is Result {
  if (typeof value !== 'object' || value === null) return false
  return 'msBeforeNext' in value && typeof value.msBeforeNext === 'number' && 'remainingPoints' in value
}
