import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  addNode,
  createCluster,
  failover,
  moveSlots,
  type OperateOptions,
  rebalance,
  removeNode,
} from '../../src/cluster/index.js'
import {
  ConfigurationError,
  ForeignClusterError,
  KeyTooLargeError,
  UnhealthyClusterError,
} from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type Key, type RedisPort, SLOTS, slotOf } from '../../src/redis/index.js'
import { proxied } from '../../src/testing/faults/index.js'
import { type BareServers, startBareServers } from '../support/bare-servers.js'
import { Load } from '../support/load.js'

let cluster: LocalCluster
let port: RedisPort
let spare: BareServers
let options: OperateOptions

beforeAll(async () => {
  ;[cluster, spare] = await Promise.all([startLocalCluster({ nodeTimeoutMs: 1000 }), startBareServers(3)])
  const [seed = ''] = cluster.connectOptions.nodes
  options = { nodes: [seed] }
  port = await connect({ ...cluster.connectOptions, commandTimeoutMs: 6000 })
}, 60_000)
afterAll(async () => {
  await port.close()
  await Promise.all([cluster.stop(), spare[Symbol.asyncDispose]()])
})
beforeEach(() => cluster.whenHealthy(), 40_000)

/** Slots of every primary, by port. */
function shares(): Map<number, number> {
  const counts = new Map<number, number>()
  for (const node of port.topology().nodes) if (node.role === 'primary') counts.set(node.port, 0)
  for (let slot = 0; slot < SLOTS; slot++) {
    const owner = port.topology().ownerOf(slot)
    if (owner !== undefined) counts.set(owner.port, (counts.get(owner.port) ?? 0) + 1)
  }
  return counts
}
const sharesOf = () => [...shares().values()].toSorted((a, b) => a - b)
const portOf = (node: string | undefined) => Number(node?.split(':')[1])

describe('growing and shrinking under load', () => {
  it('goes from three primaries to five and back without a failed call or a lost write', {
    timeout: 120_000,
  }, async () => {
    const load = new Load(port, 'growth')
    await expect.poll(() => load.acknowledged.size, { timeout: 10_000 }).toBe(2000)
    const [one = '', two = '', third = ''] = spare.nodes
    try {
      expect(await addNode({ ...options, node: one, role: 'primary' })).toMatchObject({ changed: true })
      expect(await addNode({ ...options, node: one, role: 'primary' })).toMatchObject({ changed: false })
      await addNode({ ...options, node: two, role: 'primary' })
      const replica = { ...options, node: third, role: 'replica', of: one } as const
      expect(await addNode(replica)).toMatchObject({ changed: true })
      expect(await addNode(replica)).toMatchObject({ changed: false })
      const moved: number[] = []
      const steps: number[] = []
      const grown = await rebalance({
        ...options,
        onProgress: ({ slotsDone }) => steps.push(slotsDone),
        afterLosslessMove: (slots, node) => void moved.push(slots.length, node.port),
      })
      console.log(
        `${grown.slotsMoved} slots, ${grown.keysMoved} keys in ${grown.tookMs} ms under load: ${Math.round((grown.slotsMoved * 1000) / grown.tookMs)} slots/s`,
      )
      expect(grown).toMatchObject({ slotsMovedAtomically: 0, fellBack: [], lossless: true })
      await expect.poll(sharesOf, { timeout: 5000 }).toEqual([3276, 3277, 3277, 3277, 3277])
      // The fewest: what the two that came have now.
      expect(grown.slotsMoved).toBe((shares().get(portOf(one)) ?? 0) + (shares().get(portOf(two)) ?? 0))
      expect(steps.at(-1)).toBe(grown.slotsMoved)
      expect(moved.filter((_, i) => i % 2 === 0).reduce((sum, count) => sum + count)).toBe(grown.slotsMoved)
      expect(await rebalance(options)).toMatchObject({ plan: [], slotsMoved: 0 })
      const emptied: number[] = []
      let given = 0
      const afterLosslessMove = (slots: readonly number[]) => void emptied.push(...slots)
      for (const node of [one, two]) {
        const removed = await removeNode({ ...options, node, afterLosslessMove })
        expect(removed).toMatchObject({ lossless: true })
        const again = await removeNode({ ...options, node, afterLosslessMove })
        expect(again).toMatchObject({ node: undefined, plan: [], reattached: [], slotsMoved: 0 })
        given += removed.slotsMoved
      }
      expect(emptied).toHaveLength(given)
      await removeNode({ ...options, node: third })
      await expect.poll(sharesOf, { timeout: 5000 }).toEqual([5461, 5461, 5462])
    } finally {
      await load.stop()
    }
    expect(load.failures).toEqual([])
    expect(await load.wrong()).toEqual([])
    for (const client of spare.clients) {
      expect(String(await client.call(['CLUSTER', 'INFO']))).toMatch(/cluster_known_nodes:1\r/)
      expect(await client.call(['DBSIZE'])).toBe(0)
    }
    await expect.poll(() => port.topology().nodes.length, { timeout: 5000 }).toBe(6)
  })
})

describe('moving slots', () => {
  it('says what it would do, and does nothing, in a dry run', async () => {
    const before = sharesOf()
    const [to = ''] = [...shares().keys()].map((at) => `127.0.0.1:${at}`)
    const { plan, slotsMoved } = await moveSlots({ ...options, to, slots: 100, dryRun: true })
    expect(plan.flatMap(({ slots }) => slots)).not.toEqual([])
    expect(slotsMoved).toBe(0)
    expect((await rebalance({ ...options, weights: { [to]: 0 }, dryRun: true })).plan).toHaveLength(2)
    expect(sharesOf()).toEqual(before)
  })

  it('goes on where it was stopped, with keys at both ends', async () => {
    const key = 'moving{stopped}' as Key
    const slot = slotOf(key)
    const source = port.topology().ownerOf(slot)
    const target = port.topology().nodes.find(({ id, role }) => role === 'primary' && id !== source?.id)
    expect.assert(source !== undefined && target !== undefined)
    const keys = Array.from({ length: 300 }, (_, i) => `moving${i}{stopped}` as Key)
    for (const one of keys) await port.call({ key: one, command: ['SET', one, one] })
    const stopping = new AbortController()
    // After the first batch of keys.
    const onProgress = () => stopping.abort(new Error('stopped here'))
    const to = `${target.host}:${target.port}`
    const request = {
      ...options,
      to,
      slots: [
        [slot, slot],
        [slot + 1, slot + 20],
      ] as const,
    }
    await expect(moveSlots({ ...request, onProgress, signal: stopping.signal })).rejects.toThrow(
      'stopped here',
    )
    // As if it had been killed: the slot stands open, half of it moved.
    const rest = await moveSlots({ ...request })
    expect(rest.slotsMoved).toBeLessThan(21)
    for (const one of keys) expect(await port.call({ key: one, command: ['GET', one] })).toBe(one)
    expect(port.topology().ownerOf(slot)?.id).toBe(target.id)
    expect(await moveSlots(request)).toMatchObject({ plan: [], slotsMoved: 0, keysMoved: 0 })
  })

  it('finishes first what was left open by somebody who was killed, copies at both ends included', async () => {
    const key = 'left{open}' as Key
    const slot = slotOf(key)
    await port.call({ key, command: ['SET', key, 'newest'] })
    const source = port.topology().ownerOf(slot)
    const target = port.topology().nodes.find(({ id, role }) => role === 'primary' && id !== source?.id)
    expect.assert(source !== undefined && target !== undefined)
    await port.onNode(target.id, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id])
    await port.borrow({ node: target.id }, async (own) => {
      await own.call(['ASKING'])
      await own.call(['SET', key, 'a copy that is older'])
    })
    await rebalance(options)
    expect(port.topology().ownerOf(slot)).toBeDefined()
    await expect.poll(() => port.call({ key, command: ['GET', key], repeat: 'safe' })).toBe('newest')
    const nodes = String(await port.onNode(target.id, ['CLUSTER', 'NODES']))
    expect(nodes).not.toMatch(/\[/)
  })

  it('refuses a key that would stop its server for long, and leaves its slot whole', async () => {
    const key = 'large{key}' as Key
    await port.call({ key, command: ['SET', key, 'x'.repeat(100_000)] })
    const slot = slotOf(key)
    const source = port.topology().ownerOf(slot)
    const target = port.topology().nodes.find(({ id, role }) => role === 'primary' && id !== source?.id)
    const request = { ...options, to: target?.id ?? '', slots: [[slot, slot]] as const }
    const error: unknown = await moveSlots({ ...request, maxKeyBytes: 50_000 }).catch(
      (thrown: unknown) => thrown,
    )
    expect.assert(error instanceof KeyTooLargeError)
    expect(error).toMatchObject({ key, slot })
    expect(String(await port.onNode(source?.id ?? '', ['CLUSTER', 'NODES']))).not.toMatch(/\[/)
    expect(await moveSlots({ ...request, maxKeyBytes: Infinity })).toMatchObject({
      slotsMoved: 1,
      keysMoved: 1,
    })
  })

  it('does not begin while a node is down', async () => {
    const index = cluster.nodes.findIndex(({ role }) => role === 'replica')
    await cluster.kill(index)
    const nodes = cluster.connectOptions.nodes.filter((_, i) => i !== index)
    const shown = async () => {
      const text = String(await port.onNode(port.topology().ownerOf(0)?.id ?? '', ['CLUSTER', 'NODES']))
      return text.split('\n').map((line) => line.split(' ').slice(8).join(' '))
    }
    const before = await shown()
    await expect(rebalance({ nodes, timeoutMs: 500 })).rejects.toThrow(UnhealthyClusterError)
    expect(await shown()).toEqual(before)
    await cluster.restart(index)
  })

  it('names what is no node of the cluster', async () => {
    await expect(moveSlots({ ...options, to: '127.0.0.1:1', slots: 1 })).rejects.toThrow(
      /is no node of this cluster/,
    )
    await expect(removeNode({ ...options, node: 'x' })).rejects.toThrow(ConfigurationError)
  })
})

describe('failing over on purpose', () => {
  it('loses no write and fails no call, and is not done twice', async () => {
    const load = new Load(port, 'failover', 300)
    await expect.poll(() => load.acknowledged.size).toBe(300)
    const replica = port.topology().nodes.find(({ role }) => role === 'replica')
    const renewed: number[] = []
    const request = {
      ...options,
      to: replica?.id ?? '',
      afterLosslessMove: (slots: readonly number[]) => void renewed.push(slots.length),
    }
    expect(await failover({ ...request, dryRun: true })).toMatchObject({ changed: true })
    const done = await failover(request)
    expect(done).toMatchObject({ changed: true, lossless: true, to: { id: replica?.id } })
    expect(renewed).toHaveLength(1)
    expect(await failover(request)).toMatchObject({ changed: false })
    // And back, by the name of the one that is to be a primary no more.
    expect(await failover({ ...options, from: replica?.id })).toMatchObject({ to: { id: done.from?.id } })
    expect(await failover({ ...options, from: replica?.id })).toMatchObject({ changed: false })
    await load.stop()
    expect(load.failures).toEqual([])
    expect(await load.wrong()).toEqual([])
  })
})

describe('the last slots of a primary', () => {
  it('leave it also when it hears from the others first, and has made itself a replica', async () => {
    const [one = ''] = spare.nodes
    await addNode({ ...options, node: one, role: 'primary' })
    await moveSlots({ ...options, to: one, slots: 8 })
    // Its orders come late, and the news of the other nodes do not.
    const way = await proxied({ nodes: [...cluster.connectOptions.nodes, one] })
    way.proxies.at(-1)?.delay(80)
    try {
      const { endpointMap } = way.connectOptions
      expect(await removeNode({ ...options, endpointMap, node: one })).toMatchObject({ slotsMoved: 8 })
    } finally {
      await way.close()
    }
    await expect.poll(sharesOf, { timeout: 5000 }).toEqual([5461, 5461, 5462])
    const [client] = spare.clients
    expect(String(await client?.call(['CLUSTER', 'INFO']))).toMatch(/cluster_known_nodes:1\r/)
  })
})

describe('a node whose leaving was interrupted', () => {
  const forget = async (ids: readonly string[], id: string) => {
    for (const node of ids) await port.onNode(node, ['CLUSTER', 'FORGET', id])
  }
  const isAlone = async () => {
    const [client] = spare.clients
    return /cluster_known_nodes:1\r/.test(String(await client?.call(['CLUSTER', 'INFO'])))
  }

  it.each([
    ['by all', (ids: readonly string[]) => ids],
    ['by the one that is asked', (ids: readonly string[]) => ids.slice(0, 1)],
  ])('and that was forgotten %s is reset by the next run', async (_, who) => {
    const [node = ''] = spare.nodes
    const { node: added } = await addNode({ ...options, node, role: 'primary' })
    const ids = cluster.nodes.map(({ id }) => id)
    await forget(who(ids), added.id)
    expect(await removeNode({ ...options, node, dryRun: true })).toMatchObject({ node: { id: added.id } })
    expect(await isAlone()).toBe(false)
    expect(await removeNode({ ...options, node })).toMatchObject({ node: { id: added.id }, slotsMoved: 0 })
    expect(await isAlone()).toBe(true)
    for (const id of ids) {
      expect(String(await port.onNode(id, ['CLUSTER', 'NODES']))).not.toContain(added.id)
    }
    expect(await removeNode({ ...options, node })).toMatchObject({ node: undefined })
  })

  it('is not any server that somebody names', async () => {
    const [node = ''] = spare.nodes
    const [client] = spare.clients
    await client?.call(['CLUSTER', 'ADDSLOTSRANGE', 0, 5])
    await expect(removeNode({ ...options, node })).rejects.toThrow(ConfigurationError)
    expect(String(await client?.call(['CLUSTER', 'NODES']))).toContain(' 0-5')
    await expect(removeNode({ ...options, node: '127.0.0.1:1' })).rejects.toThrow(ConfigurationError)
    await spare.reset()
  })
})

describe('a slot that nobody owns any more', () => {
  it('is given to the node that has its keys, or that others take for its owner, by whatever moves slots next', async () => {
    const key = 'orphan{kept}' as Key
    const slot = slotOf(key)
    await port.call({ key, command: ['SET', key, 'kept'] })
    const owner = port.topology().ownerOf(slot)
    expect.assert(owner !== undefined)
    const empty = Array.from({ length: SLOTS }, (_, i) => i).find((one) => {
      return one !== slot && port.topology().ownerOf(one)?.id === owner.id
    })
    expect.assert(empty !== undefined)
    const nodes = cluster.connectOptions.nodes
    // Its source has let it go, and its target does not know that it has it.
    await port.onNode(owner.id, ['CLUSTER', 'DELSLOTS', slot, empty])
    await expect(rebalance({ nodes, dryRun: true, timeoutMs: 500 })).rejects.toThrow(/16382 of 16384/)
    await moveSlots({ nodes, to: owner.id, slots: [] })
    expect(await port.call({ key, command: ['GET', key], repeat: 'safe' })).toBe('kept')
    const own = String(await port.onNode(owner.id, ['CLUSTER', 'INFO']))
    expect(own).toMatch(/cluster_slots_assigned:16384\r/)
  })
})

describe('from outside of the network of the nodes', () => {
  it('reaches them where a map says, while they go on naming each other as they do', async () => {
    const way = await proxied(cluster.connectOptions)
    const real = cluster.connectOptions.nodes
    const asked = new Set<string>()
    const outside: OperateOptions = {
      // A name that means nothing here, at the port of a node.
      nodes: [`redis-1.invalid:${portOf(real[0])}`],
      endpointMap: ({ host, port: at }) => {
        asked.add(`${host}:${at}`)
        return way.connectOptions.endpointMap({ host: '127.0.0.1', port: at })
      },
    }
    try {
      const key = 'moved{outside}' as Key
      await port.call({ key, command: ['SET', key, 'there'] })
      const slot = slotOf(key)
      const source = port.topology().ownerOf(slot)
      const target = port.topology().nodes.find(({ id, role }) => role === 'primary' && id !== source?.id)
      const request = { ...outside, to: `127.0.0.1:${target?.port}`, slots: [[slot, slot]] as const }
      const { plan, keysMoved } = await moveSlots(request)
      expect(keysMoved).toBe(1)
      expect(plan.map(({ from, to }) => [from.port, to.port])).toEqual([[source?.port, target?.port]])
      expect(await port.call({ key, command: ['GET', key], repeat: 'safe' })).toBe('there')
      for (const node of real.slice(1)) expect(asked).toContain(node)
      // Closed, they take the way with them: nothing went beside.
      await way.close()
      await expect(rebalance({ ...outside, timeoutMs: 500 })).rejects.toThrow(/cannot reach 127/)
      expect(way.proxies).toHaveLength(6)
    } finally {
      await way.close()
    }
    await rebalance(options)
  })

  it('makes a cluster of servers that it reaches elsewhere', async () => {
    const way = await proxied({ nodes: spare.nodes })
    const { endpointMap } = way.connectOptions
    try {
      const made = await createCluster({ nodes: spare.nodes, replicasPerPrimary: 0, endpointMap })
      expect(made.primaries.map((node) => `${node.host}:${node.port}`).toSorted()).toEqual(
        spare.nodes.toSorted(),
      )
      for (const client of spare.clients) {
        const told = String(await client.call(['CLUSTER', 'NODES']))
        for (const { port: at } of spare.addresses) expect(told).toContain(`127.0.0.1:${at}@`)
      }
    } finally {
      await way.close()
      await spare.reset()
    }
  })
})

describe('adding a node', () => {
  it('refuses a server that holds data or belongs elsewhere, and changes nothing', async () => {
    const [node = ''] = spare.nodes
    const [client] = spare.clients
    await client?.call(['CLUSTER', 'ADDSLOTSRANGE', 0, SLOTS - 1])
    await expect.poll(async () => String(await client?.call(['CLUSTER', 'INFO']))).toMatch(/state:ok/)
    await client?.call(['SET', 'a', '1'])
    await expect(addNode({ ...options, node, role: 'primary' })).rejects.toThrow(ForeignClusterError)
    expect(await client?.call(['GET', 'a'])).toEqual(Buffer.from('1'))
    expect(port.topology().nodes).toHaveLength(6)
    await spare.reset()
  })

  it('takes no primary out where fewer than three would be left', async () => {
    const primary = port.topology().nodes.find(({ role }) => role === 'primary')
    await expect(removeNode({ ...options, node: primary?.id ?? '' })).rejects.toThrow(/fewer than three/)
  })
})
