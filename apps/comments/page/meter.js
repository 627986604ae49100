import { grouped, the } from './dom.js'

/** @typedef {import('./api.js').Answer} Answer */

/** @typedef {{ name: string, kind: string, limit: number, windowMs: number }} Limit */

/** How each limit is told. */
const WORDS = new Map([
  ['minute', 'a minute'],
  ['hour', 'an hour'],
  ['day', 'a day'],
  ['writes', 'writes a minute'],
])

/** What the limiter said last, and what follows from it until it speaks again. */
export class Meter {
  /** @type {readonly Limit[]} */
  #limits = []
  /** @type {ReadonlyMap<string, number>} */
  #left = new Map()
  #plan = ''
  #at = 0
  #waitUntil = 0
  #wasWaiting = false
  /** @type {() => void} */
  #onFree

  /** @param {() => void} onFree called when the tenant may ask again after a refusal */
  constructor(onFree) {
    this.#onFree = onFree
    setInterval(() => this.#draw(), 100)
  }

  /**
   * Another tenant, another count.
   *
   * @param {string} plan
   */
  reset(plan) {
    this.#limits = []
    this.#left = new Map()
    this.#plan = plan
    this.#waitUntil = 0
    this.#wasWaiting = false
    this.#draw()
  }

  /** @param {readonly Limit[]} limits of the plan */
  allows(limits) {
    this.#limits = limits
    this.#draw()
  }

  /** @param {Answer} answer */
  take({ left, retryAfterMs }) {
    if (left.size === 0) return
    this.#left = left
    this.#at = performance.now()
    if (retryAfterMs !== undefined) this.#waitUntil = Math.max(this.#waitUntil, this.#at + retryAfterMs)
    this.#draw()
  }

  get waiting() {
    return performance.now() < this.#waitUntil
  }

  #draw() {
    const now = performance.now()
    /** @param {Limit} limit */
    const leftOf = ({ name, kind, limit, windowMs }) => {
      const refilled = kind === 'token-bucket' ? (limit * (now - this.#at)) / windowMs : 0
      return Math.min(limit, (this.#left.get(name) ?? limit) + refilled)
    }
    const [first, ...others] = this.#limits
    const meter = the('meter', HTMLElement)
    const bar = meter.firstElementChild
    const left = first === undefined ? 0 : leftOf(first)
    const limit = first?.limit ?? 0
    if (bar instanceof HTMLElement) bar.style.width = `${limit === 0 ? 0 : (100 * left) / limit}%`
    meter.setAttribute('aria-valuemax', String(limit))
    meter.setAttribute('aria-valuenow', String(Math.floor(left)))
    the('allowance', HTMLElement).textContent =
      first === undefined
        ? 'Nothing asked yet.'
        : `${grouped(Math.floor(left))} of ${grouped(limit)} ${WORDS.get(first.name) ?? first.name} left on ${this.#plan}`
    the('allowances', HTMLElement).textContent = others
      .map(
        (one) =>
          `${grouped(Math.floor(leftOf(one)))} of ${grouped(one.limit)} ${WORDS.get(one.name) ?? one.name}`,
      )
      .join(', ')
    this.#drawWait(now)
  }

  /** @param {number} now */
  #drawWait(now) {
    const waiting = now < this.#waitUntil
    const leftMs = this.#waitUntil - now
    const text = waiting ? `Refused. The next request is let in in ${durationOf(leftMs)}.` : ''
    const place = the('wait', HTMLElement)
    if (place.textContent !== text) place.textContent = text
    document.body.toggleAttribute('data-waiting', waiting)
    // Those that came since, too.
    if (waiting || this.#wasWaiting) {
      for (const button of document.querySelectorAll('button[data-acts]')) {
        if (!(button instanceof HTMLButtonElement)) continue
        button.disabled = waiting
        if (waiting) button.dataset['wait'] = durationOf(1000 * Math.ceil(leftMs / 1000)).replace('.0', '')
        else delete button.dataset['wait']
      }
    }
    const freed = this.#wasWaiting && !waiting
    this.#wasWaiting = waiting
    if (freed) this.#onFree()
  }
}

/**
 * Rounded up, so that no moment is told that is too early.
 *
 * @param {number} ms
 */
function durationOf(ms) {
  const tenths = Math.ceil(ms / 100)
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.ceil(ms / 60_000)
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
