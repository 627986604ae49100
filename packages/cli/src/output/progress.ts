import type { Palette } from './colour.js'

const REDRAW_MS = 80
/** Where no terminal redraws a line, a log must not fill up. */
const REMIND_MS = 5000
const WIDTH = 24

/** Where progress goes, as much of a stream as it takes. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** What is being done, and how much of it. */
export interface Step {
  readonly text: string
  readonly done?: number
  readonly total?: number
  readonly detail?: string
}

/**
 * Says how far an operation has come: on a terminal in one line that is redrawn, elsewhere in a line for each new step and
 * one now and then while it lasts.
 */
export class ProgressLine {
  readonly #stream: ProgressStream
  readonly #colours: Palette
  readonly #now: () => number
  #last = ''
  #saidAt = -Infinity
  #drawn = false

  constructor(stream: ProgressStream, colours: Palette, now: () => number = () => performance.now()) {
    this.#stream = stream
    this.#colours = colours
    this.#now = now
  }

  show(step: Step): void {
    const isNew = step.text !== this.#last
    const wait = this.#stream.isTTY === true ? REDRAW_MS : REMIND_MS
    const isEnd = step.total !== undefined && step.done === step.total
    if (!isNew && !isEnd && this.#now() - this.#saidAt < wait) return
    this.#last = step.text
    this.#saidAt = this.#now()
    if (this.#stream.isTTY !== true) {
      this.#stream.write(`${lineOf(step)}\n`)
      return
    }
    // Cut, since a line that wraps cannot be redrawn.
    const line = Array.from(`${barOf(step)}${lineOf(step)}`)
      .slice(0, (this.#stream.columns ?? 80) - 1)
      .join('')
    this.#stream.write(`\r\u001B[2K${this.#colours.dim(line)}`)
    this.#drawn = true
  }

  /** Takes the redrawn line away, before something else is said. */
  clear(): void {
    if (this.#drawn) this.#stream.write('\r\u001B[2K')
    this.#drawn = false
    this.#last = ''
  }
}

function barOf({ done, total }: Step): string {
  if (done === undefined || total === undefined || total === 0) return ''
  const full = Math.round(Math.min(1, done / total) * WIDTH)
  return `${'█'.repeat(full)}${'─'.repeat(WIDTH - full)} `
}

function lineOf({ text, done, total, detail }: Step): string {
  const share = done === undefined || total === undefined || total === 0 ? '' : ` ${done}/${total}`
  return `${text}${share}${detail === undefined ? '' : `, ${detail}`}`
}
