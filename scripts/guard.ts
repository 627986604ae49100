import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'

export interface GuardedOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly stopSignal: 'INT' | 'TERM'
  readonly graceMs: number
  readonly log: string
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

export interface Guarded {
  readonly pid: number
  readonly exited: Promise<number | null>
  stop(): Promise<void>
}

// $1 signal, $2 grace in tenths of a second, then the server. The pipe of standard input ends with our parent.
const GUARD = `
signal=$1 grace=$2; shift 2
trap '' HUP INT
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
echo "$server" >&4
exec 4>&-
end() {
  kill -s "$signal" "$server" 2>/dev/null
  left=$grace
  while [ "$left" -gt 0 ] && kill -0 "$server" 2>/dev/null; do sleep 0.1; left=$((left - 1)); done
  kill -s KILL "$server" 2>/dev/null
}
( read -r nothing <&3; end ) &
watcher=$!
trap 'end' TERM
wait "$server"; code=$?
while kill -0 "$server" 2>/dev/null; do wait "$server"; code=$?; done
kill -s KILL "$watcher" 2>/dev/null
exit "$code"
`

export async function startGuarded(options: GuardedOptions): Promise<Guarded> {
  const log = openSync(options.log, 'a')
  const child = spawn(
    'sh',
    [
      '-c',
      GUARD,
      'guard',
      options.stopSignal,
      String(Math.ceil(options.graceMs / 100)),
      options.command,
      ...options.args,
    ],
    {
      detached: true,
      stdio: ['pipe', log, log, 'ignore', 'pipe'],
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid }),
    },
  )
  closeSync(log)
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  exited.catch(() => {})
  const pipe = child.stdio[4] as NodeJS.ReadableStream
  const [line] = (await Promise.race([once(pipe, 'data'), exited.then(() => [''])])) as [unknown]
  const pid = Number(String(line))
  child.stdin?.on('error', () => {})
  return {
    pid,
    exited,
    stop: async () => {
      child.stdin?.end()
      await exited
    },
  }
}
