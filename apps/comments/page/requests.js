import { make, shortMs, the } from './dom.js'

/** @typedef {import('./api.js').Answer} Answer */

const KEPT = 60

/** @type {Readonly<Record<string, string>>} */
const SOURCES = {
  hit: 'cache',
  load: 'loaded',
  bypass: 'past the cache',
  pending: 'cache to be told',
}

/** Where an answer came from, in a word. @param {Answer} answer */
function sourceOf({ status, source, method }) {
  if (status === 0) return 'no answer'
  if (status === 429) return 'refused'
  if (status >= 400) return 'error'
  if (method !== 'GET' && source !== 'pending') return 'written'
  return SOURCES[source] ?? source
}

/**
 * Says by the thread where it came from.
 *
 * @param {Answer} answer
 */
export function showSource(answer) {
  const word = sourceOf(answer)
  const badge = the('source', HTMLOutputElement)
  const name = word === 'cache' ? 'from the cache' : word === 'loaded' ? 'loaded from Postgres' : word
  const inside = answer.parts.find((part) => part.name === 'cache')
  badge.textContent = `${name}${inside ? ` in ${shortMs(inside.ms)}` : ''} · answered in ${shortMs(answer.ms)}`
  badge.dataset['source'] = word
}

/** The answers, the newest first. */
export class Requests {
  #hits = 0
  #reads = 0
  #list = the('requests', HTMLElement)

  clear() {
    this.#hits = 0
    this.#reads = 0
    this.#list.replaceChildren()
    the('ratio', HTMLElement).textContent = 'Where each came from, and how long it took.'
  }

  /** @param {Answer} answer */
  add(answer) {
    const { method, path, status, ms, source, parts } = answer
    if (method === 'GET' && status === 200 && (source === 'hit' || source === 'load')) {
      this.#reads++
      if (source === 'hit') this.#hits++
      const percent = Math.round((100 * this.#hits) / this.#reads)
      the('ratio', HTMLElement).textContent = `${percent} % of ${this.#reads} reads came from the cache.`
    }
    const word = sourceOf(answer)
    this.#list.prepend(
      make(
        'li',
        { 'data-source': word },
        make('span', { className: 'method' }, method),
        make('span', { className: 'path', title: path }, decodeURIComponent(path.replace('/v1', ''))),
        make('span', { className: 'code' }, status === 0 ? '–' : String(status)),
        make('span', { className: 'badge' }, word),
        make('span', { className: 'ms' }, shortMs(ms)),
        make(
          'span',
          { className: 'parts' },
          parts
            .map(({ name, ms: dur, note }) => `${name} ${dur.toFixed(1)}${note && ` (${note})`}`)
            .join(' · '),
        ),
      ),
    )
    while (this.#list.children.length > KEPT) this.#list.lastElementChild?.remove()
  }
}
