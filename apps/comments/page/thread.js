import { commentPath } from './api.js'
import { ago, make } from './dom.js'
import { reactionButtons } from './reactions.js'

/**
 * @typedef {{
 *   id: string, parentId: string | null, author: { id: string, name: string }, content: string | null, likes: number,
 *   version: number, createdAt: string, editedAt: string | null, deleted: boolean, replies: readonly Comment[],
 *   reactions: import('./reactions.js').Counts, reaction: string | null,
 * }} Comment
 * @typedef {{
 *   api: import('./api.js').Api,
 *   say: (text: string, wrong?: boolean) => void,
 *   reload: (focus?: string) => Promise<unknown>,
 *   write: (content: string, parentId: string | null) => Promise<boolean>,
 * }} Page what a comment's buttons need of the page
 */

/** Which comments this user is known to like; the service tells when a like is sent. @type {Set<string>} */
const liked = new Set()

export const forgetLikes = () => liked.clear()

let sent = 0

/** How many likes have been counted so far: what was read before one may show the count of before. */
export const likesSent = () => sent

/**
 * @param {Comment} comment
 * @param {Page} page
 * @returns {HTMLElement}
 */
export function renderComment(comment, page) {
  const { id, author, content, createdAt, editedAt, deleted, replies } = comment
  const place = make('div', { className: 'place' })
  const text = make('p', { className: 'text' }, deleted ? 'Deleted.' : (content ?? ''))
  const article = make(
    'article',
    { id: `comment-${id}`, tabIndex: -1, className: deleted ? 'deleted' : '' },
    make(
      'header',
      {},
      make('b', {}, author.name),
      make('time', { dateTime: createdAt, title: new Date(createdAt).toLocaleString() }, ago(createdAt)),
      ...(editedAt === null ? [] : [make('span', { className: 'dim', title: editedAt }, 'edited')]),
      make('code', { className: 'dim' }, id.length > 12 ? `${id.slice(0, 8)}…` : id),
    ),
    text,
    ...(deleted ? [] : [actions(comment, page, place, text), reactionButtons(comment, page)]),
    place,
  )
  if (replies.length > 0) {
    const list = make('ol', { className: 'replies' })
    for (const reply of replies) list.append(make('li', {}, renderComment(reply, page)))
    article.append(list)
  }
  return article
}

/**
 * @param {Comment} comment
 * @param {Page} page
 * @param {HTMLElement} place where forms appear
 * @param {HTMLElement} text
 */
function actions(comment, page, place, text) {
  const { api, say, reload } = page
  const button = (/** @type {string} */ label, /** @type {() => unknown} */ act, properties = {}) =>
    make('button', { type: 'button', 'data-acts': '', onclick: () => void act(), ...properties }, label)

  const like = button(likeLabel(comment.likes), () => toggle(), { 'aria-pressed': liked.has(comment.id) })
  const toggle = async () => {
    const wanted = !liked.has(comment.id)
    const { status, body, problem } = await api.call(
      wanted ? 'PUT' : 'DELETE',
      `${commentPath(comment.id)}/like`,
    )
    if (status !== 200) return say(problem ?? '', true)
    if (wanted) liked.add(comment.id)
    else liked.delete(comment.id)
    sent++
    // The thread was read anew meanwhile, from before it perhaps.
    if (!like.isConnected) void reload()
    like.textContent = likeLabel(body.likes)
    like.setAttribute('aria-pressed', String(wanted))
    if (body.alreadyLiked === true) say('You liked it before: it counts once.')
    else say(wanted ? 'Liked.' : 'No longer liked.')
  }

  const reply = button('Reply', () =>
    openForm(place, 'Your reply', '', 'Reply', (content) => page.write(content, comment.id)),
  )
  const row = make('div', { className: 'actions' }, like, reply)
  if (comment.author.id !== api.user) return row

  const edit = button('Edit', async () => {
    // The one comment with its ETag, so that an edit of what has changed since is refused.
    const { status, body, etag, problem } = await api.call('GET', commentPath(comment.id))
    if (status !== 200) return say(problem ?? '', true)
    text.textContent = body.content
    openForm(place, 'What it should say', body.content, 'Save', async (content) => {
      const saved = await api.call('PATCH', commentPath(comment.id), { body: { content }, ifMatch: etag })
      if (saved.status !== 200) say(saved.problem ?? '', true)
      else say('Saved.')
      if (saved.status === 200 || saved.status === 412) await reload(comment.id)
      return saved.status === 200
    })
  })
  const remove = button('Delete', () => {
    if (remove.textContent === 'Delete') {
      remove.textContent = 'Really delete?'
      remove.addEventListener('blur', () => (remove.textContent = 'Delete'), { once: true })
      return undefined
    }
    return reallyRemove()
  })
  const reallyRemove = async () => {
    const { status, problem } = await api.call('DELETE', commentPath(comment.id))
    if (status !== 204) return say(problem ?? '', true)
    say('Deleted; the replies stay.')
    return reload(comment.id)
  }
  row.append(edit, remove)
  return row
}

/** @param {number} likes */
const likeLabel = (likes) => `♥ ${likes}`

/**
 * @param {HTMLElement} place
 * @param {string} label
 * @param {string} value
 * @param {string} action
 * @param {(content: string) => Promise<boolean>} send resolves with whether the form is done with
 */
function openForm(place, label, value, action, send) {
  const input = make('textarea', { rows: 3, maxLength: 10_000, required: true, value })
  const close = () => place.replaceChildren()
  const form = make(
    'form',
    {
      className: 'write',
      onsubmit: (/** @type {SubmitEvent} */ event) => {
        event.preventDefault()
        void send(input.value).then((done) => done && close())
      },
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === 'Escape') close()
      },
    },
    make('label', {}, label, input),
    make('button', { type: 'submit', 'data-acts': '' }, action),
    make('button', { type: 'button', onclick: close }, 'Cancel'),
  )
  place.replaceChildren(form)
  input.focus()
}
