import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { access, constants, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ServerNotFoundError } from '../errors.js'
import { advice, onPath } from './advice.js'

interface FetchOptions {
  /** Whether what lies in the folder is to go. */
  readonly replace: boolean
  readonly onProgress?: ((step: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * By name, for a machine whose package database is in disorder: what redis-server needs beyond what every Debian
 * and Ubuntu has.
 */
const BY_NAME = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1']

/**
 * Downloads the system's own package of redis-server and what it needs into a folder of this user. Needs no root
 * and installs nothing: apt works on lists and archives of its own, thrown away afterwards. About 6 MB stay.
 *
 * Safe when several processes do it at once: each works apart, and the first one done is the one that counts.
 */
export async function fetchServer(folder: string, options: FetchOptions): Promise<void> {
  const { onProgress = () => {}, signal } = options
  if (process.platform !== 'linux' || onPath(['apt-get']).length === 0 || onPath(['dpkg']).length === 0) {
    throw new ServerNotFoundError(`There is no redis-server on this machine. ${advice()}`)
  }
  const base = dirname(folder)
  let work: string | undefined
  try {
    await mkdir(base, { recursive: true })
    await sweep(base)
    work = await mkdtemp(join(base, 'fetching-'))
    onProgress('fetching the list of packages')
    const apt = await prepare(work)
    await command('apt-get', [...apt, 'update'], signal)
    onProgress('fetching redis-server')
    await download(apt, work, signal)
    onProgress('unpacking redis-server')
    const root = join(work, 'root')
    await mkdir(root)
    const archives = (await readdir(join(work, 'archives'))).filter((name) => name.endsWith('.deb'))
    for (const name of archives) {
      await command('dpkg', ['--extract', join(work, 'archives', name), root], signal)
    }
    if (!existsSync(join(root, 'usr/bin/redis-server'))) {
      throw new Error('the packages that came hold no redis-server')
    }
    await putInPlace(root, folder, options.replace)
  } catch (error) {
    signal?.throwIfAborted()
    throw await explain(error, base)
  } finally {
    if (work !== undefined) await rm(work, { recursive: true, force: true })
  }
}

async function prepare(work: string): Promise<string[]> {
  await mkdir(join(work, 'lists/partial'), { recursive: true })
  await mkdir(join(work, 'archives/partial'), { recursive: true })
  const settings = [
    `Dir::State=${work}`,
    `Dir::State::Lists=${join(work, 'lists')}`,
    'Dir::State::status=/var/lib/dpkg/status',
    `Dir::Cache=${work}`,
    `Dir::Cache::archives=${join(work, 'archives')}`,
    'APT::Sandbox::User=root',
    'Debug::NoLocking=1',
    'Acquire::Languages=none',
    'Acquire::Retries=2',
    'Acquire::http::Timeout=20',
    'Acquire::https::Timeout=20',
    'APT::Update::Post-Invoke-Success::=',
  ]
  return ['-qq', ...settings.flatMap((setting) => ['-o', setting])]
}

async function download(
  apt: readonly string[],
  work: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const archives = join(work, 'archives')
  try {
    const install = ['--no-install-recommends', '--download-only', 'install', 'redis-server']
    await command('apt-get', [...apt, '-y', ...install], signal)
  } catch (error) {
    if (/unable to locate|no installation candidate/i.test(String(error))) throw error
    signal?.throwIfAborted()
  }
  const came = (await readdir(archives)).some((name) => name.startsWith('redis-server'))
  // Nothing came: unmet dependencies, or a database that holds the package for installed.
  if (!came) await command('apt-get', [...apt, 'download', ...BY_NAME], signal, archives)
}

/** Somebody else's download may have got there first: theirs is as good as ours. */
async function putInPlace(root: string, folder: string, replace: boolean): Promise<void> {
  if (replace) {
    // Renamed first: a folder is never seen half removed. What runs from it keeps running.
    await rename(folder, `${root}.old`).catch(() => {})
  }
  try {
    await rename(root, folder)
  } catch (error) {
    if (!existsSync(join(folder, 'usr/bin/redis-server'))) throw error
  }
}

/** What interrupted downloads left behind. */
async function sweep(base: string): Promise<void> {
  for (const name of await readdir(base)) {
    if (!name.startsWith('fetching-')) continue
    const path = join(base, name)
    const age = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now())
    if (age > 3_600_000) await rm(path, { recursive: true, force: true })
  }
}

function command(
  name: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
  cwd?: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, {
      cwd,
      signal,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    })
    let said = ''
    child.stderr.on('data', (chunk) => (said += chunk))
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(said.trim() || `${name} ended with code ${code}`))
    })
  })
}

async function explain(error: unknown, base: string): Promise<ServerNotFoundError> {
  const said = error instanceof Error ? error.message : String(error)
  const code = (error as { code?: string }).code ?? ''
  const failed = (why: string) =>
    new ServerNotFoundError(`redis-server could not be fetched: ${why}`, { cause: error })
  if (code === 'ENOSPC' || /no space left|enough free space/i.test(said)) {
    return failed(`the disk is full; about 80 MB are needed for a moment in ${base}, 6 MB stay.`)
  }
  if (/^(?:EACCES|EPERM|EROFS|ENOTDIR)$/.test(code) || !(await isWritable(base))) {
    return failed(`${base} cannot be written to; set XDG_CACHE_HOME to a folder that can.`)
  }
  if (
    /unable to locate|could not resolve|temporary failure|unable to connect|could not connect/i.test(said)
  ) {
    return failed(`the package servers cannot be reached; is there a network? ${advice()}`)
  }
  return failed(`${said.split('\n').at(-1)}. ${advice()}`)
}

async function isWritable(folder: string): Promise<boolean> {
  return await access(folder, constants.W_OK).then(
    () => true,
    () => false,
  )
}
