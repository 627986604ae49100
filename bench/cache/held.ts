import { Held } from '../measuring/held.js'
import type { Place } from './subject.js'
import type { Name } from './subjects.js'
import type { Tasks } from './tasks.js'

export type HeldSubject = Held<Tasks, Name>

/** A subject in a process of its own. */
export const start = (name: Name, place: Place): Promise<HeldSubject> =>
  Held.start<Tasks, Name>(name, new URL('./child.ts', import.meta.url), [name, JSON.stringify(place)])
