import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type CreateClusterOptions, createCluster } from '../../../src/cluster/index.js'
import { parseNodes, slotCount } from '../../../src/cluster/view.js'
import { ForeignClusterError } from '../../../src/errors.js'
import type { WireCommand } from '../../../src/redis/wire.js'
import { type BareServers, startBareServers } from '../../support/bare-servers.js'
import { rounds } from '../../support/budget.js'

let servers: BareServers
beforeAll(async () => {
  servers = await startBareServers(6)
})
afterAll(() => servers[Symbol.asyncDispose]())
afterEach(() => servers.reset())

const create = (more: Partial<CreateClusterOptions> = {}) =>
  createCluster({ nodes: servers.nodes, replicasPerPrimary: 1, ...more })

/**
 * What keeps the six from being a whole cluster, by each node's own account as a client would ask for it: what
 * createCluster says of itself is not believed.
 */
async function defects(): Promise<readonly string[]> {
  const found: string[] = []
  const seen = new Set<string>()
  for (const client of servers.clients) {
    const complain = (what: string) => found.push(`${client.node} ${what}`)
    const state = String(await client.call(['CLUSTER', 'INFO']))
    for (const line of ['cluster_state:ok', 'cluster_slots_assigned:16384']) {
      if (!state.includes(line)) complain(`does not say ${line}`)
    }
    const replication = String(await client.call(['INFO', 'replication']))
    if (replication.includes('master_link_status:down')) complain('is not linked to its primary')
    // An introduction that led nowhere lasts until the node timeout, and is a member nowhere.
    const lines = parseNodes(String(await client.call(['CLUSTER', 'NODES'])))
    const picture = lines.filter(({ flags }) => !flags.includes('handshake'))
    if (picture.length !== 6) complain(`knows ${picture.length} nodes`)
    const owners = picture.filter(({ slots }) => slots.length > 0)
    const shares = owners.map(({ slots }) => slotCount(slots)).toSorted((x, y) => x - y)
    if (shares.join(' ') !== '5461 5461 5462') complain(`sees shares of ${shares.join(' ')}`)
    for (const { id } of owners) {
      const replicas = picture.filter(({ primary }) => primary === id).length
      if (replicas !== 1) complain(`sees ${replicas} replicas of ${id}`)
    }
    const said = picture.map(({ id, primary, slots }) => `${id} ${primary} ${slots.join(' ')}`)
    seen.add(said.toSorted().join('\n'))
  }
  if (seen.size > 1) found.push(`there are ${seen.size} pictures of the cluster`)
  return found
}

test('six empty servers become three primaries with a replica each, equal shares, every node agreeing', async () => {
  const steps: string[] = []
  const made = await create({ onProgress: (step) => steps.push(step) })
  expect(await defects()).toEqual([])
  expect(made).toMatchObject({ changed: true, done: { slotsAssigned: 16_384, replicasAttached: 3 } })
  expect(made.primaries).toHaveLength(3)
  expect(new Set(made.replicas.map(({ primary }) => primary)).size).toBe(3)
  expect(new Set(steps).size).toBe(steps.length)
})

test('a second run changes nothing, whatever the order of the nodes', async () => {
  await create()
  const before = await pictures()
  for (const nodes of [servers.nodes, servers.nodes.toReversed()]) {
    expect(await create({ nodes })).toMatchObject({
      changed: false,
      done: { met: 0, slotsAssigned: 0, replicasAttached: 0 },
    })
  }
  expect(await pictures()).toEqual(before)
})

test('it waits for replicas, also when linking them takes longer than everything else', async () => {
  await servers.all(['CONFIG', 'SET', 'repl-diskless-sync-delay', 2])
  try {
    await create()
    expect(await defects()).toEqual([])
  } finally {
    await servers.all(['CONFIG', 'SET', 'repl-diskless-sync-delay', 0])
  }
})

test('three servers without replicas will do', async () => {
  await create({ nodes: servers.nodes.slice(0, 3), replicasPerPrimary: 0 })
  for (const client of servers.clients.slice(0, 3)) {
    expect(String(await client.call(['CLUSTER', 'INFO']))).toContain('cluster_state:ok')
  }
})

test('cut off at each of its steps, the next run finishes', async () => {
  for (let cutAt = 1, finished = false; !finished; cutAt++) {
    const controller = new AbortController()
    let step = 0
    const first = create({
      signal: controller.signal,
      onProgress: () => {
        step++
        if (step === cutAt) controller.abort()
      },
    })
    finished = await first.then(
      () => true,
      (error: unknown) => {
        expect(error).toBe(controller.signal.reason)
        return false
      },
    )
    await create()
    expect(await defects()).toEqual([])
    await servers.reset()
  }
}, 40_000)

test('whatever part of the commands an interrupted run had sent, the next run finishes', async () => {
  const some = fc.uniqueArray(fc.nat(5), { maxLength: 6 })
  const half = fc.record({
    epochs: some,
    shares: fc.uniqueArray(fc.nat(2), { maxLength: 3 }),
    meetings: fc.array(fc.tuple(fc.nat(5), fc.nat(5)), { maxLength: 12 }),
    replicas: fc.uniqueArray(fc.integer({ min: 3, max: 5 }), { maxLength: 3 }),
    settleMs: fc.constantFrom(0, 300),
  })
  await fc.assert(
    fc.asyncProperty(half, async ({ epochs, shares, meetings, replicas, settleMs }) => {
      const send = async (index: number, command: WireCommand) => {
        // Refusals, such as an unknown primary, belong to half of a job.
        await servers.clients[index]?.pipeline([command])
      }
      for (const index of epochs) await send(index, ['CLUSTER', 'SET-CONFIG-EPOCH', index + 1])
      for (const index of shares) {
        const [from, to] = [index, index + 1].map((i) => Math.floor((i * 16_384) / 3)) as [number, number]
        await send(index, ['CLUSTER', 'ADDSLOTSRANGE', from, to - 1])
      }
      const ports = await Promise.all(servers.clients.map(busPort))
      for (const [from, to] of meetings) {
        const [host = '', port = ''] = (servers.nodes[to] ?? '').split(':')
        if (from !== to) await send(from, ['CLUSTER', 'MEET', host, port, ports[to] ?? 0])
      }
      if (settleMs > 0) await new Promise((done) => setTimeout(done, settleMs))
      for (const index of replicas) {
        const id = await servers.clients[index - 3]?.call(['CLUSTER', 'MYID'])
        await send(index, ['CLUSTER', 'REPLICATE', String(id)])
      }
      try {
        await create()
        expect(await defects()).toEqual([])
      } finally {
        await servers.reset()
      }
    }),
    { numRuns: rounds(4, 100) },
  )
}, 600_000)

test('nodes of one cluster that lost sight of each other are introduced anew', async () => {
  await create()
  const [victim] = servers.clients
  const id = String(await victim?.call(['CLUSTER', 'MYID']))
  // Everybody but one forgets it: a view that is partly out of date.
  for (const client of servers.clients.slice(1)) await client.pipeline([['CLUSTER', 'FORGET', id]])
  await victim?.call(['CLUSTER', 'NODES'])
  await create({ timeoutMs: 90_000 })
  expect(await defects()).toEqual([])
}, 100_000)

test('a node that holds data is refused by name, and nothing is changed', async () => {
  const node = servers.nodes[4] ?? ''
  // The only way for a node without slots to hold a key: it had slots and lost them.
  await servers.clients[4]?.pipeline([
    ['CLUSTER', 'ADDSLOTSRANGE', 0, 16_383],
    ['CONFIG', 'SET', 'cluster-require-full-coverage', 'no'],
  ])
  await expect
    .poll(async () => String(await servers.clients[4]?.call(['CLUSTER', 'INFO'])))
    .toContain('state:ok')
  await servers.clients[4]?.call(['SET', 'k', 'v'])
  await servers.clients[4]?.call(['CLUSTER', 'DELSLOTSRANGE', 0, 16_383])
  const before = await pictures()
  const refusal = create()
  await expect(refusal).rejects.toThrow(ForeignClusterError)
  await expect(refusal).rejects.toThrow(
    expect.objectContaining({ node, message: expect.stringContaining('1 key') }),
  )
  expect(await pictures()).toEqual(before)
})

test('a part of another cluster is refused, naming the node and the stranger', async () => {
  await create({ nodes: servers.nodes.slice(0, 3), replicasPerPrimary: 0 })
  const before = await pictures()
  const refusal = create({ nodes: servers.nodes.slice(1), replicasPerPrimary: 0 })
  await expect(refusal).rejects.toThrow(ForeignClusterError)
  await expect(refusal).rejects.toThrow(`with ${servers.nodes[0]} `)
  expect(await pictures()).toEqual(before)
})

test('two clusters are not merged', async () => {
  await create({ nodes: servers.nodes.slice(0, 3), replicasPerPrimary: 0 })
  await create({ nodes: servers.nodes.slice(3), replicasPerPrimary: 0 })
  const before = await pictures()
  await expect(create()).rejects.toThrow(/both own slot \d+ and know nothing of each other/)
  expect(await pictures()).toEqual(before)
})

test('a cluster of another shape is left as it is', async () => {
  await create()
  await expect(create({ replicasPerPrimary: 0 })).rejects.toThrow(
    /shared by 3 primaries, where 6 are asked for/,
  )
  expect(await defects()).toEqual([])
})

test('a cluster whose primary was replaced is whole as it is', async () => {
  await create()
  const replica = await Promise.all(
    servers.clients.map(async (client) => String(await client.call(['INFO', 'replication']))),
  ).then((infos) => servers.clients[infos.findIndex((info) => info.includes('role:slave'))])
  await replica?.call(['CLUSTER', 'FAILOVER'])
  await expect.poll(async () => String(await replica?.call(['INFO', 'replication']))).toContain('role:master')
  expect(await create()).toMatchObject({ changed: false })
})

async function busPort(client: BareServers['clients'][number]): Promise<number> {
  return Number(/@(\d+)[^\n]*myself/.exec(String(await client.call(['CLUSTER', 'NODES'])))?.[1])
}

/** Who knows whom and owns what, without what changes by itself. */
function pictures(): Promise<readonly string[]> {
  return Promise.all(
    servers.clients.map(async (client) => {
      const lines = String(await client.call(['CLUSTER', 'NODES'])).split('\n')
      return lines
        .map((line) => line.split(' '))
        .map(([id, , flags, primary, , , , , ...slots]) => [id, flags, primary, ...slots].join(' '))
        .toSorted()
        .join('\n')
    }),
  )
}
