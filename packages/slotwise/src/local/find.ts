import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ServerNotFoundError } from '../errors.js'
import { advice, onPath } from './advice.js'
import { cacheFolder } from './cache-folder.js'
import { fetchServer } from './fetch.js'

const run = promisify(execFile)

/** A redis-server or valkey-server that runs on this machine. */
export interface FoundServer {
  readonly path: string
  /** Such as `7.0.15`. */
  readonly version: string
  /** What its process needs beside our own environment. */
  readonly env: Readonly<Record<string, string>>
}

export interface FindOptions {
  /** The oldest version that will do. @defaultValue `'7.0.0'` */
  readonly version?: string | undefined
  readonly onProgress?: ((step: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

const OLDEST = '7.0.0'

/**
 * Finds a server: `SLOTWISE_REDIS_SERVER`, then `PATH`, then what was fetched earlier, then a fresh download
 * where this system offers one without installing anything. The network is touched only for the last.
 *
 * @throws ServerNotFoundError with what to do on this system
 */
export async function findServer(options: FindOptions = {}): Promise<FoundServer> {
  const wanted = options.version ?? OLDEST
  const rejected: string[] = []
  const suits = async (path: string, env: FoundServer['env'] = {}) => {
    const found = await inspect(path, env)
    if (typeof found === 'string') rejected.push(`${path}: ${found}`)
    else if (isOlder(found.version, wanted))
      rejected.push(`${path} is ${found.version}, ${wanted} or later is needed`)
    else return found
    return undefined
  }

  const named = process.env['SLOTWISE_REDIS_SERVER']
  if (named !== undefined && named !== '') {
    const found = await suits(named)
    if (found !== undefined) return found
    throw new ServerNotFoundError(`SLOTWISE_REDIS_SERVER names no usable server: ${rejected.join('; ')}.`)
  }
  if (process.platform === 'win32') {
    throw new ServerNotFoundError(
      'Redis does not run on Windows itself: use WSL (https://aka.ms/wsl), and run this command inside it.',
    )
  }
  for (const path of onPath(['redis-server', 'valkey-server'])) {
    const found = await suits(path)
    if (found !== undefined) return found
  }
  const folder = join(cacheFolder(), `redis-server-${process.platform}-${process.arch}`)
  const earlier = await unpacked(folder)
  const cached = earlier && (await suits(earlier.path, earlier.env))
  if (cached) return cached

  await fetchServer(folder, { replace: earlier !== undefined, ...options })
  const fresh = await unpacked(folder)
  const fetched = fresh && (await suits(fresh.path, fresh.env))
  if (fetched) return fetched
  throw new ServerNotFoundError(
    `No usable redis-server was found (${rejected.join('; ') || 'none on PATH'}). ${advice()}`,
  )
}

/** A program and its libraries as unpacked from packages into a folder. */
async function unpacked(folder: string): Promise<Pick<FoundServer, 'path' | 'env'> | undefined> {
  const path = join(folder, 'usr/bin/redis-server')
  if (!existsSync(path)) return undefined
  const libraries: string[] = []
  for (const base of ['usr/lib', 'lib'].map((name) => join(folder, name))) {
    for (const entry of await readdir(base, { withFileTypes: true }).catch(() => [])) {
      if (entry.isDirectory() && entry.name.includes('-linux-')) libraries.push(join(base, entry.name))
    }
  }
  const inherited = process.env['LD_LIBRARY_PATH']
  if (inherited) libraries.push(inherited)
  return { path, env: libraries.length === 0 ? {} : { LD_LIBRARY_PATH: libraries.join(':') } }
}

async function inspect(path: string, env: FoundServer['env']): Promise<FoundServer | string> {
  try {
    const { stdout } = await run(path, ['--version'], { env: { ...process.env, ...env }, timeout: 10_000 })
    const version = /\bv=(\d+\.\d+\.\d+)/.exec(stdout)?.[1]
    return version === undefined ? 'it does not say which version it is' : { path, version, env }
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string }
    if (code === 'ENOENT') return 'there is no such file'
    if (code === 'EACCES') return 'it may not be run'
    return `it does not run: ${stderr?.trim().split('\n').at(-1) || String(error)}`
  }
}

function isOlder(version: string, than: string): boolean {
  const [has, needs] = [version, than].map((text) => text.split('.').map(Number)) as [number[], number[]]
  for (let i = 0; i < 3; i++) {
    const difference = (has[i] ?? 0) - (needs[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}
