import { grouped, make, the } from './dom.js'

/** @typedef {{ id: string, title: string, comments: number, views: number | null }} Entity */

/**
 * Adds to the list.
 *
 * @param {readonly Entity[]} entities
 * @param {(id: string) => string} hashOf
 */
export function listThreads(entities, hashOf) {
  for (const { id, title, comments, views } of entities) {
    const counts = { title: views === null ? 'comments' : `comments; ${viewsLabel(views)}` }
    const link = make('a', { href: hashOf(id) }, title, make('small', counts, grouped(comments)))
    the('threads', HTMLElement).append(make('li', {}, link))
  }
}

/** @param {number} views */
export const viewsLabel = (views) => (views === 1 ? '1 view' : `${grouped(views)} views`)

/**
 * Marks the thread that is shown, if it is in the list.
 *
 * @param {string | undefined} hash
 */
export function markCurrent(hash) {
  for (const link of the('threads', HTMLElement).querySelectorAll('a')) {
    if (link.hash === hash) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  showCurrent()
}

/** Scrolls the list alone: `scrollIntoView` would move the page as well. */
function showCurrent() {
  const list = the('thread-list', HTMLElement)
  const link = list.querySelector('[aria-current]')
  if (link === null) return
  const place = link.getBoundingClientRect()
  const room = list.getBoundingClientRect()
  if (place.top < room.top) list.scrollTop += place.top - room.top
  else if (place.bottom > room.bottom) list.scrollTop += place.bottom - room.bottom
}
