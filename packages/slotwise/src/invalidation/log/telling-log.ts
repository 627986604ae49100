import { SLOTS } from '../../slots.js'
import type { Demand } from '../tracking/demand.js'
import { PROOFS, type WatchEvents, type Witness } from '../tracking/watch.js'
import { type ChangeLog, EVERYTHING } from './change-log.js'
import { LogReader } from './log-reader.js'

const ALL_SLOTS: ReadonlySet<number> = new Set(Array.from({ length: SLOTS }, (_, slot) => slot))

/** Whoever changes a key tells of it in a log: where servers do not. What expires or is evicted is not told. */
export function tellingLog(
  changes: ChangeLog,
  maxStalenessMs: number,
  events: WatchEvents,
  demand: Demand,
): Witness {
  const everyMs = Math.max(1, maxStalenessMs / PROOFS)
  const readers = changes.logs.map(
    (log, index) =>
      new LogReader(
        changes,
        index,
        { everyMs, isWanted: demand.listener() },
        {
          changed: (key) => (key === EVERYTHING ? events.moved(ALL_SLOTS) : events.changed(key)),
          // What is bound to it grows old by itself, and what is read from now on is told of.
          missed: () => {},
          failed: (error) => events.failed(error, log),
        },
      ),
  )
  return {
    linkOf: (key) => readers[changes.indexOf(key)]?.link,
    close: () => {
      for (const reader of readers) reader.close()
    },
  }
}
