import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** The command line of a living process, else an empty string. Small Linux systems have no `ps`, macOS has no /proc. */
export function commandLine(pid: number): string {
  if (process.platform === 'linux') return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
  return ask(pid, 'args')
}

/** The parent of a living process, else 0. */
export function parentOf(pid: number): number {
  if (process.platform !== 'linux') return Number(ask(pid, 'ppid'))
  // The name, in parentheses, may itself hold spaces and parentheses.
  return Number(read(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ')[1] ?? 0)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function ask(pid: number, field: string): string {
  return (
    spawnSync('ps', ['-ww', '-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8' }).stdout?.trim() ?? ''
  )
}
