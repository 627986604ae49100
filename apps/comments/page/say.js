import { the } from './dom.js'

const SHOWN_MS = 6000

/** @type {ReturnType<typeof setTimeout> | undefined} */
let fading

/**
 * What just happened, in a sentence. What went wrong stays until something else is said.
 *
 * @param {string} text
 * @param {boolean} [wrong]
 */
export function say(text, wrong = false) {
  const status = the('status', HTMLElement)
  status.textContent = text
  status.toggleAttribute('data-wrong', wrong)
  clearTimeout(fading)
  if (!wrong) fading = setTimeout(() => (status.textContent = ''), SHOWN_MS)
}
