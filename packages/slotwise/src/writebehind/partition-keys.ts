import { type Key, type KeySpace, keyMaker } from '../keys.js'
import { SLOTS, slotOf, slotOfWhole } from '../slots.js'

/** The keys of so many partitions, whose slots lie evenly over all that there are, and so over the primaries. */
export function partitionKeys(space: KeySpace, count: number): readonly Key[] {
  let ids = known.get(count)
  if (ids === undefined) known.set(count, (ids = evenly(keyMaker(space), count)))
  return ids.map(keyMaker(space))
}

type PartitionId = readonly [index: number, salt: number]

/** Only the id is hashed, so these are the same for every space without a tenant. */
const known = new Map<number, readonly PartitionId[]>()

function evenly(keyAt: (id: PartitionId) => Key, count: number): readonly PartitionId[] {
  return Array.from({ length: count }, (_, index) => {
    const [from, to] = [(index * SLOTS) / count, ((index + 1) * SLOTS) / count]
    // bound: as many tries as partitions find one; a hundred times as many do not in one case of 10^43
    for (let salt = 0; ; salt++) {
      const slot = slotOf(keyAt([index, salt]))
      if (slot >= from && slot < to) return [index, salt]
    }
  })
}

/** In which of them a row is, always. */
export function partitionOf(name: string, count: number): number {
  return slotOfWhole(name) % count
}
