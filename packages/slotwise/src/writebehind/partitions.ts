import { type Key, type KeySpace, keyMaker } from '../keys.js'
import { SLOTS, slotOf, slotOfWhole } from '../slots.js'

/** The keys of so many partitions, whose slots lie evenly over all that there are, and so over the primaries. */
export function partitionKeys(space: KeySpace, count: number): readonly Key[] {
  const keyAt = keyMaker(space)
  return Array.from({ length: count }, (_, index) => {
    const [from, to] = [(index * SLOTS) / count, ((index + 1) * SLOTS) / count]
    // bound: as many tries as partitions find one; a hundred times as many do not in one case of 10^43
    for (let n = 0; ; n++) {
      const key = keyAt([index, n])
      const slot = slotOf(key)
      if (slot >= from && slot < to) return key
    }
  })
}

/** In which of them a row is, always. */
export function partitionOf(name: string, count: number): number {
  return slotOfWhole(name) % count
}
