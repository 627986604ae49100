import { CommanderError } from 'commander'
import { NO_PASSWORD_HERE } from './connection/nodes.js'
import { EXIT, type ExitCode, Refusal, Stopped, type Told, told, traces } from './exit.js'
import { program } from './program.js'
import { type Streams, Terminal } from './terminal.js'

/** npm and terminals repeat a signal at once; nobody presses Ctrl-C twice that fast. */
const ECHO_MS = 200

/** Runs one command line to its end, and gives the code to end the process with. */
export async function run(argv: readonly string[], process: NodeJS.Process): Promise<ExitCode> {
  const stopping = new AbortController()
  const stop = stopper(process, stopping)
  const isJson = argv.includes('--json')
  const isDebug = argv.includes('--debug')
  let code: ExitCode | undefined
  const say = (error: unknown): ExitCode => {
    const stopped = stopping.signal.aborted ? (stopping.signal.reason as Stopped) : undefined
    const { message, exitCode, ...rest } = stopped === undefined ? told(error) : goodbye(stopped)
    if (message === '') return exitCode
    if (isDebug && stopped === undefined) process.stderr.write(`${traces(error)}\n`)
    if (isJson) process.stdout.write(`${JSON.stringify({ error: { code: rest.code, message, exitCode } })}\n`)
    else process.stderr.write(`slotwise: ${message}\n`)
    return exitCode
  }
  try {
    refusePasswords(argv)
    const streams: Streams = process
    const commands = program(async (name, manner, work) => {
      const terminal = new Terminal(streams, manner, stopping.signal)
      const outcome = await work(terminal)
      code = typeof outcome === 'number' ? outcome : outcome.exitCode
      if (typeof outcome === 'number') return
      terminal.result(
        manner.json
          ? JSON.stringify({ command: name, ...outcome.json }, undefined, 2)
          : outcome.text(terminal),
      )
    })
    await commands.parseAsync([...argv], { from: 'user' })
    // A result that was cut short, such as that of `ping`, has been told all the same.
    return code ?? (stopping.signal.aborted ? (stopping.signal.reason as Stopped).exitCode : EXIT.ok)
  } catch (error) {
    if (!(error instanceof CommanderError)) return say(error)
    // Help and version have been printed.
    if (error.exitCode === 0) return EXIT.ok
    return error.code === 'commander.help' ? EXIT.usage : say(misuse(error))
  } finally {
    stop()
  }
}

/** Hears of everything that should end us. Returns how to stop hearing. */
function stopper(process: NodeJS.Process, stopping: AbortController): () => void {
  const codes = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated, SIGHUP: EXIT.terminated } as const
  let firstAt: number | undefined
  const hear = (signal: NodeJS.Signals) => {
    const code = codes[signal as keyof typeof codes]
    if (firstAt !== undefined && performance.now() - firstAt > ECHO_MS) process.exit(code)
    firstAt ??= performance.now()
    stopping.abort(new Stopped(code))
  }
  // Who read our output wants no more of it: `slotwise info | head -1`.
  const broken = (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') stopping.abort(new Stopped(EXIT.ok))
  }
  for (const signal of Object.keys(codes)) process.on(signal, hear)
  process.stdout.on('error', broken)
  process.stderr.on('error', broken)
  return () => {
    for (const signal of Object.keys(codes)) process.off(signal, hear)
  }
}

function goodbye({ exitCode }: Stopped): Told {
  if (exitCode === EXIT.ok) return { code: 'STOPPED', message: '', exitCode }
  const message = 'Stopped between two steps; what was done stays, and running it again goes on from there.'
  return { code: 'STOPPED', message, exitCode }
}

/** It has been seen by then; but it must not become a habit, nor stand in a script. */
function refusePasswords(argv: readonly string[]): void {
  const end = argv.indexOf('--')
  const options = end < 0 ? argv : argv.slice(0, end)
  if (options.some((arg) => /^--?pass(word)?(=|$)/.test(arg))) throw new Refusal(NO_PASSWORD_HERE)
  if (options.some((arg) => /^(?:-n|--nodes=)?rediss?:\/\/[^/@]*:[^@]*@/i.test(arg))) {
    throw new Refusal(NO_PASSWORD_HERE)
  }
}

/** Commander's words as one sentence, without the value of an option, which may be a secret. */
function misuse(error: CommanderError): Refusal {
  const [said = '', hint = ''] = error.message.replace(/^error: /, '').split('\n')
  const words = said.replace(/^(unknown option '--?[\w-]+)=.*'$/s, "$1'").replace(/\.$/, '')
  const isSecret = /:\S*@/.test(words)
  const sentence = isSecret ? 'the arguments are not as they should be' : words
  const more = isSecret || hint === '' ? '' : ` ${hint}`
  return new Refusal(`${sentence}.${more} \`slotwise --help\` lists the commands, and each takes --help.`)
}
