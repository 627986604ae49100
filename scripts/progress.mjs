/**
 * Says what is being done: on a terminal one line a step, redrawn in place, elsewhere a line when a step begins,
 * one now and then while it lasts, and one when it ends.
 *
 * @typedef {{ update(detail: string): void, done(text?: string): void, fail(): void }} Step
 */

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const REDRAW_MS = 100
const REMIND_MS = 5000

/** @type {(code: number) => (text: string) => string} */
const style = (code) => (text) => (usesColor() ? `\x1b[${code}m${text}\x1b[0m` : text)
export const bold = style(1)
export const dim = style(2)
export const red = style(31)
export const green = style(32)
export const cyan = style(36)

function usesColor() {
  return process.stdout.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'
}

export class Progress {
  /** @type {{ text: string, detail: string, startedMs: number, remindedMs: number }[]} */
  #active = []
  /** How many lines of ours stand below the last line that stays. */
  #drawn = 0
  #frame = 0
  #out
  #live
  /** @type {NodeJS.Timeout | undefined} */
  #timer

  /** @param {NodeJS.WriteStream} [out] */
  constructor(out = process.stdout) {
    this.#out = out
    this.#live = out.isTTY && process.env['TERM'] !== 'dumb'
  }

  /**
   * Begins a step.
   *
   * @param {string} text what is being done
   * @returns {Step}
   */
  step(text) {
    const entry = { text, detail: '', startedMs: Date.now(), remindedMs: Date.now() }
    this.#active.push(entry)
    if (!this.#live) this.#out.write(`· ${text}\n`)
    this.#timer ??= setInterval(() => this.#tick(), REDRAW_MS).unref()
    this.#draw()
    /** @type {(line: string) => void} */
    const end = (line) => {
      if (!this.#active.includes(entry)) return
      this.#active = this.#active.filter((other) => other !== entry)
      this.line(line)
    }
    return {
      update: (detail) => {
        entry.detail = detail
      },
      done: (said = text) => end(`${green('✓')} ${said} ${dim(seconds(Date.now() - entry.startedMs))}`),
      fail: () => end(`${red('✗')} ${text}`),
    }
  }

  /**
   * Writes a line that stays, above the steps that are still going on.
   *
   * @param {string} text
   */
  line(text) {
    this.#erase()
    this.#out.write(`${text}\n`)
    this.#draw()
    if (this.#active.length > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #tick() {
    this.#frame++
    if (this.#live) {
      this.#erase()
      this.#draw()
      return
    }
    for (const entry of this.#active) {
      if (Date.now() - entry.remindedMs < REMIND_MS) continue
      entry.remindedMs = Date.now()
      const detail = entry.detail && `: ${entry.detail}`
      this.#out.write(`  ${entry.text}${detail} (${seconds(Date.now() - entry.startedMs)})\n`)
    }
  }

  #erase() {
    if (this.#drawn > 0) this.#out.write(`\x1b[${this.#drawn}A\x1b[0J`)
    this.#drawn = 0
  }

  #draw() {
    if (!this.#live) return
    const width = (this.#out.columns || 80) - 1
    for (const { text, detail, startedMs } of this.#active) {
      const frame = FRAMES[this.#frame % FRAMES.length] ?? ''
      const since = seconds(Date.now() - startedMs)
      // Cut, since a line that wraps cannot be erased by counting lines.
      const plain = `${text}${detail && ` · ${detail}`} · ${since}`.slice(0, width - 2)
      this.#out.write(`${cyan(frame)} ${plain}\n`)
      this.#drawn++
    }
  }
}

/**
 * A bar such as `████████──────── 52 %`.
 *
 * @param {number} share from 0 to 1
 */
export function bar(share) {
  const width = 24
  const clamped = Math.min(1, Math.max(0, share))
  const full = Math.round(clamped * width)
  return `${'█'.repeat(full)}${'─'.repeat(width - full)} ${Math.floor(clamped * 100)} %`
}

/** @param {number} ms */
export function seconds(ms) {
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
}
