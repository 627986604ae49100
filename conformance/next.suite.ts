/**
 * What Next 16 documents of its caches, on applications of its own: `next/`, and `next/components` with Cache Components. Next
 * publishes no suite for those who implement its handlers.
 */
import { describe, expect, it } from 'vitest'
import { application } from './next-application.js'
import { agreed, at, type Instance } from './next-stage.js'
import { unique } from './subject.js'

const where = {
  folder: at('next'),
  next: at('next/node_modules/next/dist/bin/next'),
  apps: ['.', 'components'],
}
const stage = application(where, { keepsStale: true })

describe('cache components', () => {
  const shell = /<i>(\d+)<\/i>/
  const live = /<b>(\d+)<\/b>/

  it('share their shells, which are revalidated by tag and by path in all instances at once', async () => {
    const id = unique()
    const [c, d] = await Promise.all([0, 1].map(() => stage().connected({}, 'components', '/p', shell)))
    expect.assert(c !== undefined && d !== undefined)
    const shown = async (instance: Instance) => Number(await instance.shows(`/p/${id}`, shell))
    const both = async () => Number(await agreed([c, d].map((one) => () => one.shows(`/p/${id}`, shell))))
    expect(await both()).toBe(1)
    const seen = Number(await c.shows(`/p/${id}`, live))
    expect(await d.shows(`/p/${id}`, live)).toBe(String(seen + 1))
    expect(await c.shows('/p/built', shell)).toBe(await d.shows('/p/built', shell))

    await c.change({ tag: `shell-${id}` })
    expect(await shown(d)).toBe(2)
    let last = await both()
    await d.change({ path: `/p/${id}` })
    expect(await shown(c)).toBe(last + 1)
    last = await both()
    await c.change({ tag: `shell-${id}`, expire: '600' })
    expect(await shown(d)).toBe(last)
    await expect.poll(() => shown(d), { timeout: 5000 }).toBeGreaterThan(last)
    last = await both()

    await c.change({ tag: `shell-${id}` })
    const release = stage().origin.hold(`shell-${id}`)
    const rendering = shown(c)
    await expect.poll(() => stage().origin.asked(`shell-${id}`)).toBe(last + 1)
    await d.change({ tag: `shell-${id}` })
    release()
    expect(await rendering).toBe(last + 1)
    expect(await shown(d)).toBeGreaterThan(last + 1)
    await Promise.all([c.stop(), d.stop()])
  })
})
