import { commentPath } from './api.js'
import { make } from './dom.js'

/** @typedef {readonly { kind: string, count: number }[] | null} Counts `null` while nobody knows */

/** In the order of the service. */
const KINDS = /** @type {const} */ ({
  '👍': 'Agree',
  '❤️': 'Love',
  '😂': 'Laugh',
  '🎉': 'Celebrate',
  '😮': 'Wonder',
  '😢': 'Regret',
})

/**
 * One button a kind: the acting user's own is pressed, and pressing it again takes it back.
 *
 * @param {import('./thread.js').Comment} comment
 * @param {import('./thread.js').Page} page
 */
export function reactionButtons(comment, { api, say }) {
  const path = `${commentPath(comment.id)}/reaction`
  let own = comment.reaction
  const buttons = Object.entries(KINDS).map(([kind, name]) => ({
    kind,
    name,
    button: make('button', { type: 'button', 'data-acts': '', onclick: () => void press(kind) }),
  }))

  /** @param {{ reactions: Counts, reaction: string | null }} now */
  const show = (now) => {
    own = now.reaction
    for (const { kind, name, button } of buttons) {
      const count = now.reactions?.find((one) => one.kind === kind)?.count
      button.textContent = count === undefined ? kind : `${kind} ${count}`
      button.className = count === undefined ? 'none' : ''
      button.setAttribute('aria-pressed', String(kind === own))
      button.setAttribute('aria-label', count === undefined ? name : `${name} ${count}`)
    }
  }

  /** @param {string} kind */
  const press = async (kind) => {
    const { status, body, problem } = await (kind === own
      ? api.call('DELETE', path)
      : api.call('PUT', path, { body: { kind } }))
    if (status === 200) show(body)
    else say(problem ?? '', true)
  }

  show(comment)
  const row = { className: 'actions reactions', role: 'group', 'aria-label': 'Reactions' }
  return make('div', row, ...buttons.map(({ button }) => button))
}
