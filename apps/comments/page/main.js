import { addressOf, placeInAddress } from './address.js'
import { Api, entityPath, newId, untilAlive } from './api.js'
import { make, onClick, onSubmit, the } from './dom.js'
import { askForKey } from './key-form.js'
import { readMany } from './many.js'
import { Meter } from './meter.js'
import { Requests, showSource } from './requests.js'
import { say } from './say.js'
import { forgetLikes, likesSent, renderComment } from './thread.js'
import { listThreads, markCurrent, viewsLabel } from './thread-list.js'

/**
 * @typedef {import('./api.js').Answer} Answer
 * @typedef {import('./api.js').Tenant} Tenant
 */

const PAGE = 50

const api = new Api()
const requests = new Requests()
/** What to do once the limiter lets the tenant in again. @type {(() => Promise<unknown>) | undefined} */
let afterWait
const meter = new Meter(() => {
  const again = afterWait
  afterWait = undefined
  if (again === undefined) return
  say('')
  void again()
})
/** @type {readonly Tenant[]} */
let tenants = []
/** @type {string | undefined} */
let entity
/** @type {string | null} */
let nextComments = null
/** @type {string | null} */
let nextThreads = null
let gone = false
let readingMany = false

api.onAnswer((answer) => {
  requests.add(answer)
  if (answer.tenant === api.tenant?.id) meter.take(answer)
  if (answer.status === 0) void comeBack()
})

/** Asks until the service is there again, then begins anew. */
async function comeBack() {
  if (gone) return
  gone = true
  say('The service does not answer. Trying again…', true)
  await untilAlive()
  gone = false
  say('The service is back.')
  await begin()
}

async function begin() {
  const { status, body } = await api.call('GET', '/demo/tenants')
  if (status === 0) return
  if (status === 200) tenants = body
  const wanted = placeInAddress()
  if (status !== 200) {
    return askForKey(api, say, (tenant) => {
      tenants = [tenant]
      offer(tenants)
      return choose(tenant, placeInAddress().entity)
    })
  }
  const first = tenants.find(({ id }) => id === wanted.tenant) ?? tenants[0]
  offer(tenants)
  if (first === undefined)
    return say('There are no tenants yet: import a dump, or start with the sample.', true)
  await choose(first, first.id === wanted.tenant ? wanted.entity : undefined)
}

/** @param {readonly Tenant[]} choice */
function offer(choice) {
  the('tenant', HTMLSelectElement).replaceChildren(
    ...choice.map(({ id, name, plan }) => make('option', { value: id }, `${name} (${plan})`)),
  )
}

/**
 * @param {Tenant} tenant
 * @param {string | undefined} wanted a thread
 */
async function choose(tenant, wanted) {
  // Another object each time, by which late answers are known.
  const chosen = { ...tenant }
  api.tenant = chosen
  the('tenant', HTMLSelectElement).value = tenant.id
  the('threads', HTMLElement).replaceChildren()
  entity = undefined
  the('write', HTMLFormElement).hidden = true
  afterWait = undefined
  forgetLikes()
  requests.clear()
  meter.reset(tenant.plan)
  const { status, body } = await api.call('GET', '/v1/tenant')
  if (api.tenant !== chosen) return
  if (status === 200) meter.allows(body.limits)
  await loadThreads(undefined, wanted)
}

/**
 * @param {string | undefined} cursor
 * @param {string} [wanted]
 * @returns {Promise<void>}
 */
async function loadThreads(cursor, wanted) {
  const query = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
  const isShown = whileShown()
  const answer = await api.call('GET', `/v1/entities?limit=${PAGE}${query}`)
  if (!isShown()) return undefined
  if (answer.status !== 200) return refused(answer, () => loadThreads(cursor, wanted))
  /** @type {readonly import('./thread-list.js').Entity[]} */
  const items = answer.body.items
  listThreads(items, hashOf)
  nextThreads = answer.body.nextCursor
  the('more-threads', HTMLElement).hidden = nextThreads === null
  if (cursor !== undefined) return markThread()
  const shown = wanted ?? items[0]?.id
  if (shown !== undefined) return open(shown)
  the('thread-title', HTMLElement).textContent = 'No thread yet'
  showViews(null)
  the('comments', HTMLElement).replaceChildren(
    make('p', { className: 'dim' }, 'This tenant has none: begin one.'),
  )
  return undefined
}

/** @param {string} id */
async function open(id) {
  entity = id
  the('write', HTMLFormElement).hidden = false
  the('many-result', HTMLElement).textContent = ''
  if (location.hash !== hashOf(id)) history.replaceState(null, '', hashOf(id))
  markThread()
  const isShown = whileShown()
  if ((await reload()) && isShown()) await countView(id)
}

/** One look: sent again by the browser, it would count no second time. @param {string} id */
async function countView(id) {
  const isShown = whileShown()
  const { status, body } = await api.call('POST', `${entityPath(id)}/views`, { idempotencyKey: newId() })
  if (status === 200 && isShown()) showViews(body.views)
}

/** @param {number | null} views */
function showViews(views) {
  the('views', HTMLOutputElement).textContent = views === null ? '' : viewsLabel(views)
}

function markThread() {
  markCurrent(entity === undefined ? undefined : hashOf(entity))
}

/**
 * Reads the thread anew, as far as the wanted comment.
 *
 * @param {string} [focus] a comment
 * @returns {Promise<boolean>} whether it is shown now
 */
async function reload(focus) {
  if (entity === undefined) return false
  const list = make('ol', { className: 'top' })
  const isShown = whileShown()
  const likes = likesSent()
  let answer = await readPage(undefined)
  for (;;) {
    if (!isShown()) return false
    if (likes !== likesSent()) return await reload(focus)
    if (answer.status !== 200) {
      refused(answer, () => reload(focus))
      return false
    }
    fillIn(list, answer)
    if (
      focus === undefined ||
      nextComments === null ||
      list.querySelector(`#${CSS.escape(`comment-${focus}`)}`)
    )
      break
    answer = await readPage(nextComments)
  }
  const comments = the('comments', HTMLElement)
  comments.replaceChildren(
    list.children.length > 0 ? list : make('p', { className: 'dim' }, 'Nobody has said anything yet.'),
  )
  if (focus !== undefined) document.getElementById(`comment-${focus}`)?.focus()
  return true
}

/**
 * Whether what was asked for is still what is looked at. Tenants share their ids, so a late answer of one could pass
 * for the other's.
 */
function whileShown() {
  const { tenant } = api
  const shown = entity
  return () => api.tenant === tenant && entity === shown
}

/** @param {string | undefined} cursor */
function readPage(cursor) {
  const query = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
  return api.call('GET', `${entityPath(entity ?? '')}/comments?limit=${PAGE}${query}`)
}

/**
 * @param {HTMLElement} list
 * @param {Answer} answer
 */
function fillIn(list, answer) {
  const { entity: read, views, items, nextCursor } = answer.body
  the('thread-title', HTMLElement).textContent = read.title
  showViews(views)
  showSource(answer)
  for (const comment of items) list.append(make('li', {}, renderComment(comment, page)))
  nextComments = nextCursor
  the('more-comments', HTMLElement).hidden = nextComments === null
}

/**
 * @param {Answer} answer
 * @param {() => Promise<unknown>} again
 */
function refused(answer, again) {
  showSource(answer)
  if (answer.status === 429) {
    afterWait = again
    return say('The plan allows no more just now; this page goes on by itself.', true)
  }
  if (answer.status !== 0) say(answer.problem ?? '', true)
}

/** @type {import('./thread.js').Page} */
const page = {
  api,
  say,
  reload,
  write: async (content, parentId) => {
    const { status, body, problem } = await api.call('POST', `${entityPath(entity ?? '')}/comments`, {
      body: { content, ...(parentId === null ? {} : { parentId }) },
    })
    if (status !== 201) {
      say(problem ?? '', true)
      return false
    }
    say('Written.')
    await reload(body.id)
    return true
  },
}

async function readManyTimes() {
  if (readingMany || entity === undefined) return
  readingMany = true
  const result = the('many-result', HTMLOutputElement)
  result.textContent = 'Reading…'
  result.textContent = await readMany(api, meter, `${entityPath(entity)}/comments?limit=${PAGE}`)
  readingMany = false
}

/** @param {string} id */
const hashOf = (id) => addressOf(api.tenant?.id ?? '', id)

const user = the('user', HTMLInputElement)
user.value = localStorage.getItem('user') ?? 'ada'
api.user = user.value
user.addEventListener('change', () => {
  if (user.value === '') user.value = 'ada'
  api.user = user.value
  localStorage.setItem('user', user.value)
  forgetLikes()
  void reload()
})
the('who', HTMLElement).addEventListener('submit', (event) => event.preventDefault())
the('tenant', HTMLElement).addEventListener('change', () => {
  const chosen = tenants.find(({ id }) => id === the('tenant', HTMLSelectElement).value)
  if (chosen !== undefined) void choose(chosen, undefined)
})
window.addEventListener('hashchange', () => {
  const { tenant, entity: wanted } = placeInAddress()
  const other = tenants.find(({ id }) => id === tenant)
  if (other !== undefined && other.id !== api.tenant?.id) void choose(other, wanted)
  else if (wanted !== undefined && wanted !== entity) void open(wanted)
})
onClick('again', () => reload())
onClick('many', readManyTimes)
onClick('more-threads', () => loadThreads(nextThreads ?? undefined))
onClick('more-comments', async () => {
  const list = the('comments', HTMLElement).querySelector('ol.top')
  const isShown = whileShown()
  const answer = await readPage(nextComments ?? undefined)
  if (!isShown()) return
  if (answer.status !== 200) refused(answer, () => Promise.resolve())
  else if (list instanceof HTMLElement) fillIn(list, answer)
})
onSubmit('write', async (form) => {
  const { content } = /** @type {{ content: string }} */ (Object.fromEntries(new FormData(form)))
  if (await page.write(content, null)) form.reset()
})
onSubmit('new-thread', async (form) => {
  const { title } = /** @type {{ title: string }} */ (Object.fromEntries(new FormData(form)))
  const id = newId()
  const { status, problem } = await api.call('PUT', entityPath(id), { body: { title } })
  if (status !== 201) return say(problem ?? '', true)
  form.reset()
  the('new-thread', HTMLDetailsElement).open = false
  the('threads', HTMLElement).replaceChildren()
  return loadThreads(undefined, id)
})
void begin()
