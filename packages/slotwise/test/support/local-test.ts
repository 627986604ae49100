import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { parseAddress } from '../../src/cluster/observe.js'
import { type LocalCluster, type LocalClusterOptions, startLocalCluster } from '../../src/local/index.js'
import type { WireReply } from '../../src/redis/resp.js'
import { WireClient, type WireCommand } from '../../src/redis/wire.js'
import { slotOf } from '../../src/slots.js'

interface Fixtures {
  readonly start: (options?: LocalClusterOptions) => Promise<LocalCluster>
  /** A folder that does not exist yet, with a space in its path. */
  readonly folder: string
  /** Listens on ports, so that nobody else can. */
  readonly take: (ports: readonly number[]) => Promise<void>
}

/** A test that ends what it started; several may run at the same time. */
export const it = test.extend<Fixtures>({
  // oxlint-disable-next-line no-empty-pattern
  start: async ({}, use) => {
    const started: LocalCluster[] = []
    await use(async (options) => {
      const cluster = await startLocalCluster(options)
      started.push(cluster)
      return cluster
    })
    await Promise.all(started.map((cluster) => cluster.stop()))
  },
  // oxlint-disable-next-line no-empty-pattern
  folder: async ({}, use) => {
    const path = await mkdtemp(join(tmpdir(), 'slotwise test '))
    await use(join(path, 'data'))
    await rm(path, { recursive: true, force: true })
  },
  // oxlint-disable-next-line no-empty-pattern
  take: async ({}, use) => {
    const servers: Server[] = []
    await use(async (ports) => {
      for (const port of ports) {
        const server = createServer().listen(port, '127.0.0.1')
        servers.push(server)
        await once(server, 'listening')
      }
    })
    for (const server of servers) server.close()
  },
})

/** Asks one node, by its index. */
export async function ask(
  cluster: LocalCluster,
  index: number,
  command: WireCommand,
): Promise<Exclude<WireReply, Buffer>> {
  const { nodes, ...access } = cluster.connectOptions
  const client = await WireClient.connect({ ...parseAddress(nodes[index]), ...access, timeoutMs: 5000 })
  try {
    const reply = await client.call(command)
    return Buffer.isBuffer(reply) ? reply.toString() : reply
  } finally {
    client.close()
  }
}

/** The index of the primary that owns a key, as a node that runs sees it. */
export async function ownerOf(cluster: LocalCluster, key: string, by = 0): Promise<number> {
  const ranges = (await ask(cluster, by, ['CLUSTER', 'SLOTS'])) as [number, number, [Buffer, number]][]
  const range = ranges.find(([from, to]) => slotOf(key) >= from && slotOf(key) <= to)
  return cluster.nodes.findIndex(({ port }) => port === range?.[2][1])
}
