import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findServer } from '../../src/local/find.js'
import { freePorts } from '../../src/local/ports.js'
import { startServer } from '../../src/local/server.js'
import { WireClient, type WireCommand } from '../../src/redis/wire.js'

/** Servers that can be a cluster and are none yet. */
export interface BareServers extends AsyncDisposable {
  readonly nodes: readonly string[]
  /** Where each is met. */
  readonly addresses: readonly { readonly port: number; readonly bus: number }[]
  readonly pids: readonly number[]
  /** One connection to each. */
  readonly clients: readonly WireClient[]
  /** Sends the same to all. */
  all(command: WireCommand): Promise<void>
  /** Starts one anew, with these settings in its file; the connection of `clients` to it is gone. */
  restart(index: number, more: Readonly<Record<string, string>>): Promise<void>
  /** Makes them empty and strangers to each other again. */
  reset(): Promise<void>
}

export async function startBareServers(
  count: number,
  more: Readonly<Record<string, string>> = {},
): Promise<BareServers> {
  const found = await findServer()
  const dir = await mkdtemp(join(tmpdir(), 'slotwise-test-'))
  const ports = await freePorts(count * 2)
  const start = (i: number, settings: Readonly<Record<string, string>>) => {
    const own = { dir: join(dir, `node-${i}`), port: ports[i] ?? 0, busPort: ports[count + i] ?? 0 }
    const config = { ...own, persistent: false, nodeTimeoutMs: 500, more: settings }
    return startServer(found, config, { timeoutMs: 2000 }, dir)
  }
  const servers = await Promise.all(Array.from({ length: count }, (_, i) => start(i, more)))
  const clients = await Promise.all(
    servers.map(({ config }) =>
      WireClient.connect({ host: '127.0.0.1', port: config.port, timeoutMs: 5000 }),
    ),
  )
  const all = async (command: WireCommand) => {
    await Promise.all(clients.map((client) => client.call(command)))
  }
  return {
    nodes: clients.map(({ node }) => node),
    addresses: servers.map(({ config }) => ({ port: config.port, bus: config.busPort })),
    pids: servers.map(({ guarded }) => guarded.pid),
    clients,
    all,
    restart: async (index, settings) => {
      await servers[index]?.guarded.stop()
      servers[index] = await start(index, settings)
    },
    reset: async () => {
      // A replica refuses FLUSHALL, and a primary with data refuses RESET.
      await Promise.allSettled(clients.map((client) => client.call(['FLUSHALL'])))
      await all(['CLUSTER', 'RESET', 'HARD'])
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.close()
      await Promise.all(servers.map(({ guarded }) => guarded.stop()))
      await rm(dir, { recursive: true, force: true })
    },
  }
}
