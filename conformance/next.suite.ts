/**
 * What Next documents of its caches, on an application of its own (`next/`): built once, run as two instances and more on a
 * cluster of their own, and asked over HTTP. Next publishes no suite for those who implement its handlers.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type LocalCluster, startLocalCluster } from 'slotwise/local'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unique } from './subject.js'

const folder = fileURLToPath(new URL('next', import.meta.url))
const next = fileURLToPath(new URL('next/node_modules/next/dist/bin/next', import.meta.url))
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

  static async start(env: NodeJS.ProcessEnv): Promise<Instance> {
    const child = run(['start', '-H', '127.0.0.1', '-p', '0'], env)
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

  /** What a page shows: what is between its brackets. */
  async shows(path: string): Promise<string> {
    const response = await fetch(`${this.url}${path}`)
    const html = await response.text()
    return /\[([^\]]*)\]<\/p>/.exec(html)?.[1] ?? `${response.status}: ${html}`
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
const start = async (more: NodeJS.ProcessEnv = {}): Promise<Instance> => {
  const instance = await Instance.start({ ...env, ...more })
  instances.push(instance)
  return instance
}

beforeAll(async () => {
  // Nothing that it needs to be built is there: neither Redis nor what the pages show.
  const building = run(['build'], {})
  let said = ''
  for (const stream of [building.stdout, building.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (said += text))
  }
  const built = once(building, 'close')
  const url = await origin.open()
  cluster = await startLocalCluster({ primaries: 3, replicasPerPrimary: 0, nodeTimeoutMs: 30_000 })
  env = {
    SLOTWISE_NODES: cluster.connectOptions.nodes.join(','),
    SLOTWISE_ORIGIN: url,
    SLOTWISE_BUDGET_MS: String(BUDGET_MS),
  }
  const [code] = (await built) as [number]
  if (code !== 0) throw new Error(said)
  ;[a, b] = await Promise.all([start(), start()])
}, 120_000)

afterAll(async () => {
  await Promise.all(instances.map((instance) => instance.stop()))
  await cluster.stop()
  origin.close()
}, 30_000)

describe('pages and fetches', () => {
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
    for (const instance of [a, b]) expect(await instance.shows(`/isr/${id}`)).toBe('1 1')
    await a.change({ tag: `fetch-${id}` })
    expect(await b.shows(`/isr/${id}`)).toBe('2 1')
    expect(await a.shows(`/isr/${id}`)).toBe('2 1')
    await b.change({ tag: `isr-${id}` })
    expect(await a.shows(`/isr/${id}`)).toBe('2 2')
    expect(await b.shows(`/isr/${id}`)).toBe('2 2')
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
    expect(await b.shows(`/isr/${id}`)).toBe('1 1')
    for (const instance of [b, a]) {
      await expect.poll(() => instance.shows(`/isr/${id}`), { timeout: 5000 }).toBe('1 2')
    }
  })

  it('that were begun before a revalidation are not served after it', async () => {
    const id = unique()
    const release = origin.hold(`isr-${id}`)
    const rendering = a.shows(`/isr/${id}`)
    await expect.poll(() => origin.asked(`isr-${id}`)).toBe(1)
    await b.change({ tag: `isr-${id}` })
    release()
    expect(await rendering).toBe('1 1')
    expect(await b.shows(`/isr/${id}`)).toBe('1 2')
    expect(await a.shows(`/isr/${id}`)).toBe('1 2')
  })
})

describe('use cache', () => {
  it('is shared by the instances, and updateTag seen by the other at once', async () => {
    const id = unique()
    expect(await a.shows(`/cached/${id}`)).toMatch(/^1 /)
    expect(await b.shows(`/cached/${id}`)).toMatch(/^1 /)
    expect(await a.act(`/cached/${id}`)).toMatch(/^2 /)
    // Next 16.4 revalidates before it renders what a form's action has changed, and once more after.
    const [count = ''] = (await b.shows(`/cached/${id}`)).split(' ')
    expect(count).toMatch(/^[23]$/)
    expect(await a.shows(`/cached/${id}`)).toMatch(new RegExp(`^${count} `))
    await b.change({ tag: `cached-${id}` })
    expect(await a.shows(`/cached/${id}`)).toMatch(new RegExp(`^${Number(count) + 1} `))
  })

  it('minds revalidatePath of the page that reads it', async () => {
    const id = unique()
    for (const instance of [a, b]) expect(await instance.shows(`/cached/${id}`)).toMatch(/^1 /)
    await a.change({ path: `/cached/${id}` })
    expect(await b.shows(`/cached/${id}`)).toMatch(/^2 /)
  })

  it('serves what is stale while the next is made, by tag and by cacheLife', async () => {
    const id = unique()
    expect(await a.shows(`/cached/${id}`)).toBe('1 1')
    await a.change({ tag: `cached-${id}`, expire: '600' })
    expect(await b.shows(`/cached/${id}`)).toMatch(/^1 /)
    await expect.poll(() => a.shows(`/cached/${id}`), { timeout: 5000 }).toMatch(/^2 [2-9]$/)
  })

  it('that was begun before a revalidation is not served after it', async () => {
    const id = unique()
    const release = origin.hold(`cached-${id}`)
    const rendering = a.shows(`/cached/${id}`)
    await expect.poll(() => origin.asked(`cached-${id}`)).toBe(1)
    await b.change({ tag: `cached-${id}` })
    release()
    expect(await rendering).toMatch(/^1 /)
    expect(await b.shows(`/cached/${id}`)).toMatch(/^2 /)
    expect(await a.shows(`/cached/${id}`)).toMatch(/^2 /)
  })

  it('remote is the same', async () => {
    const id = unique()
    for (const instance of [a, b]) expect(await instance.shows(`/remote/${id}`)).toBe('1')
    await a.change({ tag: `remote-${id}` })
    expect(await b.shows(`/remote/${id}`)).toBe('2')
  })
})

describe('another deployment', () => {
  it('reads nothing of this one, and hears what it revalidates', async () => {
    const id = unique()
    const other = await start({ SLOTWISE_BUILD_ID: 'other' })
    expect(await a.shows(`/isr/${id}`)).toBe('1 1')
    expect(await other.shows(`/isr/${id}`)).toBe('2 2')
    expect(await a.shows(`/isr/${id}`)).toBe('1 1')
    await a.change({ tag: `isr-${id}` })
    expect(await other.shows(`/isr/${id}`)).toMatch(/3$/)
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
