import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import type { RedisPort } from '../../src/redis/index.js'
import type { Tally, Task } from './cache-task.js'
import { sizeOf, Versions } from './versions.js'

const CHILD = fileURLToPath(new URL('cache-child.ts', import.meta.url))

/** A cluster that keeps its data, a database of versions in a file, and processes with a cache over both. */
export interface CacheStage {
  readonly cluster: LocalCluster
  readonly port: RedisPort
  readonly versions: Versions
  /** All versions are nought again. */
  reset(): Promise<void>
  /** A process that reads and writes until the versions are over. */
  start(
    task: Pick<Task, 'own' | 'processes' | 'version'>,
    told: (tally: Tally) => void,
  ): { readonly child: ChildProcess; readonly ended: Promise<unknown> }
  close(): Promise<void>
}

export async function openCacheStage(rows: number, namespace = ''): Promise<CacheStage> {
  const folder = await mkdtemp(join(tmpdir(), 'slotwise-cache-'))
  const file = join(folder, 'versions')
  const reset = () => writeFile(file, Buffer.alloc(sizeOf(rows)))
  await reset()
  const versions = new Versions(file)
  const cluster = await startLocalCluster({ nodeTimeoutMs: 1000, dir: join(folder, 'data') })
  const port = await connect({ ...cluster.connectOptions, namespace })
  const children: ChildProcess[] = []
  return {
    cluster,
    port,
    versions,
    reset,
    start: (what, told) => {
      const task: Task = { nodes: cluster.connectOptions.nodes, file, rows, ...what }
      const child = fork(CHILD, [JSON.stringify(task)], {
        execArgv: ['--conditions=slotwise-source', '--import', 'tsx'],
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      })
      children.push(child)
      child.on('message', (message) => told(message as Tally))
      return { child, ended: once(child, 'exit') }
    },
    close: async () => {
      for (const child of children) if (child.exitCode === null) child.kill('SIGKILL')
      await port.close()
      await cluster.stop()
      versions.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
