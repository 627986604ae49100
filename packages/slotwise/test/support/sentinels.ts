import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { findServer } from '../../src/local/find.js'
import { type Guarded, startGuarded } from '../../src/local/guard.js'
import { freePorts } from '../../src/local/ports.js'
import { WireClient } from '../../src/redis/wire.js'

/** A primary and its replicas without a cluster, watched by three sentinels. */
export interface Watched extends AsyncDisposable {
  readonly sentinels: readonly string[]
  readonly servers: readonly { readonly port: number; readonly process: Guarded }[]
}

const HOST = '127.0.0.1'

export async function startWatched(downAfterMs: number, replicas = 1): Promise<Watched> {
  const found = await findServer()
  const dir = await mkdtemp(join(tmpdir(), 'slotwise-sentinel-'))
  const [primary = 0, ...others] = await freePorts(replicas + 4)
  const followers = others.slice(0, replicas)
  const watchers = others.slice(replicas)
  const start = async (port: number, lines: readonly string[], ...more: readonly string[]) => {
    const file = join(dir, `${port}.conf`)
    await writeFile(file, [`port ${port}`, `bind ${HOST}`, `dir "${dir}"`, ...lines].join('\n'))
    return await startGuarded({
      command: found.path,
      args: [file, ...more],
      env: { ...process.env, ...found.env, LC_ALL: 'C' },
      stopSignal: 'TERM',
      graceMs: 1000,
      log: join(dir, `${port}.log`),
      removeAtEnd: dir,
    })
  }
  const data = ['save ""', 'repl-diskless-sync-delay 0']
  const processes = [await start(primary, [...data, `dbfilename ${primary}.rdb`])]
  for (const port of followers) {
    processes.push(await start(port, [...data, `dbfilename ${port}.rdb`, `replicaof ${HOST} ${primary}`]))
  }
  await Promise.all([primary, ...followers].map(answers))
  for (const port of watchers) {
    const watch = [
      `sentinel monitor main ${HOST} ${primary} 2`,
      `sentinel down-after-milliseconds main ${downAfterMs}`,
      'sentinel failover-timeout main 3000',
    ]
    processes.push(await start(port, watch, '--sentinel'))
  }
  await Promise.all(watchers.map(answers))
  const client = await WireClient.connect({ host: HOST, port: watchers[0] ?? 0, timeoutMs: 2000 })
  // Sentinels and replicas find each other by gossip.
  const isWhole = async () => {
    const watchedNow = String(await client.call(['SENTINEL', 'MASTER', 'main']))
    expect(watchedNow).toContain(`num-slaves,${replicas},num-other-sentinels,2`)
    // Heard of, one is disconnected until it has been reached.
    const listed = String(await client.call(['SENTINEL', 'REPLICAS', 'main']))
    expect(listed.match(/flags,slave,/g)).toHaveLength(replicas)
  }
  await vi.waitFor(isWhole, { timeout: 15_000 })
  client.close()
  return {
    sentinels: watchers.map((port) => `${HOST}:${port}`),
    servers: [primary, ...followers].flatMap((port, i) => {
      const process = processes[i]
      return process === undefined ? [] : [{ port, process }]
    }),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(processes.map((process) => process.stop()))
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function answers(port: number): Promise<void> {
  const greet = () => WireClient.connect({ host: HOST, port, timeoutMs: 500 })
  const client = await vi.waitFor(greet, { timeout: 10_000 })
  client.close()
}
