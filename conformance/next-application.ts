/** What Next documents of its caches, on an application that runs as two instances and more. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { agreed, BUDGET_MS, type Instance, Stage, type Where } from './next-stage.js'
import { unique } from './subject.js'

/** What a shared machine may add to a page. */
const SLACK_MS = 1500

/**
 * The tests, to be called once in a suite; gives what they run on, when it is there.
 *
 * @param keepsStale whether `revalidateTag` takes a profile, with which what bears the tag is served while the next is made
 */
export function application(where: Where, { keepsStale }: { readonly keepsStale: boolean }): () => Stage {
  let stage: Stage
  let a: Instance
  let b: Instance

  beforeAll(async () => {
    stage = await Stage.open(where)
    ;[a, b] = await Promise.all([stage.connected(), stage.connected()])
  }, 180_000)
  afterAll(() => stage.close(), 30_000)

  describe('pages and fetches', () => {
    const both = (path: string) => agreed([a, b].map((instance) => () => instance.shows(path)))

    it('rendered by one instance are served by the other', async () => {
      const id = unique()
      expect(await a.shows(`/isr/${id}`)).toBe('1 1')
      expect(await b.shows(`/isr/${id}`)).toBe('1 1')
      expect(await a.shows(`/old/${id}`)).toBe('1')
      expect(await b.shows(`/old/${id}`)).toBe('1')
      expect(stage.origin.asked(`isr-${id}`)).toBe(1)
      for (const instance of [a, b]) expect((await fetch(`${instance.url}/old/gone`)).status).toBe(404)
    })

    it('that bear a tag are made anew by the other instance at once, and of what is still good', async () => {
      const id = unique()
      expect(await both(`/isr/${id}`)).toBe('1 1')
      await a.change({ tag: `fetch-${id}` })
      expect(await b.shows(`/isr/${id}`)).toBe('2 1')
      const shown = await both(`/isr/${id}`)
      expect(shown).toMatch(/^[2-9] 1$/)
      await b.change({ tag: `isr-${id}` })
      expect(await a.shows(`/isr/${id}`)).toBe(`${shown[0]} 2`)
    })

    it('of a path that was revalidated are made anew by the other instance at once', async () => {
      const [id, other] = [unique(), unique()]
      for (const one of [id, other]) expect(await a.shows(`/isr/${one}`)).toBe('1 1')
      await a.change({ path: `/isr/${id}` })
      expect(await b.shows(`/isr/${id}`)).toBe('2 2')
      expect(await b.shows(`/isr/${other}`)).toBe('1 1')
    })

    it('that are stale are served once more while the next is made, for all instances', async () => {
      const id = unique()
      expect(await a.shows(`/isr/${id}`)).toBe('1 1')
      await a.change({ tag: `isr-${id}`, expire: '600' })
      expect(await b.shows(`/isr/${id}`)).toBe(keepsStale ? '1 1' : '1 2')
      await expect.poll(() => b.shows(`/isr/${id}`), { timeout: 5000 }).toMatch(/^1 [2-9]$/)
      expect(await both(`/isr/${id}`)).toMatch(/^1 [2-9]$/)
    })

    it('that were begun before a revalidation are not served after it', async () => {
      const id = unique()
      const release = stage.origin.hold(`isr-${id}`)
      const rendering = a.shows(`/isr/${id}`)
      await expect.poll(() => stage.origin.asked(`isr-${id}`)).toBe(1)
      await b.change({ tag: `isr-${id}` })
      release()
      expect(await rendering).toBe('1 1')
      for (const instance of [b, a]) expect(await instance.shows(`/isr/${id}`)).toMatch(/^1 [2-9]$/)
      expect(await both(`/isr/${id}`)).toMatch(/^1 [2-9]$/)
    })
  })

  describe('use cache', () => {
    const both = async (path: string): Promise<number> =>
      Number(await agreed([a, b].map((one) => async () => (await one.shows(path)).split(' ')[0] ?? '')))
    const count = async (instance: Instance, path: string): Promise<number> =>
      Number((await instance.shows(path)).split(' ')[0])

    it('is shared by the instances, and updateTag seen by the other at once', async () => {
      const path = `/cached/${unique()}`
      expect(await both(path)).toBe(1)
      expect(await a.act(path)).toMatch(/^2 /)
      expect(await count(b, path)).toBeGreaterThan(1)
      const shown = await both(path)
      await b.change({ tag: path.slice(1).replace('/', '-') })
      expect(await count(a, path)).toBe(shown + 1)
    })

    it('minds revalidatePath of the page that reads it', async () => {
      const path = `/cached/${unique()}`
      expect(await both(path)).toBe(1)
      await a.change({ path })
      expect(await count(b, path)).toBe(2)
      expect(await both(path)).toBeGreaterThan(1)
    })

    it('serves what is stale while the next is made, by tag and by cacheLife', async () => {
      const id = unique()
      expect(await a.shows(`/cached/${id}`)).toBe('1 1')
      await a.change({ tag: `cached-${id}`, expire: '600' })
      expect(await count(b, `/cached/${id}`)).toBe(keepsStale ? 1 : 2)
      await expect.poll(() => a.shows(`/cached/${id}`), { timeout: 5000 }).toMatch(/^[2-9] [2-9]$/)
    })

    it('that was begun before a revalidation is not served after it', async () => {
      const id = unique()
      const release = stage.origin.hold(`cached-${id}`)
      const rendering = a.shows(`/cached/${id}`)
      await expect.poll(() => stage.origin.asked(`cached-${id}`)).toBe(1)
      await b.change({ tag: `cached-${id}` })
      release()
      expect(await rendering).toMatch(/^1 /)
      for (const instance of [b, a]) expect(await count(instance, `/cached/${id}`)).toBeGreaterThan(1)
      expect(await both(`/cached/${id}`)).toBeGreaterThan(1)
    })

    it('remote is the same', async () => {
      const id = unique()
      expect(await both(`/remote/${id}`)).toBe(1)
      await a.change({ tag: `remote-${id}` })
      expect(await count(b, `/remote/${id}`)).toBe(2)
    })
  })

  describe('limits of route handlers', () => {
    const ask = async (instance: Instance, client: string, query = 'name=ada') =>
      await fetch(`${instance.url}/limited?${query}`, {
        headers: { 'x-forwarded-for': `1.2.3.4, ${client}` },
        redirect: 'manual',
      })

    it('hold for all instances, and are told to clients', async () => {
      const client = `2001:db8:${unique().slice(0, 4)}:${unique().slice(0, 4)}::7`
      const first = await ask(a, client)
      expect([first.status, await first.json()]).toEqual([200, { hello: 'ada' }])
      expect(first.headers.get('ratelimit')).toBe('"requests";r=1;t=1000')
      expect((await ask(b, client)).status).toBe(200)
      const refused = await ask(a, client)
      expect([refused.status, refused.headers.get('cache-control')]).toEqual([429, 'no-store'])
      expect(refused.headers.get('content-type')).toBe('application/problem+json')
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(900)
      expect(await refused.json()).toMatchObject({ 'violated-policies': ['requests'] })
    })

    it('give back what failed, and nothing of a redirect', async () => {
      const client = `2001:db8:${unique().slice(0, 4)}:${unique().slice(0, 4)}::7`
      for (let i = 0; i < 4; i++) expect((await ask(a, client, 'how=throw')).status).toBe(500)
      const statuses = []
      for (let i = 0; i < 3; i++) statuses.push((await ask(a, client, 'how=redirect')).status)
      expect(statuses).toEqual([307, 307, 429])
    })
  })

  describe('another deployment', () => {
    it('reads nothing of this one, and hears what it revalidates', async () => {
      const id = unique()
      const other = await stage.connected({ SLOTWISE_BUILD_ID: 'other' })
      expect(await a.shows(`/isr/${id}`)).toBe('1 1')
      expect(await other.shows(`/isr/${id}`)).toBe('2 2')
      expect(await a.shows(`/isr/${id}`)).toBe('1 1')
      await a.change({ tag: `isr-${id}` })
      expect(await other.shows(`/isr/${id}`)).toBe('2 3')
      await other.stop()
    })
  })

  describe('without Redis', () => {
    const timed = async (act: () => Promise<string>): Promise<{ shown: string; ms: number }> => {
      const from = performance.now()
      const shown = await act()
      return { shown, ms: performance.now() - from }
    }

    it('pages are rendered by an instance that finds none when it starts', async () => {
      const id = unique()
      const lonely = await stage.start({ SLOTWISE_NODES: '127.0.0.1:1' })
      // What it loads for its first pages is not Redis's.
      for (const path of ['isr', 'cached', 'old']) await lonely.shows(`/${path}/${unique()}`)
      for (const path of [`/isr/${id}`, `/cached/${id}`, `/old/${id}`]) {
        const { shown, ms } = await timed(() => lonely.shows(path))
        expect(shown).toMatch(/^1/)
        expect(ms).toBeLessThan(BUDGET_MS + SLACK_MS)
      }
      await lonely.stop()
    })

    it('that hangs, a page costs its rendering and the budget, and is cached again afterwards', async () => {
      const id = unique()
      const paths = [`/isr/${id}`, `/cached/${id}`, `/old/${id}`]
      for (const path of paths) expect(await a.shows(path)).toMatch(/^1/)
      await Promise.all([0, 1, 2].map((i) => stage.cluster.pause(i)))
      try {
        for (const path of paths) {
          const { shown, ms } = await timed(() => a.shows(path))
          expect(shown).toMatch(/^2/)
          expect(ms).toBeLessThan(BUDGET_MS + SLACK_MS)
        }
      } finally {
        await Promise.all([0, 1, 2].map((i) => stage.cluster.resume(i)))
      }
      await expect
        .poll(
          async () => {
            const first = await a.shows(`/old/${id}`)
            return first === (await a.shows(`/old/${id}`)) && first === (await b.shows(`/old/${id}`))
          },
          { timeout: 10_000 },
        )
        .toBe(true)
    })
  })

  return () => stage
}
