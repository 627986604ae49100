import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('local-child.ts', import.meta.url))

type Mode = 'wait' | 'end' | 'end-with-faults'

interface Place {
  readonly temporary?: string
  readonly dir?: string
}

/** A process that starts a cluster, then waits or comes to its end. */
export function spawnChild(mode: Mode, { temporary, dir }: Place) {
  const child = spawn(process.execPath, ['--import', 'tsx', script, mode, ...(dir ? [dir] : [])], {
    env: { ...process.env, ...(temporary ? { TMPDIR: temporary } : {}) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return child
}

/** A process that has started a cluster, and the processes of its servers. */
export async function startChild(
  mode: Mode,
  place: Place,
): Promise<{ readonly child: ChildProcess; readonly pids: readonly number[] }> {
  const child = spawnChild(mode, place)
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { child, pids: JSON.parse(line) as number[] }
}
