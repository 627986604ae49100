import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** What the system says of a process. macOS has no /proc, small Linux systems have no `ps`. */
export interface ProcessInfo {
  readonly parent: number
  readonly command: string
  /** Stopped by a signal, and only to be resumed by one. */
  readonly stopped: boolean
}

/** A living process, or undefined when there is none. */
export function processInfo(pid: number): ProcessInfo | undefined {
  try {
    return process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
  } catch {
    return undefined
  }
}

function fromProc(pid: number): ProcessInfo | undefined {
  // The name, in parentheses, may itself hold spaces and parentheses.
  const [state = '', parent = '0'] =
    readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? []
  if (state === 'Z' || state === 'X') return undefined
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  return { parent: Number(parent), command, stopped: state === 'T' }
}

function fromPs(pid: number): ProcessInfo | undefined {
  // One -o each: BSD takes everything after the first = for a heading.
  const columns = ['-ww', '-o', 'stat=', '-o', 'ppid=', '-o', 'args=', '-p', String(pid)]
  const [, state = '', parent = '0', command = ''] =
    /^\s*(\S+)\s+(\d+)\s+(.*)$/.exec(execFileSync('ps', columns, { encoding: 'utf8' })) ?? []
  if (state === '' || state.startsWith('Z')) return undefined
  return { parent: Number(parent), command, stopped: state.startsWith('T') }
}
