import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { inject } from 'vitest'

/** How the command ended, and what it wrote where. */
export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Given {
  readonly env?: Readonly<Record<string, string>>
  /** What is typed; without it the input is at its end. */
  readonly input?: string
  readonly cwd?: string
}

/** A command that runs. */
export interface Running {
  readonly child: ChildProcessWithoutNullStreams
  readonly ended: Promise<Ran>
  /** Its result, as far as it has come. */
  shown(): string
  /** Resolves when it has written this to either stream. */
  until(text: string | RegExp): Promise<void>
}

/** Nothing of the tester's own settings; where servers are found is all that is passed on. */
const surroundings = (): Record<string, string> => {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'XDG_CACHE_HOME', 'SLOTWISE_REDIS_SERVER', 'LD_LIBRARY_PATH']
  const values = kept.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return { ...Object.fromEntries(values), XDG_CONFIG_HOME: '/nonexistent' }
}

export function start(args: readonly string[], { env = {}, input, cwd }: Given = {}): Running {
  const child = spawn(process.execPath, [inject('slotwiseCommand'), ...args], {
    env: { ...surroundings(), ...env },
    cwd,
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin.on('error', () => {})
  child.stdin.end(input ?? '')
  const ended = once(child, 'close').then(([code]): Ran => ({ code: code as number | null, stdout, stderr }))
  const until = async (text: string | RegExp) => {
    const isThere = () =>
      (typeof text === 'string' ? stdout + stderr : `${stdout}${stderr}`).search(text) >= 0
    while (!isThere()) {
      const more = [child.stdout, child.stderr].map((stream) => once(stream, 'data').then(() => true))
      const isMore = await Promise.race([...more, ended.then(() => false)])
      if (!isMore && !isThere()) throw new Error(`it ended without ${String(text)}:\n${stdout}${stderr}`)
    }
  }
  return { child, ended, shown: () => stdout, until }
}

export const slotwise = (args: readonly string[], given?: Given): Promise<Ran> => start(args, given).ended

/** The JSON document of a command. */
export async function json(
  args: readonly string[],
  given?: Given,
): Promise<Ran & { readonly document: unknown }> {
  const ran = await slotwise([...args, '--json'], given)
  return { ...ran, document: JSON.parse(ran.stdout) as unknown }
}

/** As the user of the cluster that all tests share. */
export const asOps = (): Readonly<Record<string, string>> => ({
  SLOTWISE_NODES: inject('cliNodes').join(','),
  SLOTWISE_USER: 'ops',
  SLOTWISE_PASSWORD_FILE: inject('cliPasswordFile'),
})
