import { afterAll, beforeAll, beforeEach, describe, type ExpectStatic } from 'vitest'
import { join, observe, parseAddress } from '../../../src/cluster/observe.js'
import { ConfigurationError } from '../../../src/errors.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import { WireClient, type WireCommand } from '../../../src/redis/wire.js'
import { ask, it, ownerOf } from '../../support/local-test.js'

const faulty = { networkFaults: true, nodeTimeoutMs: 1000 } as const

/** Asks a node whatever the network is like. */
async function askDirectly(cluster: LocalCluster, index: number, command: WireCommand): Promise<string> {
  const { nodes: _, ...access } = cluster.connectOptions
  const port = cluster.nodes[index]?.directPort ?? 0
  const client = await WireClient.connect({ host: '127.0.0.1', port, ...access, timeoutMs: 5000 })
  try {
    return String(await client.call(command))
  } finally {
    client.close()
  }
}

const stateOf = async (cluster: LocalCluster, index: number) =>
  /cluster_state:(\w+)/.exec(await askDirectly(cluster, index, ['CLUSTER', 'INFO']))?.[1]

const roleOf = async (cluster: LocalCluster, index: number) =>
  (await askDirectly(cluster, index, ['ROLE'])).split(',')[0]

/** The replica of a primary, as they were at the start. */
async function replicaOf(cluster: LocalCluster, primary: number): Promise<number> {
  const lines = (await askDirectly(cluster, primary, ['CLUSTER', 'NODES'])).split('\n')
  const id = lines.find((line) => line.split(' ')[3] === cluster.nodes[primary]?.id)?.split(' ')[0]
  return cluster.nodes.findIndex((node) => node.id === id)
}

/** Whether a client that knows the node by its announced address gets an answer. */
async function reaches(cluster: LocalCluster, index: number): Promise<boolean> {
  const { nodes, ...access } = cluster.connectOptions
  try {
    const client = await WireClient.connect({ ...parseAddress(nodes[index]), ...access, timeoutMs: 300 })
    client.close()
    return true
  } catch {
    return false
  }
}

/** Cuts a node's cable until its replica is elected, and mends it. */
async function replace(cluster: LocalCluster, primary: number, expect: ExpectStatic): Promise<void> {
  const replica = await replicaOf(cluster, primary)
  await cluster.isolate(primary)
  await expect.poll(() => stateOf(cluster, primary), { timeout: 5000 }).toBe('fail')
  await expect.poll(() => roleOf(cluster, replica), { timeout: 10_000 }).toBe('master')
  expect(await roleOf(cluster, primary)).toBe('master')
  await cluster.heal()
  await cluster.whenHealthy()
  expect(await roleOf(cluster, primary)).toBe('slave')
  expect(cluster.nodes.filter(({ role }) => role === 'primary')).toHaveLength(3)
}

const all = [0, 1, 2, 3, 4, 5]

describe('the network of a local cluster', () => {
  let cluster: LocalCluster
  const primaries = () => all.filter((index) => cluster.nodes[index]?.role === 'primary')
  const rolesOf = (indexes: readonly number[]) => Promise.all(indexes.map((index) => roleOf(cluster, index)))

  beforeAll(async () => {
    cluster = await startLocalCluster(faulty)
  }, 60_000)
  afterAll(() => cluster.stop())
  beforeEach(async () => {
    await cluster.heal()
    await cluster.whenHealthy()
  })

  it('cuts a primary off: it stops serving, its replica is elected, and it follows when the cable is back', async ({
    expect,
  }) => {
    await replace(cluster, 0, expect)
  }, 30_000)

  it('cut in three elects nobody and serves nothing, until it is mended', async ({ expect }) => {
    const parts = await Promise.all(primaries().map(async (one) => [one, await replicaOf(cluster, one)]))
    const before = await rolesOf(all)
    await cluster.partition(parts)
    for (const index of all) {
      await expect.poll(() => stateOf(cluster, index), { timeout: 5000 }).toBe('fail')
      // Whatever the nodes think of each other: clients still reach them all.
      expect(await reaches(cluster, index)).toBe(true)
    }
    const majority = cluster.partition(parts, { clients: 'majority' })
    await expect(majority).rejects.toThrow(/no group holds a majority/)
    expect(await rolesOf(all)).toEqual(before)
  }, 30_000)

  it('lets clients reach the groups that are named', async ({ expect }) => {
    const reached = () => Promise.all(all.map((index) => reaches(cluster, index)))
    const [alone = -1] = primaries()
    const others = all.filter((index) => index !== alone)
    const groups = [[alone], others]
    await cluster.partition(groups, { clients: 'majority' })
    expect(await reached()).toEqual(all.map((index) => index !== alone))
    await cluster.partition(groups, { clients: 0 })
    expect(await reached()).toEqual(all.map((index) => index === alone))
    await cluster.partition(groups)
    expect(await reached()).toEqual(all.map(() => true))
    await cluster.isolate(others[0] ?? -1)
    expect(await reached()).toEqual(all.map((index) => index !== others[0]))
    await cluster.heal()
    expect(await reached()).toEqual(all.map(() => true))
    await expect(cluster.partition(groups, { clients: 2 })).rejects.toThrow(/clients must be/)
    await expect(cluster.partition([[0, 1]])).rejects.toThrow(/node 2 is in none of the groups/)
  }, 30_000)

  it('cuts the link of a replica, and nothing else; healed, the replica catches up', async ({ expect }) => {
    const owner = await ownerOf(cluster, 'k')
    const replica = await replicaOf(cluster, owner)
    const { port } = cluster.nodes[owner] ?? { port: 0 }
    const client = await WireClient.connect({ host: '127.0.0.1', port, timeoutMs: 5000 })
    const writeAndWait = async (value: string) => {
      await client.call(['SET', 'k', value])
      return await client.call(['WAIT', 1, 300])
    }
    expect(await writeAndWait('a')).toBe(1)
    await cluster.cutReplication(replica)
    expect(await writeAndWait('b')).toBe(0)
    // Longer than a node may be silent.
    for (let i = 0; i < 4; i++) expect(await writeAndWait('c')).toBe(0)
    expect(await Promise.all(all.map((index) => stateOf(cluster, index)))).toEqual(all.map(() => 'ok'))
    expect(await askDirectly(cluster, replica, ['CLUSTER', 'NODES'])).not.toMatch(/fail/)
    await cluster.heal()
    expect(await client.call(['WAIT', 1, 3000])).toBe(1)
    expect(await writeAndWait('d')).toBe(1)
    client.close()
  }, 30_000)

  it('takes in nodes that are added, killed and started again, unless it is cut', async ({ expect }) => {
    const before = cluster.nodes[0]
    await cluster.kill(0)
    expect(await reaches(cluster, 0)).toBe(false)
    await cluster.restart(0)
    await cluster.whenHealthy()
    expect(cluster.nodes[0]).toMatchObject({
      id: before?.id,
      port: before?.port,
      directPort: before?.directPort,
    })
    await cluster.isolate(1)
    await expect(cluster.addNode()).rejects.toThrow(ConfigurationError)
    await cluster.heal()
    await cluster.addNode()
    await cluster.isolate(6)
    expect(await reaches(cluster, 6)).toBe(false)
    await expect
      .poll(() => askDirectly(cluster, 1, ['CLUSTER', 'NODES']), { timeout: 5000 })
      .toMatch(/master,fail\?? /)
    await cluster.heal()
    await cluster.whenHealthy()
  }, 30_000)
})

describe.concurrent('a local cluster with a network of its own', () => {
  it('cuts it under TLS as well, with a password', async ({ expect, start }) => {
    const cluster = await start({ ...faulty, tls: true, password: 'secret' })
    await replace(cluster, 1, expect)
    // Nodes are introduced by the ports that the network has, not by their own.
    const { port, directPort } = cluster.nodes[1] ?? { port: 0, directPort: 0 }
    const { nodes: _, ...access } = cluster.connectOptions
    const member = await join({ host: '127.0.0.1', port: directPort }, { ...access, timeoutMs: 5000 })
    expect((await observe(member))?.meetAt).toMatchObject({ host: '127.0.0.1', port })
    member.client.close()
  }, 30_000)

  it('may be another one each time that a folder of data is used', async ({ expect, start, folder }) => {
    const first = await start({ ...faulty, dir: folder })
    const owner = await ownerOf(first, 'k')
    await ask(first, owner, ['SET', 'k', 'kept'])
    await first.stop()
    const second = await start({ ...faulty, dir: folder })
    expect(second.nodes.map(({ id }) => id)).toEqual(first.nodes.map(({ id }) => id))
    expect(await ask(second, await ownerOf(second, 'k'), ['GET', 'k'])).toBe('kept')
    await second.stop()
    const plain = await start({ dir: folder })
    expect(await ask(plain, await ownerOf(plain, 'k'), ['GET', 'k'])).toBe('kept')
  }, 30_000)

  it('is there when it was asked for, and only then', async ({ expect, start }) => {
    const cluster = await start({ replicasPerPrimary: 0 })
    expect(cluster.nodes.map(({ directPort }) => directPort)).toEqual(cluster.nodes.map(({ port }) => port))
    for (const attempt of [cluster.partition([[0, 1, 2]]), cluster.isolate(0), cluster.heal()]) {
      await expect(attempt).rejects.toThrow(/start this cluster with networkFaults: true/)
    }
    await expect(start({ ...faulty, basePort: 7000 })).rejects.toThrow(/basePort does not go together/)
    const config = { 'bind-source-addr': '127.0.0.1' }
    await expect(start({ ...faulty, config })).rejects.toThrow(/config.bind-source-addr does not go together/)
  })
})

describe.concurrent('a server that is started again empty', () => {
  const isStillThere = async (cluster: LocalCluster, stays: boolean, expect: ExpectStatic) => {
    const owner = await ownerOf(cluster, 'k')
    const before = cluster.nodes[owner]
    await ask(cluster, owner, ['SET', 'k', 'v'])
    const replica = await replicaOf(cluster, owner)
    await expect.poll(() => ask(cluster, replica, ['DBSIZE'])).toBe(1)
    await cluster.restartEmpty(owner)
    await cluster.whenHealthy()
    expect(cluster.nodes[owner]).toMatchObject({ id: before?.id, port: before?.port, role: 'primary' })
    expect(await ask(cluster, owner, ['GET', 'k'])).toBeNull()
    expect(await ask(cluster, replica, ['DBSIZE'])).toBe(0)
    await ask(cluster, owner, ['SET', 'k', 'again'])
    await cluster.restart(owner)
    await cluster.whenHealthy()
    expect(await ask(cluster, owner, ['GET', 'k'])).toBe(stays ? 'again' : null)
  }

  it('is the same primary of the same slots with nothing in them, and its replica follows it', async ({
    expect,
    start,
  }) => {
    await isStillThere(await start(), false, expect)
  }, 30_000)

  it('has lost what a folder of data held, and keeps what is written from then on', async ({
    expect,
    start,
    folder,
  }) => {
    await isStillThere(await start({ dir: folder }), true, expect)
  }, 30_000)
})
