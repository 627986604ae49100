import type { OperateOptions, Progress, SlotMove } from 'slotwise/cluster'
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
const RENEWAL_MS = 5000

/**
 * Does what moves slots, as every operation. Where slots come to another node without a loss, the locks of every namespace are told, so that they are
 * given there at once. Whatever goes wrong with that stops no move: it costs a wait, and that is said.
 */
export async function carryingLocks<R>(
  connection: Connection,
  terminal: Terminal,
  isDry: boolean,
  work: (options: OperateOptions) => Promise<R>,
): Promise<R> {
  let namespaces: readonly string[] | undefined
  let left = 0
  let why = ''
  // Whoever stops the operation means the next move, and not what this one leaves to do.
  const unstopped = { signal: new AbortController().signal }
  const afterLosslessMove: OperateOptions['afterLosslessMove'] = async (slots, to, from) => {
    try {
      const { lockNamespaces, renewMarkers } = await import('slotwise/lock')
      // A fresh look at the cluster: who serves what has just changed.
      await withPort(connection, unstopped, async (port) => {
        namespaces ??= await lockNamespaces(port, { deadlineMs: RENEWAL_MS })
        if (namespaces.length > 0)
          await renewMarkers(port, slots, from, { namespaces, to, deadlineMs: RENEWAL_MS })
      })
    } catch (error) {
      left += slots.length
      why = error instanceof Error ? error.message : String(error)
    }
  }
  try {
    return await work({ ...operating(connection, terminal, isDry), afterLosslessMove })
  } finally {
    if (left > 0) {
      terminal.note(
        `Warning: locks of ${plural(left, 'slot')}, if there are any, are given again after their longest \`maxTtlMs\` only (30 s unless it was set): ${harmless(why)}`,
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
