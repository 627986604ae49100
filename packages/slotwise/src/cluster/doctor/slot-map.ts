import { SLOTS } from '../../slots.js'
import type { NodeLine, SlotRange } from '../view.js'

/** Who owns what, by the claims that the nodes know of. */
export interface SlotMap {
  /**
   * Id of the owner of each slot: of all claims the one with the highest configuration epoch, which is Redis's rule; of two with
   * the same, the one of a node that answers.
   */
  readonly owners: readonly (string | undefined)[]
  /** Slots whose owner, by its own account, is somebody else or nobody: it sends callers away. */
  readonly disowned: ReadonlySet<number>
  /** Slots for which nodes name different owners. */
  readonly disputed: ReadonlySet<number>
}

/** What one node says of all of them, and which line is itself. */
export interface Account {
  readonly id: string
  readonly view: readonly NodeLine[]
}

export function slotMapOf(accounts: readonly Account[]): SlotMap {
  const owners = Array.from<string | undefined>({ length: SLOTS })
  const ranks = new Float64Array(SLOTS).fill(-1)
  const disputed = new Set<number>()
  const disowned = new Set<number>()
  const believed = new Map(accounts.map(({ id, view }) => [id, ownersIn(view)]))
  for (const { view } of accounts) {
    for (const { id, epoch, slots } of view) {
      const rank = epoch + (believed.has(id) ? 0.5 : 0)
      for (const slot of slotsOf(slots)) {
        if (rank <= (ranks[slot] ?? 0)) continue
        ranks[slot] = rank
        owners[slot] = id
      }
    }
  }
  for (let slot = 0; slot < SLOTS; slot++) {
    const owner = owners[slot]
    for (const names of believed.values()) if (names[slot] !== owner) disputed.add(slot)
    const own = owner === undefined ? undefined : believed.get(owner)
    if (own !== undefined && own[slot] !== owner) disowned.add(slot)
  }
  return { owners, disowned, disputed }
}

function ownersIn(view: readonly NodeLine[]): readonly (string | undefined)[] {
  const owners = Array.from<string | undefined>({ length: SLOTS })
  for (const { id, slots } of view) for (const [first, last] of slots) owners.fill(id, first, last + 1)
  return owners
}

function* slotsOf(ranges: readonly SlotRange[]): Generator<number> {
  for (const [first, last] of ranges) for (let slot = first; slot <= last; slot++) yield slot
}

/** Runs of slots, from any order. */
export function rangesOf(slots: Iterable<number>): readonly SlotRange[] {
  const ranges: [number, number][] = []
  for (const slot of Array.from(slots).toSorted((a, b) => a - b)) {
    const before = ranges.at(-1)
    if (before !== undefined && slot <= before[1] + 1) before[1] = slot
    else ranges.push([slot, slot])
  }
  return ranges
}

/** `3 slots (5-6, 9)`; of many runs the first few. */
export function slotsInWords(slots: ReadonlySet<number>): string {
  const ranges = rangesOf(slots)
  const named = ranges.slice(0, 8).map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  const rest = ranges.length > named.length ? ', …' : ''
  return `${slots.size} ${slots.size === 1 ? 'slot' : 'slots'} (${named.join(', ')}${rest})`
}
