import { EXIT, Refusal } from './exit.js'
import { type Palette, palette, usesColour } from './output/colour.js'
import { ProgressLine, type Step } from './output/progress.js'

/** What a process gives a command to work with. */
export interface Streams {
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly env: Readonly<Record<string, string | undefined>>
}

/** How all commands speak: `--json`, `--no-color`. */
export interface Manner {
  readonly json: boolean
  readonly color: boolean
}

/** The user: results go to stdout, all else to stderr, answers come from stdin. */
export class Terminal {
  readonly env: Streams['env']
  readonly json: boolean
  /** For stdout. */
  readonly colours: Palette
  /** Ends when the user or the system wants no more. */
  readonly signal: AbortSignal
  readonly #streams: Streams
  readonly #progress: ProgressLine
  #typed = ''

  constructor(streams: Streams, { json, color }: Manner, signal: AbortSignal) {
    const { env, stdout, stderr } = streams
    this.env = env
    this.json = json
    this.signal = signal
    this.#streams = streams
    this.colours = palette(usesColour({ isTTY: stdout.isTTY, env, plain: !color }))
    const notes = palette(usesColour({ isTTY: stderr.isTTY, env, plain: !color }))
    this.#progress = new ProgressLine(stderr, notes)
  }

  /** Where this terminal can show a result as it grows. */
  get isLive(): boolean {
    return this.#streams.stdout.isTTY && !this.json
  }

  result(text: string): void {
    this.#progress.clear()
    this.#streams.stdout.write(`${text}\n`)
  }

  note(text: string): void {
    this.#progress.clear()
    this.#streams.stderr.write(`${text}\n`)
  }

  progress(step: Step): void {
    this.#progress.show(step)
  }

  /** @throws Refusal when nobody agrees */
  async confirm(question: string, isAgreed: boolean): Promise<void> {
    if (isAgreed) return
    const answer = await this.ask(`${question} [y/N] `)
    if (answer !== undefined && /^y(es)?$/i.test(answer.trim())) return
    throw new Refusal(
      answer === undefined
        ? 'Nobody confirmed it, so nothing was done: answer y, or give --yes.'
        : 'Nothing was done.',
      { code: 'NOT_CONFIRMED', exitCode: EXIT.finding },
    )
  }

  /** One line of the user's; `undefined` at the end of the input. What is `secret` is not shown while it is typed. */
  async ask(prompt: string, { secret = false } = {}): Promise<string | undefined> {
    const { stdin, stderr } = this.#streams
    this.#progress.clear()
    stderr.write(prompt)
    const hidden = secret && stdin.isTTY
    if (hidden) stdin.setRawMode(true)
    try {
      return await this.#line(hidden)
    } finally {
      if (hidden) {
        stdin.setRawMode(false)
        stderr.write('\n')
      }
      stdin.pause()
    }
  }

  #line(raw: boolean): Promise<string | undefined> {
    const { stdin } = this.#streams
    stdin.setEncoding('utf8')
    return new Promise((resolve, reject) => {
      const settle = () => {
        stdin.off('data', hear)
        stdin.off('end', end)
        this.signal.removeEventListener('abort', abort)
      }
      const take = () => {
        const at = /\r?\n|\r/.exec(this.#typed)
        if (at === null) return
        const line = this.#typed.slice(0, at.index)
        this.#typed = this.#typed.slice(at.index + at[0].length)
        settle()
        resolve(line)
      }
      const hear = (text: string) => {
        this.#typed = raw ? edited(this.#typed, text) : this.#typed + text
        take()
      }
      const end = () => {
        settle()
        // A last line need not end in a line break.
        resolve(this.#typed === '' ? undefined : this.#typed)
        this.#typed = ''
      }
      const abort = () => {
        settle()
        reject(this.signal.reason as Error)
      }
      this.signal.addEventListener('abort', abort, { once: true })
      stdin.on('data', hear).once('end', end)
      if (stdin.readableEnded) end()
      else stdin.resume()
      take()
    })
  }
}

/** What a terminal does to a line by itself, unless it was told not to show it. */
function edited(line: string, typed: string): string {
  let text = line
  for (const unit of typed) {
    if (unit === '\u0003') process.kill(process.pid, 'SIGINT')
    else if (unit === '\u0004') text += '\n'
    else if (unit === '\u007F' || unit === '\b') text = Array.from(text).slice(0, -1).join('')
    else if (unit === '\u0015') text = ''
    else text += unit
  }
  return text
}
