import type { OperateOptions, Progress, SlotMove } from 'slotwise/cluster'
import type * as Locking from 'slotwise/lock'
import type { RedisPort } from 'slotwise/redis'
import { type Connection, withPort } from '../connection/connection.js'
import { type Column, harmless, table } from '../output/table.js'
import { count, duration, plural, ranges } from '../output/units.js'
import type { Terminal } from '../terminal.js'

/** What every operation on a cluster is given: how to reach it, how to be stopped, and who hears of its progress. */
export function operating(connection: Connection, terminal: Terminal, isDry: boolean): OperateOptions {
  return {
    ...connection,
    dryRun: isDry,
    signal: terminal.signal,
    onProgress: ({ step, slotsDone, slotsTotal, keysMoved }: Progress) => {
      const text = slotsTotal === 0 ? step : `${step}, slots`
      terminal.progress({
        text,
        ...(slotsTotal === 0 ? {} : { done: slotsDone, total: slotsTotal, detail: plural(keysMoved, 'key') }),
      })
    },
  }
}

/** One try of something that the port repeats by itself. */
const TELLING_MS = 5000

/**
 * Does what moves slots, as every operation. Before slots leave a node, and where they come to another one without a loss, the locks of
 * every namespace are told: so that they are given there at once, and none that the node before may not have known of. Whatever goes
 * wrong with that stops no move; what it may cost is said.
 */
export async function carryingLocks<R>(
  connection: Connection,
  terminal: Terminal,
  isDry: boolean,
  work: (options: OperateOptions) => Promise<R>,
): Promise<R> {
  let namespaces: readonly string[] | undefined
  const late = { slots: 0, why: '' }
  const doubtful = { slots: 0, why: '' }
  // Whoever stops the operation means the next move, and not what this one leaves to do.
  const unstopped = { signal: new AbortController().signal }
  const told = async (
    slots: readonly number[],
    failed: { slots: number; why: string },
    tell: (locks: typeof Locking, port: RedisPort, options: Locking.RenewMarkersOptions) => unknown,
  ) => {
    try {
      const locks = await import('slotwise/lock')
      // A fresh look at the cluster: who serves what may have just changed.
      await withPort(connection, unstopped, async (port) => {
        namespaces ??= await locks.lockNamespaces(port, { deadlineMs: TELLING_MS })
        if (namespaces.length > 0) await tell(locks, port, { namespaces, deadlineMs: TELLING_MS })
      })
    } catch (error) {
      failed.slots += slots.length
      failed.why = error instanceof Error ? error.message : String(error)
    }
  }
  const beforeMove: OperateOptions['beforeMove'] = (slots, from) =>
    told(slots, doubtful, ({ settleMarkers }, port, options) => settleMarkers(port, slots, from, options))
  const afterLosslessMove: OperateOptions['afterLosslessMove'] = (slots, to, from) =>
    told(slots, late, ({ renewMarkers }, port, options) =>
      renewMarkers(port, slots, from, { ...options, to }),
    )
  try {
    return await work({ ...operating(connection, terminal, isDry), beforeMove, afterLosslessMove })
  } finally {
    if (doubtful.slots > 0) {
      terminal.note(
        `Warning: locks of ${plural(doubtful.slots, 'slot')}, if there are any, may be given while they are held, should the slots be where they were before a failover: ${harmless(doubtful.why)}`,
      )
    }
    if (late.slots > 0) {
      terminal.note(
        `Warning: locks of ${plural(late.slots, 'slot')}, if there are any, are given again after their longest \`maxTtlMs\` only (30 s unless it was set): ${harmless(late.why)}`,
      )
    }
  }
}

export const placed = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

const slotsIn = ({ slots }: SlotMove): number =>
  slots.reduce((sum, [first, last]) => sum + last - first + 1, 0)

/** Who gives what to whom. */
function planTable(plan: readonly SlotMove[]): string {
  const columns: readonly Column[] = [
    { title: 'FROM' },
    { title: 'TO' },
    { title: 'SLOTS', align: 'right' },
    { title: 'WHICH' },
  ]
  return table(
    columns,
    plan.map((move) => [placed(move.from), placed(move.to), count(slotsIn(move)), ranges(move.slots)]),
  )
}

/** What was moved, or would be. */
export function movedText(
  plan: readonly SlotMove[],
  moved: { readonly slotsMoved: number; readonly keysMoved: number; readonly tookMs?: number },
  isDry: boolean,
): string {
  const total = plan.reduce((sum, move) => sum + slotsIn(move), 0)
  if (isDry) {
    if (total === 0) return 'Nothing would be moved.'
    return `${planTable(plan)}\n\n${plural(total, 'slot')} would be moved. Nothing was done.`
  }
  if (moved.slotsMoved === 0) return 'Nothing had to be moved.'
  const took = moved.tookMs === undefined ? '' : ` in ${duration(moved.tookMs)}`
  const done = `Moved ${plural(moved.slotsMoved, 'slot')} with ${plural(moved.keysMoved, 'key')}${took}.`
  return plan.length === 0 ? done : `${planTable(plan)}\n\n${done}`
}
