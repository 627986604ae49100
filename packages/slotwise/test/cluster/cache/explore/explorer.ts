import { EveryChoice, SampledChoice } from './choices.js'
import { type Cast, type Ground, type Played, play } from './play.js'
import type { Exception } from './world.js'

/** What many schedules of a cast have shown. */
export interface Explored {
  readonly schedules: number
  /** Whether there are no others. */
  readonly isComplete: boolean
  readonly perSecond: number
  /** The first few, with what led to them. */
  readonly violations: readonly string[]
  readonly exceptions: ReadonlyMap<Exception, number>
}

export interface Bounds {
  /** How many schedules at most. */
  readonly most: number
  /** Ends at the first violation. */
  readonly untilFound?: boolean
  /** By chance, instead of one after the other. */
  readonly seed?: number
}

/** Goes through the schedules of a cast: all of them where they are few enough, or as many as asked for by chance. */
export async function explore(
  cast: Cast,
  ground: () => Ground,
  { most, untilFound = false, seed }: Bounds,
): Promise<Explored> {
  const from = performance.now()
  const violations: string[] = []
  const exceptions = new Map<Exception, number>()
  const every = new EveryChoice()
  let schedules = 0
  let isComplete = false
  while (schedules < most) {
    const choices = seed === undefined ? every : new SampledChoice(seed + schedules)
    const played = await play(cast, ground(), choices)
    schedules++
    if (violations.length < 5)
      violations.push(...told(played, seed === undefined ? undefined : seed + schedules - 1))
    for (const exception of new Set(played.exceptions))
      exceptions.set(exception, (exceptions.get(exception) ?? 0) + 1)
    if (untilFound && violations.length > 0) break
    if (seed === undefined && !every.advance()) {
      isComplete = true
      break
    }
  }
  const perSecond = Math.round((schedules / (performance.now() - from)) * 1000)
  return { schedules, isComplete, perSecond, violations, exceptions }
}

function told({ violations, trace }: Played, seed: number | undefined): string[] {
  const by = seed === undefined ? '' : ` [seed ${seed}]`
  return violations.map((violation) => `${violation}${by}: ${trace.join(' → ')}`)
}
