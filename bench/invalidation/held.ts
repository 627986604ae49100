import { Held } from '../measuring/held.js'
import type { LevelsPlace } from './subject.js'
import type { Name } from './subjects.js'
import type { Tasks } from './tasks.js'

export type HeldLevels = Held<Tasks, Name>

/** A cache of two levels in a process of its own. */
export const start = (name: Name, place: LevelsPlace): Promise<HeldLevels> =>
  Held.start<Tasks, Name>(name, new URL('./child.ts', import.meta.url), [name, JSON.stringify(place)])
