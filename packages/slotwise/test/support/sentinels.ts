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
  /**
   * Makes every server follow the primary, and waits until the sentinels know. One that was replaced while it hung takes itself
   * for the primary until they tell it, some ten seconds later, and a failover meanwhile can leave nobody that takes writes.
   */
  whole(): Promise<void>
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
  // Sentinels and replicas find each other by gossip.
  const isWhole = async () => {
    const now =
      /\d+$/.exec(await ask(watchers[0] ?? 0, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main'))?.[0] ?? ''
    for (const port of [primary, ...followers].filter((one) => String(one) !== now)) {
      const info = await ask(port, 'INFO', 'replication')
      if (info.includes('role:master')) await ask(port, 'REPLICAOF', HOST, now)
      expect(info).toContain('master_link_status:up')
    }
    for (const port of watchers) {
      const known = await ask(port, 'SENTINEL', 'MASTER', 'main')
      expect(known).toContain(`port,${now},`)
      expect(known).toContain('flags,master,')
      expect(known).toContain(`num-slaves,${replicas},num-other-sentinels,2`)
      // Heard of, one is disconnected until it has been reached.
      const listed = await ask(port, 'SENTINEL', 'REPLICAS', 'main')
      expect(listed.match(/flags,slave,/g)).toHaveLength(replicas)
      expect(listed.match(/role-reported,slave,/g)).toHaveLength(replicas)
    }
  }
  const whole = () => vi.waitFor(isWhole, { timeout: 40_000, interval: 200 })
  await whole()
  return {
    sentinels: watchers.map((port) => `${HOST}:${port}`),
    servers: [primary, ...followers].flatMap((port, i) => {
      const process = processes[i]
      return process === undefined ? [] : [{ port, process }]
    }),
    whole,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(processes.map((process) => process.stop()))
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** What a server says, on a connection for this one question. */
export async function ask(port: number, ...command: readonly [string, ...string[]]): Promise<string> {
  const client = await WireClient.connect({ host: HOST, port, timeoutMs: 500 })
  try {
    return String(await client.call(command, 500))
  } finally {
    client.close()
  }
}

async function answers(port: number): Promise<void> {
  const greet = () => WireClient.connect({ host: HOST, port, timeoutMs: 500 })
  const client = await vi.waitFor(greet, { timeout: 10_000 })
  client.close()
}
