import type { Load, Place, Value } from '../cache/subject.js'

/** One cache of two levels, the first in the process, with connections of its own. */
export interface Levels {
  /** With a tag where it has tags. */
  read(id: string, load: Load, tag?: string): Promise<Value>
  remove(id: string): Promise<unknown>
  /** Its own way of invalidating what bears a tag, where it has one. */
  removeTag?(tag: string): Promise<unknown>
  /** How many reads its first level has answered, where it tells. */
  localHits?(): number
}

/** What it is opened with. */
export interface LevelsPlace extends Place {
  /**
   * Where it is to connect for hearing of changes, and for nothing else where it can be told: each reaches the node of
   * the same index.
   */
  readonly bus: Place['nodes']
}

export type OpenLevels = (place: LevelsPlace) => Promise<Levels>

/** How many entries a first level holds. */
export const MAX_ENTRIES = 10_000
