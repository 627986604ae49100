import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimes,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Something the user can mend. Its message is shown as it is, without a stack trace. */
export class Explained extends Error {
  /** @override */
  name = 'Explained'
}

/**
 * Installs the packages of the workspace, or of a folder beside it, if they are missing or out of date. What is
 * installed for development also serves for running, and is never pruned by it.
 *
 * @param {'run' | 'dev'} level what is needed: only what running the service takes, or everything
 * @param {{ progress: import('./progress.mjs').Progress, signal?: AbortSignal | undefined, folder?: string }} options
 * @returns {Promise<boolean>} whether anything had to be installed
 */
export async function ensurePackages(level, { progress, signal, folder = root }) {
  const wanted = describe(folder)
  if (satisfies(readStamp(folder), level, wanted, describeTree(folder))) return false
  const unlock = await lock(progress, signal)
  try {
    const old = readStamp(folder)
    if (satisfies(old, level, wanted, describeTree(folder))) return false
    const hasTools = old?.level === 'dev' || existsSync(join(folder, 'node_modules/vitest'))
    const chosen = hasTools ? 'dev' : level
    await install(folder, chosen, progress, signal)
    const stamp = { level: chosen, wanted, tree: describeTree(folder) }
    writeFileSync(stampFile(folder), JSON.stringify(stamp))
    return true
  } catch (error) {
    throw error instanceof Explained || signal?.aborted ? error : explain(String(error), '')
  } finally {
    unlock()
  }
}

/** @typedef {{ level: 'run' | 'dev', wanted: string, tree: string }} Stamp */

/** @param {string} folder */
const stampFile = (folder) => join(folder, 'node_modules/.slotwise.json')

/** @type {(folder: string) => Stamp | undefined} */
function readStamp(folder) {
  try {
    return JSON.parse(readFileSync(stampFile(folder), 'utf8'))
  } catch {
    return undefined
  }
}

/** @type {(stamp: Stamp | undefined, level: 'run' | 'dev', wanted: string, tree: string) => boolean} */
function satisfies(stamp, level, wanted, tree) {
  if (stamp === undefined || stamp.wanted !== wanted || stamp.tree !== tree) return false
  return level === 'run' || stamp.level === 'dev'
}

/**
 * Everything that decides what npm would install.
 *
 * @param {string} folder
 */
function describe(folder) {
  const hash = createHash('sha256')
  const [major] = process.versions.node.split('.')
  hash.update(`${major} ${process.platform} ${process.arch}\n`)
  const members = ['packages', 'apps'].flatMap((parent) => {
    const path = join(folder, parent)
    return existsSync(path) ? readdirSync(path).map((name) => `${parent}/${name}`) : []
  })
  for (const file of [
    '.npmrc',
    'package.json',
    ...members.toSorted().map((name) => `${name}/package.json`),
  ]) {
    const path = join(folder, file)
    if (existsSync(path)) hash.update(`${file}\n${readFileSync(path, 'utf8')}\n`)
  }
  return hash.digest('hex')
}

/**
 * npm rewrites this file whenever it changes node_modules, whoever called it.
 *
 * @param {string} folder
 */
function describeTree(folder) {
  const lockfile = join(folder, 'node_modules/.package-lock.json')
  return existsSync(lockfile) ? createHash('sha256').update(readFileSync(lockfile)).digest('hex') : ''
}

/** The holder of the lock touches it this often; untouched for much longer, its holder is gone. */
const HEARTBEAT_MS = 1000
const SILENT_MS = 10_000

/**
 * Two npm in one tree would spoil it: the later one waits for the earlier.
 *
 * @param {import('./progress.mjs').Progress} progress
 * @param {AbortSignal | undefined} signal
 */
async function lock(progress, signal) {
  const file = join(root, '.slotwise/install.lock')
  const own = `${file}.${randomUUID()}`
  /** @type {import('./progress.mjs').Step | undefined} */
  let waiting
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(own, String(process.pid))
    while (!tryLink(own, file)) {
      const holder = readHolder(file)
      if (holder === undefined) rmSync(file, { force: true })
      else {
        waiting ??= progress.step(`Waiting for process ${holder}, which is installing the packages`)
        await sleep(100, undefined, { signal })
      }
    }
  } catch (error) {
    waiting?.fail()
    throw explain(String(error), '')
  } finally {
    rmSync(own, { force: true })
  }
  waiting?.done('The other start has ended')
  const heartbeat = setInterval(() => {
    const now = new Date()
    utimes(file, now, now, () => {})
  }, HEARTBEAT_MS)
  return () => {
    clearInterval(heartbeat)
    rmSync(file, { force: true })
  }
}

/**
 * @param {string} own
 * @param {string} file
 */
function tryLink(own, file) {
  try {
    const now = new Date()
    utimesSync(own, now, now)
    linkSync(own, file)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** @param {string} file */
function readHolder(file) {
  try {
    const pid = Number(readFileSync(file, 'utf8'))
    return isAlive(pid) && Date.now() - statSync(file).mtimeMs < SILENT_MS ? pid : undefined
  } catch {
    return undefined
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/**
 * The shell ends npm when we are gone, however we went: an install that goes on behind the user's back would
 * meet the next one.
 */
const GUARD = `exec 3<&0; "$@" </dev/null 3<&- & npm=$!
( read -r nothing <&3; kill -s TERM "$npm"; sleep 2; kill -s KILL "$npm" ) 2>/dev/null & watch=$!
trap 'kill -s TERM "$npm"' TERM
wait "$npm"; code=$?
kill -s KILL "$watch" 2>/dev/null; exit "$code"`

/**
 * @param {string} folder
 * @param {'run' | 'dev'} level
 * @param {import('./progress.mjs').Progress} progress
 * @param {AbortSignal | undefined} signal
 */
async function install(folder, level, progress, signal) {
  const tools = level === 'dev' && folder === root ? ' and development tools' : ''
  const step = progress.step(`Installing packages${tools}`)
  const flags = [
    level === 'run' ? '--omit=dev' : '--include=dev',
    '--include=optional',
    '--ignore-scripts',
    '--no-save',
    '--no-audit',
    '--no-fund',
    '--loglevel=http',
    '--fetch-retry-mintimeout=500',
    '--fetch-retry-maxtimeout=2000',
  ]
  let result = await runNpm(folder, [...flags, '--prefer-offline'], step, signal)
  if (result.code !== 0 && result.unreachable && !signal?.aborted) {
    // The cache alone may do, and says at once when it does not.
    result = await runNpm(folder, [...flags, '--offline'], step, signal)
  }
  if (result.code === 0) {
    step.done(result.fetched > 0 ? `Packages installed, ${result.fetched} fetched` : 'Packages installed')
    return
  }
  step.fail()
  signal?.throwIfAborted()
  const log = join(root, '.slotwise/install.log')
  try {
    writeFileSync(log, `${result.said.join('\n')}\n`)
  } catch {
    // A full disk: the sentence says so.
  }
  throw explain(result.said.filter((line) => !line.startsWith('npm warn')).join('\n'), log)
}

/** So many attempts without one answer, and the registry is taken for unreachable: npm itself would go on for minutes. */
const VAIN_ATTEMPTS = 3

/**
 * @param {string} folder
 * @param {readonly string[]} flags
 * @param {import('./progress.mjs').Step} step
 * @param {AbortSignal | undefined} signal
 */
async function runNpm(folder, flags, step, signal) {
  const [program = '', ...before] = findNpm()
  const child = spawn('sh', ['-c', GUARD, 'install', program, ...before, 'install', ...flags], {
    cwd: folder,
    env: cleanEnvironment(),
    stdio: ['pipe', 'ignore', 'pipe'],
    // Its own group: Ctrl-C reaches us alone, and we end it.
    detached: true,
  })
  child.stdin.on('error', () => {})
  const stop = () => child.stdin.end()
  signal?.addEventListener('abort', stop)
  let [lookedUp, fetched, answers, vain] = [0, 0, 0, 0]
  /** @type {string[]} */
  const said = []
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (!line.startsWith('npm http')) said.push(line)
    else if (/attempt \d+ failed/.test(line)) vain++
    else if (/ 200 .*\.tgz/.test(line)) fetched++
    else lookedUp++
    if (/ 200 .*(?:cache (?:miss|updated|revalidated)|\.tgz)/.test(line)) answers++
    if (vain >= VAIN_ATTEMPTS && answers === 0) stop()
    step.update(fetched > 0 ? `${fetched} fetched` : `${lookedUp} looked up`)
  })
  /** @type {number | null} */
  const code = await new Promise((done) => {
    child.once('close', done)
    child.once('error', (error) => {
      said.push(String(error))
      done(1)
    })
  })
  signal?.removeEventListener('abort', stop)
  return { code, said, fetched, unreachable: vain > 0 }
}

/** npm as it was called, else the one that came with this Node, else whichever the PATH has. */
function findNpm() {
  const called = process.env['npm_execpath'] ?? ''
  if (/npm-cli\.c?js$/.test(called) && existsSync(called)) return [process.execPath, called]
  const bin = dirname(process.execPath)
  for (const near of ['../lib/node_modules/npm/bin/npm-cli.js', 'node_modules/npm/bin/npm-cli.js']) {
    if (existsSync(join(bin, near))) return [process.execPath, join(bin, near)]
  }
  const onPath = (process.env['PATH'] ?? '').split(':').find((folder) => existsSync(join(folder, 'npm')))
  if (onPath !== undefined) return [join(onPath, 'npm')]
  throw new Explained(
    'npm is not installed: install it (it comes with Node from nodejs.org), then start again.',
  )
}

/** What `npm start` hands down describes the outer call; of that only the ways to the registry are kept. */
function cleanEnvironment() {
  const kept =
    /^npm_config_(cache|registry|userconfig|globalconfig|https?_proxy|proxy|noproxy|cafile|ca|strict_ssl)$/i
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => name !== 'NODE_ENV' && (!/^npm_(config|lifecycle|package)/i.test(name) || kept.test(name)),
    ),
  )
}

/**
 * @param {string} said
 * @param {string} log
 */
function explain(said, log) {
  if (/ENOSPC/.test(said)) {
    return new Explained(
      `The disk is full: the packages need about 300 MB in ${root}. Free some space and start again.`,
    )
  }
  if (/EACCES|EPERM|EROFS/.test(said)) {
    const path = /(?:path|open|mkdir) '?(\/[^'\n]+)/.exec(said)?.[1] ?? root
    return new Explained(`This user may not write to ${path}: make that its own (chown), then start again.`)
  }
  if (
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ENOTCACHED|SOCKET_TIMEOUT/.test(
      said,
    )
  ) {
    return new Explained(
      'The npm registry cannot be reached, and not every package is in the cache yet: go online once, then start again.',
    )
  }
  const reason = /npm error (?!code)(.+)/.exec(said)?.[1] ?? said.trim().split('\n').at(-1) ?? ''
  return new Explained(
    `npm could not install the packages: ${reason.replace(/\.$/, '')}. All it said is in ${log}.`,
  )
}
