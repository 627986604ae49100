import { PROOFS, type WatchEvents, type Witness } from '../tracking/watch.js'
import type { ChangeLog } from './change-log.js'
import { LogReader } from './log-reader.js'

/** How often a log is read while nobody wants to know, so that what it tells is not too much at a time. */
const IDLE_MS = 1000

/** Whoever changes a key tells of it in a log: where servers do not. What expires or is evicted is not told. */
export function tellingLog(changes: ChangeLog, maxStalenessMs: number, events: WatchEvents): Witness {
  let isWanted = true
  const everyMs = (): number => {
    const ms = isWanted ? Math.max(1, maxStalenessMs / PROOFS) : IDLE_MS
    isWanted = false
    return ms
  }
  const readers = changes.logs.map(
    (log, index) =>
      new LogReader(
        changes,
        index,
        { everyMs },
        {
          changed: (key) => events.changed(key),
          // What is bound to it grows old by itself, and what is read from now on is told of.
          missed: () => {},
          failed: (error) => events.failed(error, log),
        },
      ),
  )
  return {
    linkOf: (key) => readers[changes.indexOf(key)]?.link,
    get wanted() {
      return isWanted
    },
    set wanted(is) {
      isWanted = is
    },
    close: () => {
      for (const reader of readers) reader.close()
    },
  }
}
