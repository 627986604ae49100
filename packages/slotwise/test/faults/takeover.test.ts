import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { doctor, failover } from '../../src/cluster/index.js'
import { parseNodes } from '../../src/cluster/view.js'
import { ConfigurationError, UnhealthyClusterError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { keyOf, type RedisPort, SLOTS, slotOf } from '../../src/redis/index.js'

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

it('holds against a primary that had taken a higher epoch before it died, of which its replica has not heard', async () => {
  await using cut = await startLocalCluster({ nodeTimeoutMs: 1000, networkFaults: true })
  await using asking = await connect({ ...cut.connectOptions, commandTimeoutMs: 6000 })
  const [first, other] = asking.topology().nodes.filter(({ role }) => role === 'primary')
  const [follower] = asking.topology().replicasOf(first?.id ?? '')
  expect.assert(first !== undefined && other !== undefined && follower !== undefined)
  // Of two with one epoch the one with the lower id takes another as soon as it hears of the other: not the replica.
  const [primary, replica] = first.id < follower.id ? [first, follower] : [follower, first]
  await failover({ nodes: cut.connectOptions.nodes, to: primary.id })
  const indexOf = ({ port: at }: { readonly port: number }) => cut.nodes.findIndex((node) => node.port === at)
  const left = cut.nodes.filter((node) => node.port !== primary.port)
  const told = async () => parseNodes(String(await asking.onNode(other.id, ['CLUSTER', 'NODES'])))
  const seenOf = async (id: string) => (await told()).find((node) => node.id === id)
  const bump = async ({ id }: { readonly id: string }) =>
    Number(String(await asking.onNode(id, ['CLUSTER', 'BUMPEPOCH'])).split(' ')[1])

  // Whoever has the highest one keeps it.
  const highest = await bump(other)
  for (const { id } of [primary, replica]) {
    const info = async () => String(await asking.onNode(id, ['CLUSTER', 'INFO']))
    await expect.poll(info, { timeout: 5000 }).toContain(`cluster_current_epoch:${highest}\r`)
  }
  const others = cut.nodes.map((_, i) => i).filter((i) => i !== indexOf(replica))
  await cut.partition([others, [indexOf(replica)]])
  expect(await bump(primary)).toBe(highest + 1)
  await expect.poll(async () => (await seenOf(primary.id))?.epoch).toBe(highest + 1)
  await cut.kill(indexOf(primary))
  const request = {
    nodes: left.map((node) => `127.0.0.1:${node.port}`),
    from: primary.id,
    mode: 'takeover',
  } as const
  expect(await failover(request)).toMatchObject({ changed: true, to: { id: replica.id } })
  await cut.heal()
  // The others have heard of it, and go on taking the dead one for the owner, who will never say otherwise.
  await expect.poll(async () => (await seenOf(replica.id))?.primary, { timeout: 5000 }).toBeUndefined()
  expect((await seenOf(replica.id))?.slots).toEqual([])
  const findings = async () => (await doctor(asking)).map(({ id }) => id)
  await expect.poll(findings, { timeout: 5000 }).toContain('slot-disputed')
  // Calls go to the one who is there.
  const space = { namespace: '', pattern: 'taken', name: 'keys' }
  const keys = Array.from({ length: 300 }, (_, i) => keyOf(space, [i]))
  const taken = () => keys.find((one) => asking.topology().ownerOf(slotOf(one))?.id === replica.id)
  await expect.poll(taken, { timeout: 5000 }).toBeDefined()
  const key = taken()
  expect.assert(key !== undefined)
  expect(await asking.call({ key, command: ['SET', key, 'v'] })).toBe('OK')

  expect(await failover(request)).toMatchObject({ changed: false })
  expect((await seenOf(replica.id))?.slots).not.toEqual([])
  await cut.restart(indexOf(primary))
  await cut.whenHealthy()
  expect(cut.nodes[indexOf(replica)]?.role).toBe('primary')
  expect(await asking.call({ key, command: ['GET', key] })).toBe('v')
}, 40_000)
