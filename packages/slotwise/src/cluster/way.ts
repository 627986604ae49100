import type { OperateOptions } from './fleet.js'
import type { SlotMove } from './move-plan.js'

/** How slots are moved, and what that may cost the servers. */
export interface MoveLimits {
  /**
   * `'atomic'`: the server moves whole ranges by itself, keys and ownership at once: Redis 8.4 or later, Valkey 9 or
   * later. `'classic'`: key by key, with `MIGRATE`, which every server understands. `'auto'`: atomically where both
   * ends can, else the classic way; what was begun atomically and failed is finished the classic way, and listed in
   * `fellBack`. @defaultValue `'auto'`
   */
  readonly method?: 'auto' | 'atomic' | 'classic' | undefined
  /**
   * Keys larger than this are not moved the classic way: MIGRATE stops the source for as long as it takes to send
   * one, about a second for a hundred megabytes. An atomic migration is not bound by it: there a forked process
   * sends, and the source goes on serving. @defaultValue `33554432`, 32 MiB
   */
  readonly maxKeyBytes?: number | undefined
}

/** What was moved. */
export interface Moved {
  readonly slotsMoved: number
  /** Of those, the ones that the servers moved by themselves. */
  readonly slotsMovedAtomically: number
  /**
   * Keys that were sent. Of an atomic migration, which does not count them: what its slots held when they had come.
   */
  readonly keysMoved: number
  /** Moves whose atomic migration was given up for the classic way, and why. */
  readonly fellBack: readonly FellBack[]
  /**
   * No node at either end of a move was replaced or gave up waiting for the other meanwhile. If one was, what it had
   * not replicated may be lost, and `afterLosslessMove` is not called for that move.
   */
  readonly lossless: boolean
}

/** A move that was begun atomically and was finished the classic way. */
export interface FellBack extends SlotMove {
  /** In the words of the server. */
  readonly reason: string
}

/** Counts what is done, for the result and for whoever watches. */
export class Tally {
  slots = 0
  atomically = 0
  keys = 0
  lossless = true
  readonly fellBack: FellBack[] = []
  readonly #total: number
  readonly #onProgress: OperateOptions['onProgress']

  constructor(total: number, onProgress: OperateOptions['onProgress']) {
    this.#total = total
    this.#onProgress = onProgress
  }

  say(step: string): void {
    this.#onProgress?.({ step, slotsDone: this.slots, slotsTotal: this.#total, keysMoved: this.keys })
  }

  get moved(): Moved {
    const { slots, atomically, keys, fellBack, lossless } = this
    return { slotsMoved: slots, slotsMovedAtomically: atomically, keysMoved: keys, fellBack, lossless }
  }
}

/** Nothing, losslessly. */
export const NOTHING_MOVED: Moved = {
  slotsMoved: 0,
  slotsMovedAtomically: 0,
  keysMoved: 0,
  fellBack: [],
  lossless: true,
}

/** Two runs as one. */
export function together(a: Moved, b: Moved): Moved {
  return {
    slotsMoved: a.slotsMoved + b.slotsMoved,
    slotsMovedAtomically: a.slotsMovedAtomically + b.slotsMovedAtomically,
    keysMoved: a.keysMoved + b.keysMoved,
    fellBack: [...a.fellBack, ...b.fellBack],
    lossless: a.lossless && b.lossless,
  }
}
