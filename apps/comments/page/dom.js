/**
 * An element; text goes in as text, whatever it looks like.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Readonly<Record<string, string | number | boolean | Function | undefined>>} [properties] `on…` are listeners, `data-…` and `aria-…` attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue
    if (typeof value === 'function')
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value))
    else if (name.includes('-') || name === 'role') element.setAttribute(name, String(value))
    else Object.assign(element, { [name]: value })
  }
  element.append(...children)
  return element
}

/**
 * An element of the page that is there.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function the(id, kind) {
  const element = document.getElementById(id)
  if (!(element instanceof kind)) throw new Error(`the page has no #${id}`)
  return element
}

/**
 * @param {string} id
 * @param {(form: HTMLFormElement) => Promise<void>} act
 */
export function onSubmit(id, act) {
  the(id, HTMLElement).addEventListener('submit', (event) => {
    event.preventDefault()
    if (event.target instanceof HTMLFormElement) void act(event.target)
  })
}

/**
 * @param {string} id
 * @param {() => Promise<unknown>} act
 */
export function onClick(id, act) {
  the(id, HTMLElement).addEventListener('click', () => void act())
}

/** @param {number} ms */
export const shortMs = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`)

/** @param {number} count */
export const grouped = (count) => count.toLocaleString('en')

/** @param {string} iso */
export function ago(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000
  for (const [name, size] of /** @type {const} */ ([
    ['year', 31_557_600],
    ['month', 2_629_800],
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ])) {
    if (seconds >= size)
      return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(-Math.floor(seconds / size), name)
  }
  return 'just now'
}
