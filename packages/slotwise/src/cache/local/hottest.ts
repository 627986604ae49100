import { type KeyWords, readKey } from '../../keys.js'
import type { LocalLevel } from './level.js'

/** A key that is read often, by what it was given; text that was longer than 128 characters is known by a hash alone. */
export interface HotKey {
  readonly tenant?: KeyWords<string>
  /** The parts of the id, as text. */
  readonly id: KeyWords<readonly string[]>
  /** How often it was read lately is between these two. Reads count half after a while, and half of that after another. */
  readonly atLeast: number
  readonly atMost: number
  /** Whether the process holds it now. */
  readonly isHeld: boolean
}

/** The hottest keys of a level, the most read one first. */
export function hottest(local: LocalLevel, top: number): readonly HotKey[] {
  return local
    .hot()
    .slice(0, top)
    .flatMap(({ key, atLeast, atMost }) => {
      const read = readKey(key)
      if (read === undefined) return []
      const { tenant, id } = read
      return [{ ...(tenant === undefined ? {} : { tenant }), id, atLeast, atMost, isHeld: local.holds(key) }]
    })
}
