import type { ImportProgress } from './index.js'

const WIDTH = 24
const REDRAW_MS = 100
const REMIND_MS = 5000

/** A bar that is redrawn in place on a terminal; elsewhere a line now and then. */
export class Meter {
  readonly #text: string
  readonly #live = process.stdout.isTTY && process.env['TERM'] !== 'dumb'
  #shownMs = Number.NEGATIVE_INFINITY

  constructor(text: string) {
    this.#text = text
    if (!this.#live) console.log(text)
  }

  show({ share, file, rows }: ImportProgress): void {
    const now = performance.now()
    if (now - this.#shownMs < (this.#live ? REDRAW_MS : REMIND_MS)) return
    this.#shownMs = now
    const full = Math.round(share * WIDTH)
    const bar = `${'█'.repeat(full)}${'─'.repeat(WIDTH - full)} ${Math.floor(share * 100)} %`
    const where = file === undefined ? 'putting it in place' : `${file}, row ${rows.toLocaleString('en')}`
    process.stdout.write(this.#live ? `\r\x1b[K${this.#text}: ${bar} ${where}` : `  ${bar} ${where}\n`)
  }

  end(): void {
    if (this.#live) process.stdout.write('\r\x1b[K')
  }
}
