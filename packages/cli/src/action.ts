import type { Command } from 'commander'
import { withManner } from './connection/options.js'
import type { ExitCode } from './exit.js'
import type { Manner, Terminal } from './terminal.js'

/** What a command found or did, for programs and for people. */
export interface Outcome {
  /** The document of `--json`; the name of the command is put before it. */
  readonly json: object
  readonly text: (terminal: Terminal) => string
  /** @defaultValue `0` */
  readonly exitCode?: ExitCode
}

/**
 * The work of a command: its arguments as given, its options as read. What has told its result by itself gives
 * only the code to end with.
 */
export type Work<Options> = (
  terminal: Terminal,
  args: readonly string[],
  options: Options,
) => Promise<Outcome | ExitCode>

/** Who runs the work: the process, or a test. */
export type Runner = (
  name: string,
  manner: Manner & { readonly debug: boolean },
  work: BoundWork,
) => Promise<void>
export type BoundWork = (terminal: Terminal) => Promise<Outcome | ExitCode>

/** Gives a command its work, what all commands take, and an example. */
export function act<Options>(
  command: Command,
  runner: Runner,
  { example, work }: { readonly example: string; readonly work: Work<Options> },
): Command {
  return withManner(command)
    .addHelpText('after', `\nExample:\n${example.replace(/^/gm, '  ')}`)
    .action(async () => {
      const { json, color, debug, ...options } = command.opts<Manner & { readonly debug: boolean }>()
      const names: string[] = []
      for (let at: Command | null = command; at.parent; at = at.parent) names.unshift(at.name())
      await runner(names.join(' '), { json, color, debug }, (terminal) =>
        work(terminal, command.args, options as Options),
      )
    })
}
