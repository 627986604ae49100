import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'

/** What is started, and how it is ended. */
export interface GuardedOptions {
  readonly command: string
  readonly args: readonly string[]
  /** @defaultValue that of this process */
  readonly env?: NodeJS.ProcessEnv | undefined
  /** The signal that asks for a graceful end. */
  readonly stopSignal: 'INT' | 'TERM'
  /** After this long, SIGKILL. */
  readonly graceMs: number
  /** A file that takes what it prints; appended to. */
  readonly log: string
  /** A folder that goes when the server is stopped, or when this process is gone; not when the server ends by itself. */
  readonly removeAtEnd?: string | undefined
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/** A server that ends with this process, however this process ends. */
export interface Guarded {
  /** The server's own process, not its guard's: the one to pause and to kill. */
  readonly pid: number
  /** Its exit code, 128 + n after signal n, or null when the guard itself was killed. Never rejects. */
  readonly exited: Promise<number | null>
  /** Sends the server this signal and resolves when it is gone; `removeAtEnd` stays. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** Asks it to end, then makes it; resolves when it is gone, `removeAtEnd` included. Idempotent. */
  stop(): Promise<void>
}

/**
 * $1 signal, $2 grace in twentieths of a second, $3 folder to remove, then the server. Standard input is a pipe
 * from our process: its end is our end, which may have come before anybody reads the number on 4. The server is resumed after the signal, since a stopped process would
 * take notice of nothing but KILL.
 */
const GUARD = `
signal=$1 grace=$2 folder=$3; shift 3
trap '' HUP INT QUIT
exec 3<&0 </dev/null
"$@" 3<&- 4>&- &
server=$!
trap '' PIPE
echo "$server" >&4
exec 4>&-
over=
end() {
  over=1
  kill -s "$signal" "$server" 2>/dev/null
  kill -s CONT "$server" 2>/dev/null
  while [ "$grace" -gt 0 ] && kill -0 "$server" 2>/dev/null; do sleep 0.05; grace=$((grace - 1)); done
  kill -s KILL "$server" 2>/dev/null
}
trap end TERM
( trap - TERM; while read -r line <&3; do :; done; kill -s TERM $$ 2>/dev/null ) &
watcher=$!
exec 3<&-
while :; do
  wait "$server"; code=$?
  kill -0 "$server" 2>/dev/null || break
done
# A signal to us ended that wait; the server's own code is still to be had, unless it was had already.
if [ -n "$over" ]; then wait "$server"; again=$?; [ "$again" -eq 127 ] || code=$again; fi
kill -s KILL "$watcher" 2>/dev/null
[ -z "$over" ] || [ -z "$folder" ] || rm -rf "$folder"
exit "$code"
`

/**
 * Starts a server under a small shell of its own, which outlives us just long enough to end it. Neither of them
 * hears Ctrl-C: who started them decides when they end. The process may end while servers run; they then end too.
 *
 * Not covered: everything killed at once, guard included. Whoever keeps data must look for survivors at its start.
 */
export async function startGuarded(options: GuardedOptions): Promise<Guarded> {
  const log = openSync(options.log, 'a', 0o600)
  const grace = String(Math.max(1, Math.ceil(options.graceMs / 50)))
  const settings = [options.stopSignal, grace, options.removeAtEnd ?? '']
  // Inline, since a server run as another user may not be able to read our files; detached, for a group of its own.
  const guard = spawn('sh', ['-c', GUARD, 'slotwise-guard', ...settings, options.command, ...options.args], {
    detached: true,
    stdio: ['pipe', log, log, 'ignore', 'pipe'],
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  })
  closeSync(log)
  const failed = once(guard, 'error').then(([error]) => Promise.reject(error as Error))
  const ended = once(guard, 'exit').then(([code]) => code as number | null)
  const exited = Promise.race([ended, failed]).catch(() => null)
  const { stdin, stdio } = guard
  stdin?.on('error', () => {})
  const said = stdio[4] as Readable
  let line = ''
  await Promise.race([
    failed,
    (async () => {
      for await (const chunk of said) line += String(chunk)
    })(),
  ])
  const pid = Number(line)
  // Nobody needs to stop them before the process can end; see above.
  guard.unref()
  // A pipe of a child is a socket, whatever its type says.
  if (stdin instanceof Socket) stdin.unref()
  const finished = exited.then((code) => {
    // Killed without its server.
    if (code === null) sendQuietly(pid, 'SIGKILL')
    return code
  })
  return {
    pid,
    exited: finished,
    end: async (signal) => {
      guard.ref()
      sendQuietly(pid, signal)
      await finished
    },
    stop: async () => {
      guard.ref()
      stdin?.end()
      await finished
    },
  }
}

function sendQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    if (pid > 0) process.kill(pid, signal)
  } catch {
    // It was gone already.
  }
}
