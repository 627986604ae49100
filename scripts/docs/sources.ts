import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Block, Finding } from './blocks.js'

/** Where a block that shows a file of the repository shows something else than what that file holds. */
export function drifted({ file, line, code, from }: Block, root: string): Finding[] {
  if (from === undefined) return []
  const path = join(root, from)
  if (!existsSync(path)) return [{ file, line, message: `there is no file ${from} to be shown` }]
  const [shown, held] = [code.split('\n'), readFileSync(path, 'utf8').split('\n')]
  const length = Math.max(shown.length, held.length)
  const at = Array.from({ length }, (_, i) => i).find((i) => shown[i] !== held[i])
  if (at === undefined) return []
  return [{ file, line: line + at, message: `${from}:${at + 1} is ${JSON.stringify(held[at] ?? 'over')}` }]
}
