import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { processInfo } from '../../../packages/slotwise/src/local/process.js'

const ORIGIN = fileURLToPath(new URL('../../..', import.meta.url))
const NOT_CLONED = new Set(['node_modules', '.git', '.slotwise', 'dist', 'coverage'])

/** What a newcomer has: the files of the repository, in a folder with a space, and an empty home. */
export interface Tree {
  readonly root: string
  readonly home: string
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
}

export async function copyTree(
  from = ORIGIN,
  { keep = [], user }: { readonly keep?: readonly string[]; readonly user?: Tree['user'] } = {},
): Promise<Tree & AsyncDisposable> {
  const base = await mkdtemp(join(tmpdir(), 'slotwise start '))
  const tree = { root: join(base, 'a clone'), home: join(base, 'home'), ...(user && { user }) }
  await cp(from, tree.root, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) =>
      path.includes('/node_modules/') || keep.includes(basename(path)) || !NOT_CLONED.has(basename(path)),
  })
  await mkdir(tree.home)
  if (user !== undefined) {
    const { status } = spawnSync('chown', ['-R', `${user.uid}:${user.gid}`, base])
    if (status !== 0) throw new Error(`cannot give ${base} to user ${user.uid}`)
  }
  return { ...tree, [Symbol.asyncDispose]: () => rm(base, { recursive: true, force: true, maxRetries: 5 }) }
}

/** Somebody without rights, when we are root. */
export function ordinaryUser(): Tree['user'] {
  return process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined
}

/** `npm start` in a tree, as a child, and what it says. */
export class Start {
  /** npm's own process, the leader of its group. */
  readonly npm: ChildProcess
  readonly exited: Promise<number | null>
  readonly #tree: Tree
  /** In the environment of everything that comes of it, so that nothing can hide. */
  readonly #mark = randomUUID()
  said = ''

  constructor(tree: Tree, flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
    this.#tree = tree
    const npm = spawn('npm', ['start', ...(flags.length === 0 ? [] : ['--', ...flags])], {
      cwd: tree.root,
      env: { ...bareEnvironment(tree.home), SLOTWISE_TEST_MARK: this.#mark, ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...tree.user,
    })
    this.npm = npm
    for (const stream of [npm.stdout, npm.stderr]) stream.on('data', (chunk) => (this.said += String(chunk)))
    // A test run that is killed takes with it what it started.
    const orphanage = spawn('sh', ['-c', 'read -r nothing; kill -s TERM "$1"', 'sh', String(npm.pid)], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.exited = once(npm, 'exit').then(([code]) => {
      orphanage.kill('SIGKILL')
      return code as number | null
    })
  }

  /** Resolves when the screen is there; rejects with everything it said when it ends before. */
  async up(): Promise<State> {
    const state = { ended: false }
    void this.exited.then(() => (state.ended = true))
    while (!/Stop +Ctrl-C/.test(this.said)) {
      if (state.ended) throw new Error(`npm start ended:\n${this.said}`)
      await sleep(20)
    }
    return JSON.parse(await readFile(join(this.#tree.root, '.slotwise/state.json'), 'utf8')) as State
  }

  /** The script that npm runs. */
  get script(): number {
    const found = this.processes().find((pid) =>
      /^\S*node scripts\/start\.mjs/.test(processInfo(pid)?.command ?? ''),
    )
    if (found === undefined) throw new Error(`no start.mjs among ${this.processes().join(', ')}`)
    return found
  }

  /** The process of a Redis node, not its guard's. */
  redis(index: number): number {
    const found = this.processes().find((pid) => {
      const command = processInfo(pid)?.command ?? ''
      return command.endsWith(`redis/node-${index}/redis.conf`) && !command.includes('slotwise-guard')
    })
    if (found === undefined) throw new Error(`there is no Redis node ${index}`)
    return found
  }

  /** Everything alive that came of this start. */
  processes(): number[] {
    return process.platform === 'linux' ? this.#marked() : this.#inTree()
  }

  #marked(): number[] {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && pid !== process.pid && this.#isOurs(pid))
      .filter((pid) => processInfo(pid) !== undefined)
  }

  /** Servers write their title over their environment, but stand in the folder of their data. */
  #isOurs(pid: number): boolean {
    return environment(pid).includes(this.#mark) || workingFolder(pid).startsWith(this.#tree.root)
  }

  #inTree(): number[] {
    const { stdout } = spawnSync('ps', ['-axww', '-o', 'pid=,args='], { encoding: 'utf8' })
    const lines = stdout.split('\n').filter((line) => line.includes(this.#tree.root))
    return lines.map((line) => Number.parseInt(line, 10))
  }
}

export interface State {
  readonly url: string
  readonly databaseUrl: string
  readonly redisNodes: readonly string[]
}

/** Every port that the start took. */
export function portsOf({ url, databaseUrl, redisNodes }: State): number[] {
  return [url, databaseUrl, ...redisNodes.map((node) => `tcp://${node}`)].map((text) =>
    Number(new URL(text).port),
  )
}

export function isListening(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => done(true)).once('error', () => done(false))
    socket.once('connect', () => socket.destroy())
  })
}

function environment(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    return ''
  }
}

function workingFolder(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ''
  }
}

/** Nothing of npm, of this test run or of this user but the way to npm's cache: what came once need not come again. */
function bareEnvironment(home: string): NodeJS.ProcessEnv {
  const cache = process.env['npm_config_cache'] ?? join(homedir(), '.npm')
  return {
    PATH: process.env['PATH'],
    HOME: home,
    LANG: 'C.UTF-8',
    NO_COLOR: '1',
    ...(existsSync(cache) ? { npm_config_cache: cache } : {}),
  }
}
