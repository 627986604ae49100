import { SlotwiseError } from 'slotwise'

/** How a command ended, for scripts. The table of docs/cli.md says the same, and a test compares them. */
export const EXIT = {
  ok: 0,
  /** Something was found, is degraded, does not answer, or was refused as the cluster or this machine is now. */
  finding: 1,
  /** An option, an argument, a password, a file or a profile is wrong: another command line is needed. */
  usage: 2,
  /** No node answers, or none in time. */
  unreachable: 3,
  /** The cluster is down, or a finding is critical. */
  critical: 4,
  /** A fault of this program. */
  bug: 70,
  /** Ctrl-C. */
  interrupted: 130,
  /** SIGTERM. */
  terminated: 143,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** What the user can mend, in one sentence. */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly code: string
  readonly exitCode: ExitCode

  constructor(
    message: string,
    { code = 'USAGE', exitCode = EXIT.usage }: { readonly code?: string; readonly exitCode?: ExitCode } = {},
  ) {
    super(message)
    this.code = code
    this.exitCode = exitCode
  }
}

/** Why a command was told to stop. */
export class Stopped extends Error {
  override name = 'Stopped'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode) {
    super('stopped')
    this.exitCode = exitCode
  }
}

const BY_CODE: Readonly<Record<string, ExitCode>> = {
  CONFIGURATION: EXIT.usage,
  REDIS_UNAVAILABLE: EXIT.unreachable,
  OUTCOME_UNKNOWN: EXIT.unreachable,
  UNEXPECTED_REPLY: EXIT.unreachable,
  // What a cluster or this machine refuses; the message says what to do.
  UNHEALTHY_CLUSTER: EXIT.finding,
  FOREIGN_CLUSTER: EXIT.finding,
  IMPOSSIBLE_CHANGE: EXIT.finding,
  SLOT_MIGRATION: EXIT.finding,
  KEY_TOO_LARGE: EXIT.finding,
  SLOT_MOVING: EXIT.finding,
  REPLY: EXIT.finding,
  LOCAL_SERVER: EXIT.finding,
  SERVER_NOT_FOUND: EXIT.finding,
}

/** An error as it is told: one sentence, a stable word for programs, and the code that the process ends with. */
export interface Told {
  readonly code: string
  readonly message: string
  readonly exitCode: ExitCode
}

export function told(error: unknown): Told {
  if (error instanceof Refusal) return error
  if (error instanceof SlotwiseError) {
    return { code: error.code, message: inTheseWords(error), exitCode: BY_CODE[error.code] ?? EXIT.bug }
  }
  const message = error instanceof Error ? error.message : String(error)
  return {
    code: 'BUG',
    message: `${message} (a fault of this program: run it with --debug and report what it prints)`,
    exitCode: EXIT.bug,
  }
}

/** What the options of the library are called here. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/`username` and `password`|\busername and password\b/g, '--user and --password-file'],
  [/give `password`, and `username` if it has users/g, 'give --password-file, and --user if it has users'],
  [/: set password$/g, ': give --password-file, --ask-password or SLOTWISE_PASSWORD'],
  [/\bleave password out\b/g, 'leave the password out'],
  [/give its `ca` in `tls`/g, 'give its authority by --ca FILE'],
  [/`tls`/g, '--tls'],
  [/\bset tls$/g, 'give --tls'],
  [/\btls\.ca\b/g, '--ca'],
  [
    /\busername needs a password\b/g,
    '--user needs a password: give --password-file, --ask-password or SLOTWISE_PASSWORD',
  ],
  [/\bbasePort\b/g, '--base-port'],
  [/\breplicasPerPrimary\b/g, '--replicas'],
  [/\bnodeTimeoutMs\b/g, '--node-timeout'],
  [/\bmaxKeyBytes\b/g, '--max-key-bytes'],
  [/\btimeoutMs\b/g, '--timeout'],
]

function inTheseWords({ message, cause, code }: SlotwiseError): string {
  const own = WORDS.reduce((text, [library, here]) => text.replace(library, here), message)
  // That a node is away is the half of it: which one, and why, is underneath.
  const more = code === 'UNHEALTHY_CLUSTER' && cause instanceof SlotwiseError ? `: ${cause.message}` : ''
  const hint = code === 'KEY_TOO_LARGE' ? '. Its slot was left alone; --max-key-bytes allows more' : ''
  return `${own}${more}${hint}`
}

/** Stack traces of an error and its causes, for `--debug`. Properties are left out: client libraries keep commands there. */
export function traces(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const causes =
    error instanceof AggregateError ? error.errors : error.cause === undefined ? [] : [error.cause]
  return [error.stack ?? error.message, ...causes.map((cause) => `caused by ${traces(cause)}`)].join('\n')
}
