/** Applications of Next as processes: built, started, asked over HTTP. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type LocalCluster, startLocalCluster } from 'slotwise/local'
import { expect, vi } from 'vitest'
import { unique } from './subject.js'

export const BUDGET_MS = 200

/** A path below this folder. */
export const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** A folder with applications, and which Next they are for. */
export interface Where {
  readonly folder: string
  readonly next: string
  /** Below the folder; the first is the one that is started unless told otherwise. */
  readonly apps: readonly string[]
}

/** Where the pages get what they show: of each thing a number that grows with every time that it is asked for. */
export class Origin {
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
export class Instance {
  readonly url: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.url = url
  }

  static async start(where: Where, app: string, env: NodeJS.ProcessEnv): Promise<Instance> {
    const child = run(where, ['start', app, '-H', '127.0.0.1', '-p', '0'], env)
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

function run({ folder, next }: Where, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
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

/** Redis need not be there. */
async function build(where: Where, app: string, origin: string): Promise<void> {
  const building = run(where, ['build', app], { SLOTWISE_ORIGIN: origin, SLOTWISE_NODES: undefined })
  let said = ''
  for (const stream of [building.stdout, building.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (said += text))
  }
  const [code] = (await once(building, 'close')) as [number]
  if (code !== 0) throw new Error(said)
  expect(said).not.toContain('asked for Redis')
}

/** The applications of a folder, built, with what they need: a cluster and an origin of their own. */
export class Stage {
  readonly origin: Origin
  readonly cluster: LocalCluster
  readonly #where: Where
  readonly #env: NodeJS.ProcessEnv
  readonly #instances: Instance[] = []

  private constructor(where: Where, cluster: LocalCluster, origin: Origin, url: string) {
    this.origin = origin
    this.cluster = cluster
    this.#where = where
    this.#env = {
      SLOTWISE_NODES: cluster.connectOptions.nodes.join(','),
      SLOTWISE_ORIGIN: url,
      SLOTWISE_BUDGET_MS: String(BUDGET_MS),
    }
  }

  static async open(where: Where): Promise<Stage> {
    const origin = new Origin()
    const url = await origin.open()
    const starting = startLocalCluster({ primaries: 3, replicasPerPrimary: 0, nodeTimeoutMs: 30_000 })
    await Promise.all(where.apps.map((app) => build(where, app, url)))
    return new Stage(where, await starting, origin, url)
  }

  async start(more: NodeJS.ProcessEnv = {}, app = this.#where.apps[0] ?? '.'): Promise<Instance> {
    const instance = await Instance.start(this.#where, app, { ...this.#env, ...more })
    this.#instances.push(instance)
    return instance
  }

  /** An instance that has made its connection, which takes longer than a page waits for it. */
  async connected(more?: NodeJS.ProcessEnv, app?: string, path = '/isr', where?: RegExp): Promise<Instance> {
    const instance = await this.start(more, app)
    const page = `${path}/${unique()}`
    const twice = async () => (await instance.shows(page, where)) === (await instance.shows(page, where))
    await vi.waitUntil(twice, { timeout: 10_000 })
    return instance
  }

  async close(): Promise<void> {
    await Promise.all(this.#instances.map((instance) => instance.stop()))
    await this.cluster.stop()
    this.origin.close()
  }
}

/**
 * What all of them show once it is stored. A page that is rendered within milliseconds of another instance's revalidation may
 * not be: it cannot be told from one that was begun before.
 */
export async function agreed(shown: readonly (() => Promise<string>)[]): Promise<string> {
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
