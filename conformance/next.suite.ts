/**
 * What Next documents of its caches, on applications of its own (`next/`, and `next/components` with Cache Components): built
 * once, run as two instances and more on a cluster of their own, and asked over HTTP. Next publishes no suite for those
 * who implement its handlers.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type LocalCluster, startLocalCluster } from 'slotwise/local'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { unique } from './subject.js'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
/** Next 15 has neither profiles for `revalidateTag` nor, but for experiments, Cache Components. */
const is15 = process.env['SLOTWISE_NEXT'] === '15'
const folder = at(is15 ? 'next-15/.copy' : 'next')
const next = at(`${is15 ? 'next-15' : 'next'}/node_modules/next/dist/bin/next`)
const BUDGET_MS = 200
/** What a shared machine may add to a page. */
const SLACK_MS = 1500

/** Where the pages get what they show: of each thing a number that grows with every time that it is asked for. */
class Origin {
  readonly #counts = new Map<string, number>()
  readonly #held = new Map<string, Promise<void>>()
  readonly #server = createServer((request, response) => {
    const what = request.url?.slice(1) ?? ''
    const count = (this.#counts.get(what) ?? 0) + 1
    this.#counts.set(what, count)
    void (this.#held.get(what) ?? Promise.resolve()).then(() => response.end(String(count)))
  })

  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  asked(what: string): number {
    return this.#counts.get(what) ?? 0
  }

  /** Answers about it are kept back from now on, until what is returned is called. */
  hold(what: string): () => void {
    let release = () => {}
    this.#held.set(what, new Promise((resolve) => (release = resolve)))
    return () => {
      this.#held.delete(what)
      release()
    }
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

/** One process of the application. */
class Instance {
  readonly url: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.url = url
  }

  static async start(app: string, env: NodeJS.ProcessEnv): Promise<Instance> {
    const child = run(['start', app, '-H', '127.0.0.1', '-p', '0'], env)
    const url = await new Promise<string>((resolve, reject) => {
      let said = ''
      const hear = (text: string) => {
        said += text
        const [, found] = /Local:\s+(http:\S+)[\s\S]*Ready in/.exec(said) ?? []
        if (found !== undefined) resolve(found)
      }
      child.stdout?.setEncoding('utf8').on('data', hear)
      child.stderr?.setEncoding('utf8').on('data', hear)
      child.once('close', () => reject(new Error(`next start ended: ${said}`)))
    })
    return new Instance(child, url)
  }

  /** What a page shows: what is between its brackets, or where else it is. */
  async shows(path: string, where = /\[([^\]]*)\]<\/p>/): Promise<string> {
    const response = await fetch(`${this.url}${path}`)
    const html = await response.text()
    return where.exec(html)?.[1] ?? `${response.status}: ${html}`
  }

  /** By a route handler; Next answers when it has called `revalidateTag` or `revalidatePath` and not before they are done. */
  async change(what: Readonly<Record<string, string>>): Promise<void> {
    const response = await fetch(`${this.url}/change?${new URLSearchParams(what)}`, { method: 'POST' })
    await response.text()
    expect(response.status).toBe(200)
  }

  /** Sends the form of a page, as a browser without scripts does. */
  async act(path: string): Promise<string> {
    const html = await (await fetch(`${this.url}${path}`)).text()
    const [, name = ''] = /name="(\$ACTION_[^"]*)"/.exec(html) ?? []
    expect(name).not.toBe('')
    const fields = [...html.matchAll(/<input[^>]*type="hidden"[^>]*>/g)].map(([input]) => ({
      name: /name="([^"]*)"/.exec(input)?.[1] ?? '',
      value: unescaped(/value="([^"]*)"/.exec(input)?.[1] ?? ''),
    }))
    const body = new FormData()
    for (const field of fields) body.append(field.name, field.value)
    const response = await fetch(`${this.url}${path}`, { method: 'POST', body })
    return /\[([^\]]*)\]<\/p>/.exec(await response.text())?.[1] ?? String(response.status)
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const over = once(this.#child, 'close')
    process.kill(-(this.#child.pid ?? 0), 'SIGKILL')
    await over
  }
}

const unescaped = (html: string): string =>
  html.replaceAll('&quot;', '"').replaceAll('&#x27;', "'").replaceAll('&amp;', '&')

function run(args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const flags = ['--conditions=slotwise-source', `--import ${import.meta.resolve('tsx')}`]
  const guard = new URL('../scripts/with-parent.mjs', import.meta.url).href
  const { VITEST: _, NODE_ENV: __, ...inherited } = process.env
  return spawn(process.execPath, ['--import', guard, next, ...args], {
    cwd: folder,
    env: { ...inherited, NEXT_TELEMETRY_DISABLED: '1', NODE_OPTIONS: flags.join(' '), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // The guard ends the group.
    detached: true,
  })
}

const origin = new Origin()
let cluster: LocalCluster
let env: NodeJS.ProcessEnv
let a: Instance
let b: Instance
const instances: Instance[] = []
const start = async (more: NodeJS.ProcessEnv = {}, app = '.'): Promise<Instance> => {
  const instance = await Instance.start(app, { ...env, ...more })
  instances.push(instance)
  return instance
}

/** Redis need not be there. */
async function build(app: string, origin: string): Promise<void> {
  const building = run(['build', app], { SLOTWISE_ORIGIN: origin, SLOTWISE_NODES: '127.0.0.1:1' })
  let said = ''
  for (const stream of [building.stdout, building.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (said += text))
  }
  const [code] = (await once(building, 'close')) as [number]
  if (code !== 0) throw new Error(said)
  // No instance has a connection, so whoever asked for one in a build would have said why it had none.
  expect(said).not.toMatch(/127\.0\.0\.1:1\b/)
}

/** The application, beside the packages of the older Next. */
function copied(): void {
  rmSync(folder, { recursive: true, force: true })
  for (const part of ['app', 'pages', 'cache.mjs', 'cache-handler.mjs', 'use-cache.mjs', 'origin.mjs']) {
    cpSync(at(`next/${part}`), join(folder, part), { recursive: true })
  }
  cpSync(at('next-15/next.config.mjs'), join(folder, 'next.config.mjs'))
}

beforeAll(async () => {
  if (is15) copied()
  const url = await origin.open()
  const starting = startLocalCluster({ primaries: 3, replicasPerPrimary: 0, nodeTimeoutMs: 30_000 })
  await Promise.all([build('.', url), ...(is15 ? [] : [build('components', url)])])
  cluster = await starting
  env = {
    SLOTWISE_NODES: cluster.connectOptions.nodes.join(','),
    SLOTWISE_ORIGIN: url,
    SLOTWISE_BUDGET_MS: String(BUDGET_MS),
  }
  ;[a, b] = await Promise.all([connected(), connected()])
}, 180_000)

/** An instance that has made its connection, which takes longer than a page waits for it. */
async function connected(more: NodeJS.ProcessEnv = {}, app = '.', where?: RegExp): Promise<Instance> {
  const instance = await start(more, app)
  const path = `/${app === '.' ? 'isr' : 'p'}/${unique()}`
  const twice = async () => (await instance.shows(path, where)) === (await instance.shows(path, where))
  await vi.waitUntil(twice, { timeout: 10_000 })
  return instance
}

afterAll(async () => {
  await Promise.all(instances.map((instance) => instance.stop()))
  await cluster.stop()
  origin.close()
}, 30_000)

/**
 * What all of them show once it is stored. A page that is rendered within milliseconds of another instance's revalidation may
 * not be: it cannot be told from one that was begun before.
 */
async function agreed(shown: readonly (() => Promise<string>)[]): Promise<string> {
  let last: readonly string[] = []
  const ask = async (): Promise<readonly string[]> => {
    const all: string[] = []
    for (const one of [...shown, ...shown]) all.push(await one())
    return all
  }
  await vi.waitUntil(
    async () => {
      last = await ask()
      return new Set(last).size === 1
    },
    { timeout: 5000 },
  )
  return last[0] ?? ''
}

describe('pages and fetches', () => {
  const both = (path: string) => agreed([a, b].map((instance) => () => instance.shows(path)))

  it('rendered by one instance are served by the other', async () => {
    const id = unique()
    expect(await a.shows(`/isr/${id}`)).toBe('1 1')
    expect(await b.shows(`/isr/${id}`)).toBe('1 1')
    expect(await a.shows(`/old/${id}`)).toBe('1')
    expect(await b.shows(`/old/${id}`)).toBe('1')
    expect(origin.asked(`isr-${id}`)).toBe(1)
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
    expect(await b.shows(`/isr/${id}`)).toBe(is15 ? '1 2' : '1 1')
    await expect.poll(() => b.shows(`/isr/${id}`), { timeout: 5000 }).toMatch(/^1 [2-9]$/)
    expect(await both(`/isr/${id}`)).toMatch(/^1 [2-9]$/)
  })

  it('that were begun before a revalidation are not served after it', async () => {
    const id = unique()
    const release = origin.hold(`isr-${id}`)
    const rendering = a.shows(`/isr/${id}`)
    await expect.poll(() => origin.asked(`isr-${id}`)).toBe(1)
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
    expect(await count(b, `/cached/${id}`)).toBe(is15 ? 2 : 1)
    await expect.poll(() => a.shows(`/cached/${id}`), { timeout: 5000 }).toMatch(/^[2-9] [2-9]$/)
  })

  it('that was begun before a revalidation is not served after it', async () => {
    const id = unique()
    const release = origin.hold(`cached-${id}`)
    const rendering = a.shows(`/cached/${id}`)
    await expect.poll(() => origin.asked(`cached-${id}`)).toBe(1)
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

if (!is15) {
  describe('cache components', () => {
    const shell = /<i>(\d+)<\/i>/
    const live = /<b>(\d+)<\/b>/

    it('share their shells, which are revalidated by tag and by path in all instances at once', async () => {
      const id = unique()
      const [c, d] = await Promise.all([0, 1].map(() => connected({}, 'components', shell)))
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
      const release = origin.hold(`shell-${id}`)
      const rendering = shown(c)
      await expect.poll(() => origin.asked(`shell-${id}`)).toBe(last + 1)
      await d.change({ tag: `shell-${id}` })
      release()
      expect(await rendering).toBe(last + 1)
      expect(await shown(d)).toBeGreaterThan(last + 1)
      await Promise.all([c.stop(), d.stop()])
    })
  })
}

describe('another deployment', () => {
  it('reads nothing of this one, and hears what it revalidates', async () => {
    const id = unique()
    const other = await connected({ SLOTWISE_BUILD_ID: 'other' })
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
    const lonely = await start({ SLOTWISE_NODES: '127.0.0.1:1' })
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
    await Promise.all([0, 1, 2].map((i) => cluster.pause(i)))
    try {
      for (const path of paths) {
        const { shown, ms } = await timed(() => a.shows(path))
        expect(shown).toMatch(/^2/)
        expect(ms).toBeLessThan(BUDGET_MS + SLACK_MS)
      }
    } finally {
      await Promise.all([0, 1, 2].map((i) => cluster.resume(i)))
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
