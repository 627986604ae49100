import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigurationError, LocalServerError } from '../errors.js'
import { processInfo } from './process.js'

/** What a folder of data remembers of the cluster in it. */
export interface Remembered {
  readonly primaries: number
  readonly replicasPerPrimary: number
  /** Ports of last time, in the order of the nodes; those of `addNode` come last. */
  readonly ports: readonly { readonly port: number; readonly busPort: number }[]
  /** Whether the nodes have been one cluster; else making it was interrupted. */
  readonly whole: boolean
}

const FILE = 'cluster.json'
/** A former owner that is just ending takes no longer, its servers included. */
const PATIENCE_MS = 4000

export function nodeFolder(dir: string, index: number): string {
  return join(dir, `node-${index}`)
}

export async function recall(dir: string): Promise<Remembered | undefined> {
  await mkdir(dir, { recursive: true })
  const text = await readFile(join(dir, FILE), 'utf8').catch((error: { readonly code?: string }) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    const value = JSON.parse(text) as Remembered
    if (!Array.isArray(value.ports) || !Number.isInteger(value.primaries)) throw new TypeError('incomplete')
    return value
  } catch (error) {
    throw new ConfigurationError(
      `${join(dir, FILE)} is damaged: restore it, or move ${dir} away to begin anew`,
      {
        cause: error,
      },
    )
  }
}

/** All but who the node is: its id, its slots, whom it follows, its epochs. */
export async function removeData(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name !== 'nodes.conf') await rm(join(folder, name), { recursive: true, force: true })
  }
}

/** Written beside and moved into place, so that an interruption leaves the former one. */
export async function remember(dir: string, state: Remembered): Promise<void> {
  const next = join(dir, `${FILE}.${process.pid}`)
  await writeFile(next, JSON.stringify(state, undefined, 2), { mode: 0o600 })
  await rename(next, join(dir, FILE))
}

/**
 * Ends servers of an earlier run that nobody looks after any more, which happens only when their guards were
 * killed too. Servers that somebody does look after are waited for, in case they are ending, and then left alone.
 *
 * @throws LocalServerError the folder is in use
 */
export async function sweep(dir: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  const nodes = (await readdir(dir)).filter((name) => /^node-\d+$/.test(name))
  for (const name of nodes) {
    const file = join(dir, name, 'redis.conf')
    for (;;) {
      const pid = Number(await readFile(join(dir, name, 'pid'), 'utf8').catch(() => '0'))
      const info = pid > 0 ? processInfo(pid) : undefined
      // The number may be another program's by now.
      if (!info?.command.includes(file)) break
      const guarded = processInfo(info.parent)?.command.includes(file) ?? false
      if (!guarded) endQuietly(pid)
      else if (performance.now() > deadline) {
        throw new LocalServerError(
          `${dir} is in use: its server ${pid} runs under another process; stop that, or use another folder`,
          { log: '' },
        )
      }
      await sleep(50)
    }
  }
}

function endQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM')
    process.kill(pid, 'SIGCONT')
  } catch {
    // It was gone already.
  }
}
