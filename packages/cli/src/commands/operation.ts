import type { OperateOptions, Progress, SlotMove } from 'slotwise/cluster'
import type { Connection } from '../connection/connection.js'
import { type Column, table } from '../output/table.js'
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
