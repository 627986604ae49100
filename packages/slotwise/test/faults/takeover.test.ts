import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { failover } from '../../src/cluster/index.js'
import { parseNodes } from '../../src/cluster/view.js'
import { ConfigurationError, UnhealthyClusterError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type RedisPort, SLOTS } from '../../src/redis/index.js'

/** One of its own, most of whose primaries die. */
let cluster: LocalCluster
let port: RedisPort

beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
  port = await connect({ ...cluster.connectOptions, commandTimeoutMs: 6000 })
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})

/** How many slots have an owner. */
function owned(): number {
  let count = 0
  for (let slot = 0; slot < SLOTS; slot++) if (port.topology().ownerOf(slot) !== undefined) count++
  return count
}

describe('taking over by force', () => {
  it('is not refused for the nodes that are gone, which is what it is for: most primaries, and none can be elected', async () => {
    // By the cluster's own account: what the port knows may be from before the last failover.
    const [{ id: any } = { id: '' }] = port.topology().nodes
    const nodes = parseNodes(String(await port.onNode(any, ['CLUSTER', 'NODES'])))
    const primaries = nodes.filter(({ primary }) => primary === undefined)
    const lost = primaries.slice(0, 2).map((node) => ({
      index: cluster.nodes.findIndex((one) => one.port === node.port),
      id: node.id,
      address: `${node.host}:${node.port}`,
    }))
    const left = nodes.filter(({ id }) => !lost.some((one) => one.id === id))
    const there = { nodes: left.map((node) => `${node.host}:${node.port}`), mode: 'takeover' } as const
    for (const { index } of lost) await cluster.kill(index)
    try {
      const [one, two] = lost
      await expect(failover({ nodes: there.nodes, from: one?.id, timeoutMs: 2000 })).rejects.toThrow(
        UnhealthyClusterError,
      )
      const request = { ...there, from: one?.id }
      expect(await failover({ ...request, dryRun: true })).toMatchObject({
        changed: true,
        from: { id: one?.id },
      })
      expect(await failover(request)).toMatchObject({ changed: true, lossless: false, from: { id: one?.id } })
      // By its address, as somebody would have it who reads a log. Two primaries are enough to elect the third, so
      // that may have been before.
      const { changed, from, lossless } = await failover({ ...there, from: two?.address })
      expect({ lossless, from: from?.id }).toEqual({ lossless: false, from: changed ? two?.id : undefined })
      // Both again, while they are still dead: whoever took their places keeps them.
      for (const node of [one?.id, one?.address, two?.id, two?.address]) {
        expect(await failover({ ...there, from: node })).toMatchObject({ changed: false, from: undefined })
      }
      await expect.poll(owned, { timeout: 10_000 }).toBe(SLOTS)
      await cluster.whenHealthy()
      await expect(failover({ ...there, from: '127.0.0.1:1' })).rejects.toThrow(ConfigurationError)
    } finally {
      for (const { index } of lost) await cluster.restart(index)
    }
  }, 40_000)
})
