import { grouped, the } from './dom.js'

/** @typedef {import('./api.js').Answer} Answer */

/** What the limiter said last, and what follows from it until it speaks again. */
export class Meter {
  #limit = 0
  #remaining = 0
  #refillPerSecond = 0
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
   * Another tenant, another bucket.
   *
   * @param {string} plan
   */
  reset(plan) {
    this.#limit = 0
    this.#plan = plan
    this.#waitUntil = 0
    this.#wasWaiting = false
    this.#refillPerSecond = 0
    this.#draw()
  }

  /** @param {number} perSecond */
  refills(perSecond) {
    this.#refillPerSecond = perSecond
  }

  /** @param {Answer} answer */
  take({ limit, remaining, retryAfterMs }) {
    if (limit === undefined || remaining === undefined) return
    this.#limit = limit
    this.#remaining = remaining
    this.#at = performance.now()
    if (retryAfterMs !== undefined) this.#waitUntil = Math.max(this.#waitUntil, this.#at + retryAfterMs)
    this.#draw()
  }

  get waiting() {
    return performance.now() < this.#waitUntil
  }

  #draw() {
    const now = performance.now()
    const refilled = this.#remaining + (this.#refillPerSecond * (now - this.#at)) / 1000
    const left = Math.min(this.#limit, refilled)
    const meter = the('meter', HTMLElement)
    const bar = meter.firstElementChild
    if (bar instanceof HTMLElement) bar.style.width = `${this.#limit === 0 ? 0 : (100 * left) / this.#limit}%`
    meter.setAttribute('aria-valuemax', String(this.#limit))
    meter.setAttribute('aria-valuenow', String(Math.floor(left)))
    the('allowance', HTMLElement).textContent =
      this.#limit === 0
        ? 'Nothing asked yet.'
        : `${grouped(Math.floor(left))} of ${grouped(this.#limit)} left on ${this.#plan}` +
          (this.#refillPerSecond > 0
            ? `, ${grouped(Math.round(this.#refillPerSecond * 60))} more a minute`
            : '')
    this.#drawWait(now)
  }

  /** @param {number} now */
  #drawWait(now) {
    const waiting = now < this.#waitUntil
    const leftMs = this.#waitUntil - now
    const text = waiting ? `Refused. The next request is let in in ${(leftMs / 1000).toFixed(1)} s.` : ''
    const place = the('wait', HTMLElement)
    if (place.textContent !== text) place.textContent = text
    document.body.toggleAttribute('data-waiting', waiting)
    // Those that came since, too.
    if (waiting || this.#wasWaiting) {
      for (const button of document.querySelectorAll('button[data-acts]')) {
        if (!(button instanceof HTMLButtonElement)) continue
        button.disabled = waiting
        if (waiting) button.dataset['wait'] = `${Math.ceil(leftMs / 1000)} s`
        else delete button.dataset['wait']
      }
    }
    const freed = this.#wasWaiting && !waiting
    this.#wasWaiting = waiting
    if (freed) this.#onFree()
  }
}
