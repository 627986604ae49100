import { describe } from 'vitest'
import { parseAddress } from '../../../src/cluster/observe.js'
import type { LocalServerError } from '../../../src/errors.js'
import { WireClient } from '../../../src/redis/wire.js'
import { ask, it, ownerOf } from '../../support/local-test.js'

describe.concurrent('a local cluster', () => {
  it('replaces a primary that is killed, and takes it back as a replica', async ({ expect, start }) => {
    const cluster = await start()
    const owner = await ownerOf(cluster, 'k')
    const other = [0, 1, 2].find((index) => index !== owner)
    await cluster.kill(owner)
    await expect.poll(() => ownerOf(cluster, 'k', other), { timeout: 15_000, interval: 50 }).not.toBe(owner)
    await cluster.restart(owner)
    await cluster.whenHealthy()
    expect(cluster.nodes[owner]?.role).toBe('replica')
    expect(cluster.nodes.filter(({ role }) => role === 'primary')).toHaveLength(3)
  }, 30_000)

  it('lets a paused node answer nothing until it is resumed', async ({ expect, start }) => {
    const cluster = await start({ nodeTimeoutMs: 20_000 })
    await cluster.pause(0)
    const address = parseAddress(cluster.connectOptions.nodes[0])
    await expect(WireClient.connect({ ...address, timeoutMs: 200 })).rejects.toThrow(/did not answer/)
    await cluster.resume(0)
    expect(await ask(cluster, 0, ['PING'])).toBe('PONG')
  })

  it('grows by an empty primary that all nodes know', async ({ expect, start }) => {
    const cluster = await start()
    const added = await cluster.addNode()
    expect(cluster.nodes).toHaveLength(7)
    expect(added).toMatchObject({ role: 'primary', id: await ask(cluster, 6, ['CLUSTER', 'MYID']) })
    for (let index = 0; index < 7; index++) {
      expect(await ask(cluster, index, ['CLUSTER', 'INFO'])).toContain('cluster_known_nodes:7')
    }
  })

  it('reports a server that ends by itself, and none that it ended', async ({ expect, start }) => {
    const heard: LocalServerError[] = []
    const cluster = await start({ onError: (error) => heard.push(error) })
    const pid = cluster.nodes[4]?.pid ?? 0
    process.kill(pid, 'SIGKILL')
    await expect.poll(() => heard.length).toBe(1)
    expect(heard[0]?.message).toContain(`port ${cluster.nodes[4]?.port} ended by itself (code 137)`)
    // The last lines that it has written, whatever they are about.
    expect(heard[0]?.log).toMatch(new RegExp(`^${pid}:[MS] `, 'm'))
    await cluster.kill(5)
    await cluster.restart(4)
    await cluster.restart(3)
    await cluster.stop()
    expect(heard).toHaveLength(1)
  })

  it('knows its nodes', async ({ expect, start }) => {
    const cluster = await start({ replicasPerPrimary: 0 })
    await expect(cluster.kill(3)).rejects.toThrow('there is no node 3: nodes are 0 to 2')
    await cluster.kill(0)
    await expect(cluster.pause(0)).rejects.toThrow('restart it first')
    await expect(cluster.kill(0)).resolves.toBeUndefined()
  })
})
