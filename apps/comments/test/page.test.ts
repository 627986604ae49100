import type { Browser, BrowserContext, Locator, Page } from 'playwright-core'
import { afterAll, test as base, beforeAll, expect, vi } from 'vitest'
import type { Api } from './support/api.js'
import { openBrowser } from './support/browser.js'
import { useService } from './support/service.js'

const service = useService({ DEMO: '1' })
let browser: Browser

beforeAll(async () => {
  browser = await openBrowser()
}, 300_000)
afterAll(() => browser.close())

/** A window and a tenant of one test, so that tests that mostly wait can do so at once. */
interface Visit {
  readonly context: BrowserContext
  readonly page: Page
  /** What the browser complained of: failed scripts, refused contents, messages of the console. */
  readonly complaints: string[]
  readonly api: Api
  readonly open: (of: Api) => Promise<unknown>
  readonly write: (text: string) => Promise<void>
  readonly article: (text: string) => Locator
}

const it = base.extend<{ readonly visit: Visit }>({
  visit: async ({ task }, use) => {
    const context = await browser.newContext()
    const page = await context.newPage()
    page.setDefaultTimeout(10_000)
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      // A refused request is told on the page, and the browser notes it too.
      if (message.type() === 'error' && !message.text().includes('429')) complaints.push(message.text())
    })
    const api = await service.tenant()
    await api.entity('1', 'A thread of this test')
    await use({
      context,
      page,
      complaints,
      api,
      open: (of) => page.goto(`${service.url}/#${of.tenant}/1`),
      write: async (text) => {
        await page.getByLabel('Your comment').fill(text)
        await page.getByRole('button', { name: 'Write', exact: true }).click()
      },
      article: (text) => page.getByRole('article').filter({ hasText: text }).last(),
    })
    await context.close()
    expect(complaints, `what the browser complained of: ${task.name}`).toEqual([])
  },
})

it('shows a thread as a tree, and that the second reading came from the cache', async ({ visit }) => {
  const { page, api, open, article } = visit
  const first = await api.comment('1', 'what was asked')
  await api.comment('1', 'what was answered', 'ben', first)
  await open(api)
  await page.getByText('what was answered').waitFor()
  expect(await article('what was asked').getByRole('article').innerText()).toContain('what was answered')
  expect(await page.locator('#source').innerText()).toMatch(
    /^loaded from Postgres in [\d.]+ ms · answered in [\d.]+ ms$/,
  )
  await page.getByRole('button', { name: 'Read again' }).click()
  await page.locator('#source[data-source=cache]').waitFor()
  expect(await page.locator('#source').innerText()).toMatch(
    /^from the cache in [\d.]+ ms · answered in [\d.]+ ms$/,
  )
  await page.getByRole('button', { name: 'Read 50 times' }).click()
  await page.getByText(/^50 answers, 50 from the cache, median [\d.]+ ms$/).waitFor()
  expect(await page.locator('#requests li').first().innerText()).toMatch(/GET[\s\S]*200[\s\S]*cache/)
  expect(await page.locator('#allowance').innerText()).toMatch(/of 10,000 a minute left on ENTERPRISE/)
})

it('shows what is written at once, answers, edits and deletes it, and finds it again after a reload', async ({
  visit,
}) => {
  const { page, api, open, write, article } = visit
  await open(api)
  await write('hello from the page')
  await article('hello from the page').getByRole('button', { name: 'Reply' }).click()
  await page.getByLabel('Your reply').fill('and a reply')
  await page.getByRole('button', { name: 'Reply' }).last().click()
  await article('and a reply').getByRole('button', { name: 'Edit' }).click()
  await page.getByLabel('What it should say').fill('a reply that was edited')
  await page.getByRole('button', { name: 'Save' }).click()
  await article('a reply that was edited').getByText('edited', { exact: true }).waitFor()
  await page.reload()
  await article('a reply that was edited').getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('button', { name: 'Really delete?' }).click()
  await page.getByText('Deleted.', { exact: true }).waitFor()
  expect(await page.getByText('a reply that was edited').count()).toBe(0)
  expect(await page.getByText('hello from the page').count()).toBe(1)
})

it('lets nobody write before there is a thread to write in', async ({ visit }) => {
  const { page, api, open, write, article } = visit
  let letGo = () => {}
  const held = new Promise<void>((done) => (letGo = done))
  await page.route('**/v1/entities?*', async (route) => {
    await held
    await route.continue()
  })
  await open(api)
  await page.getByText(/left on ENTERPRISE/).waitFor()
  expect(await page.getByLabel('Your comment').isVisible()).toBe(false)
  letGo()
  await write('in time')
  await article('in time').waitFor()
})

it('counts a like once, and says so', async ({ visit }) => {
  const { page, api, open, article } = visit
  const id = await api.comment('1', 'to be liked')
  await open(api)
  const like = article('to be liked').getByRole('button', { name: '♥' })
  await like.click()
  await page.getByRole('button', { name: '♥ 1', pressed: true }).waitFor()
  // The page forgets what it knew, the service does not.
  await page.reload()
  await like.click()
  await page.getByText('You liked it before: it counts once.').waitFor()
  await like.click()
  await page.getByRole('button', { name: '♥ 0', pressed: false }).waitFor()
  expect((await api.get(`/v1/comments/${id}`)).body.likes).toBe(0)
})

/** Opened from outside, where a request is to be held. */
function gate() {
  let open = () => {}
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open }
}

it('shows a like that is counted while the thread is read anew, whichever is answered first', async ({
  visit,
}) => {
  const { page, api, open, article } = visit
  await api.comment('1', 'to be liked')
  await open(api)
  const like = article('to be liked').getByRole('button', { name: '♥' })
  await like.waitFor()

  const read = gate()
  const isRead = gate()
  await page.route('**/comments?*', async (route) => {
    const response = await route.fetch()
    isRead.open()
    await read.passed
    await route.fulfill({ response })
  })
  await page.getByRole('button', { name: 'Read again' }).click()
  await isRead.passed
  await like.click()
  await page.getByRole('button', { name: '♥ 1', pressed: true }).waitFor()
  const shown = await like.elementHandle()
  read.open()
  await expect.poll(() => shown.evaluate((element) => element.isConnected)).toBe(false)
  await page.getByRole('button', { name: '♥ 1', pressed: true }).waitFor()

  await page.unroute('**/comments?*')
  const liking = gate()
  await page.route('**/like', async (route) => {
    await liking.passed
    await route.continue()
  })
  await like.click()
  const before = await like.elementHandle()
  await page.getByRole('button', { name: 'Read again' }).click()
  await expect.poll(() => before.evaluate((element) => element.isConnected)).toBe(false)
  liking.open()
  await page.getByRole('button', { name: '♥ 0', pressed: false }).waitFor()
})

it('counts one look each time a thread is opened, and shows it', async ({ visit }) => {
  const { page, api, open } = visit
  await api.comment('1', 'looked at')
  await open(api)
  await page.getByText('1 view', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'Read again' }).click()
  await page.locator('#source[data-source=cache]').waitFor()
  await page.reload()
  await page.getByText('2 views', { exact: true }).waitFor()
  expect((await api.thread('1')).body.views).toBe(2)
})

it('shows reactions, changes one and takes it back, and finds it again after a reload', async ({ visit }) => {
  const { page, api, open, article } = visit
  const id = await api.comment('1', 'to be cheered')
  await api.put(`/v1/comments/${id}/reaction`, { user: 'zoe', body: { kind: '🎉' } })
  await open(api)
  const button = (name: string, pressed: boolean) =>
    article('to be cheered').getByRole('button', { name, exact: true, pressed })
  await button('Celebrate 1', false).click()
  await button('Celebrate 2', true).waitFor()
  await button('Wonder', false).click()
  await button('Wonder 1', true).waitFor()
  await page.reload()
  await button('Celebrate 1', false).waitFor()
  await button('Wonder 1', true).click()
  await button('Wonder', false).waitFor()
  expect((await api.get(`/v1/comments/${id}`)).body.reactions).toEqual([{ kind: '🎉', count: 1 }])
})

it('keeps tenants apart whose ids are the same', async ({ visit }) => {
  const { page, api, open } = visit
  const other = await service.tenant('ENTERPRISE')
  await other.entity('1', 'The thread of the other')
  await api.comment('1', 'ours')
  await other.comment('1', 'theirs')
  await open(api)
  await page.getByText('ours', { exact: true }).waitFor()
  await page.getByLabel('Tenant').selectOption(other.tenant)
  await page.getByText('theirs', { exact: true }).waitFor()
  expect(await page.getByText('ours', { exact: true }).count()).toBe(0)
  expect(await page.getByRole('heading', { name: 'The thread of the other' }).count()).toBe(1)
})

it('shows markup as the text that it is', async ({ visit }) => {
  const { page, api, open } = visit
  const nasty = '<img src=x onerror="document.title=1"> <script>document.title=2</script> & "quotes"'
  await api.comment('1', nasty, '<b>ann</b>')
  await open(api)
  await page.getByText(nasty).waitFor()
  expect(await page.locator('#comments img, #comments script, #comments b b').count()).toBe(0)
  expect(await page.title()).toBe('Comments · slotwise')
})

it('can be used with the keyboard alone', async ({ visit }) => {
  const { page, api, open, article } = visit
  await open(api)
  await page.getByRole('heading', { name: 'A thread of this test' }).waitFor()
  await page.getByLabel('Your comment').focus()
  await page.keyboard.type('typed')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await article('typed').waitFor()
  // Whoever writes lands on what was written.
  expect(await page.evaluate(() => document.activeElement?.textContent)).toContain('typed')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: '♥ 1', pressed: true }).waitFor()
})

it('fits a narrow screen', async ({ visit }) => {
  const { page, api, open } = visit
  await api.comment('1', 'x'.repeat(500))
  await page.setViewportSize({ width: 360, height: 740 })
  await open(api)
  await page.getByText(/^x{500}$/).waitFor()
  const [width, room] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ])
  expect(width).toBe(room)
})

it.concurrent('shows nothing of one tenant to whoever has gone on to another, however late it comes', async ({
  visit,
}) => {
  const { page, api, open } = visit
  const other = await service.tenant('ENTERPRISE')
  await other.entity('1', 'The thread of the other')
  await api.comment('1', 'ours')
  await other.comment('1', 'theirs')
  await open(api)
  await page.getByText('ours', { exact: true }).waitFor()
  // The page asks with keys of the demo.
  const demo = (await (await fetch(`${service.url}/demo/tenants`)).json()) as { id: string; key: string }[]
  const key = demo.find(({ id }) => id === api.tenant)?.key ?? ''
  let letGo = () => {}
  const held = new Promise<void>((done) => (letGo = done))
  // On a busy machine news of what was written come late, and the page reads once more by itself.
  let [asked, late] = [0, 0]
  await page.route('**/v1/entities/1/comments?*', async (route) => {
    if (route.request().headers()['authorization']?.includes(key) === true) {
      asked++
      const response = await route.fetch()
      await held
      await route.fulfill({ response })
      late++
    } else await route.continue()
  })
  await page.getByRole('button', { name: 'Read again' }).click()
  await page.getByLabel('Tenant').selectOption(other.tenant)
  await page.getByText('theirs', { exact: true }).waitFor()
  letGo()
  await vi.waitFor(() => expect([late > 0, late]).toEqual([true, asked]), { timeout: 10_000 })
  // What came late is noted among the answers, and nowhere else.
  await page.locator('#requests li').filter({ hasText: 'GET' }).nth(3).waitFor()
  expect(await page.getByText('ours', { exact: true }).count()).toBe(0)
  expect(await page.getByText('theirs', { exact: true }).count()).toBe(1)
})

it.concurrent('counts down when the plan allows no more, and then goes on by itself', async ({ visit }) => {
  const { page, open } = visit
  const free = await service.tenant('FREE')
  await free.entity('1', 'A free thread')
  await free.comment('1', 'for nothing')
  // Until nothing is left for longer than even a busy machine takes to send the page's own request.
  const useUp = async () => {
    for (;;) {
      const { status, body } = await free.get('/v1/tenant')
      if (status === 429 && body.retryAfterMs > 4000) return
    }
  }
  let asked = 0
  await page.route('**/v1/entities/1/comments?*', async (route) => {
    if (asked++ === 0) await useUp()
    await route.continue()
  })
  await open(free)
  await page.getByText(/^Refused\. The next request is let in in \d\.\d s\.$/).waitFor()
  const button = page.getByRole('button', { name: /^Read again · \d s$/ })
  await button.waitFor()
  expect(await button.isDisabled()).toBe(true)
  await page.getByText('for nothing').waitFor({ timeout: 15_000 })
  expect(asked).toBeGreaterThan(1)
  // News that come late on a busy machine are read once more, and may be refused again.
  await vi.waitFor(
    async () => expect(await page.getByRole('button', { name: 'Read again' }).isDisabled()).toBe(false),
    { timeout: 10_000 },
  )
}, 30_000)

it.concurrent.for([
  { retryAfterMs: 4201, text: '4.3 s', name: 'Read again · 5 s' },
  { retryAfterMs: 59_901, text: '1 min 0 s', name: 'Read again · 1 min 0 s' },
  { retryAfterMs: 3_599_001, text: '1 h 0 min', name: 'Read again · 1 h 0 min' },
])(
  'lets act when $retryAfterMs ms are over and not before, and says so rounded up',
  async (told, { visit }) => {
    const { page, api, open } = visit
    const { retryAfterMs, text, name } = told
    await api.comment('1', 'let in again')
    await page.clock.install()
    await open(api)
    await page.getByText('let in again').waitFor()
    // From here on no time passes on the page but what is let pass.
    await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 3_600_000)
    let asked = 0
    await page.route('**/v1/entities/1/comments?*', async (route) => {
      if (asked++ > 0) return await route.continue()
      const body = JSON.stringify({ code: 'RATE_LIMITED', status: 429, retryAfterMs })
      const headers = { 'Content-Type': 'application/problem+json', RateLimit: '"minute";r=0;t=5' }
      await route.fulfill({ status: 429, headers, body })
    })
    await page.getByRole('button', { name: 'Read again' }).click()
    await page.getByText(`Refused. The next request is let in in ${text}.`, { exact: true }).waitFor()
    const button = page.getByRole('button', { name, exact: true })
    expect(await button.isDisabled()).toBe(true)
    // A tenth of a second before, all that was due meanwhile at once.
    await page.clock.fastForward(retryAfterMs - 101)
    await page.clock.runFor(100)
    expect(await page.locator('#wait').innerText()).toBe('Refused. The next request is let in in 0.1 s.')
    expect(await page.getByRole('button', { name: 'Read again · 1 s', exact: true }).isDisabled()).toBe(true)
    expect(asked).toBe(1)
    // It looks every tenth of a second.
    await Promise.all([page.waitForRequest('**/v1/entities/1/comments?*'), page.clock.runFor(101)])
    await page.getByRole('button', { name: 'Read again', exact: true }).waitFor()
    expect(await page.getByRole('button', { name: 'Read again', exact: true }).isDisabled()).toBe(false)
  },
)

it.concurrent('says that the service is gone, and goes on when it is back', async ({ visit }) => {
  const { context, page, complaints, api, open } = visit
  await api.comment('1', 'still here')
  await open(api)
  await page.getByText('still here').waitFor()
  await context.setOffline(true)
  await page.getByRole('button', { name: 'Read again' }).click()
  await page.getByText('The service does not answer. Trying again…').waitFor()
  await context.setOffline(false)
  await page.getByText('The service is back.').waitFor()
  await page.getByText('still here').waitFor()
  expect(complaints.every((text) => text.includes('ERR_INTERNET_DISCONNECTED'))).toBe(true)
  complaints.length = 0
})
