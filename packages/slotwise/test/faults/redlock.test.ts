import { monitorEventLoopDelay } from 'node:perf_hooks'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ConfigurationError, LockUnavailableError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { startLocalCluster } from '../../src/local/index.js'
import { Locks } from '../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../src/redis/index.js'
import { type BareServers, startBareServers } from '../support/bare-servers.js'
import { portWith } from '../support/port-with.js'
import { upFor } from '../support/up-for.js'

const ALONE = { 'cluster-enabled': 'no' }
const MAX_TTL_MS = 3000
const keyOfLock = (resource: string) => keyOf({ namespace: '', pattern: 'lock', name: 'faults' }, resource)

describe.each([3, 5])('locks of %i servers', (count) => {
  let servers: BareServers
  let ports: RedisPort[]
  const hung = new Set<number>()
  const stop = (...indexes: number[]) => {
    for (const i of indexes) {
      process.kill(servers.pids[i] ?? 0, 'SIGSTOP')
      hung.add(i)
    }
  }
  const goOn = () => {
    for (const i of hung) process.kill(servers.pids[i] ?? 0, 'SIGCONT')
    hung.clear()
  }
  const contender = () => Locks.redlock(ports, { name: 'faults', maxTtlMs: MAX_TTL_MS, onError: () => {} })
  /** Where it is still held, of those that answer. */
  const holding = async (resource: string) => {
    const key = keyOfLock(resource)
    const held = await Promise.all(
      servers.clients.map(
        async (client, i) => !hung.has(i) && Number(await client.call(['EXISTS', key])) > 0,
      ),
    )
    return held.flatMap((is, i) => (is ? [i] : []))
  }

  beforeAll(async () => {
    servers = await startBareServers(count, ALONE)
    ports = await Promise.all(
      servers.nodes.map((node) => connect({ nodes: [node], mode: 'standalone', commandTimeoutMs: 500 })),
    )
    await Promise.all(ports.map((port) => upFor(port, MAX_TTL_MS / 1000)))
  }, 60_000)
  afterAll(async () => {
    goOn()
    await Promise.all(ports.map((port) => port.close()))
    await servers[Symbol.asyncDispose]()
  })

  it('let one of many contenders in at a time, and every one of them in the end', async () => {
    let inside = 0
    let most = 0
    let last = 0n
    const one = (locks: Locks) =>
      locks.using('crowd', { ttlMs: 3000, waitMs: 30_000 }, async ({ token }) => {
        most = Math.max(most, ++inside)
        expect(token).toBeGreaterThan(last)
        last = token
        await new Promise((resolve) => void setImmediate(resolve))
        inside--
      })
    await Promise.all(Array.from({ length: 16 }, () => one(contender())))
    expect(most).toBe(1)
  })

  it('are given though fewer than half of the servers hang, and what those grant later is freed', async () => {
    const locks = contender()
    await locks.ready()
    stop(...Array.from({ length: Math.ceil(count / 2) - 1 }, (_, i) => i))
    const loop = monitorEventLoopDelay({ resolution: 1 })
    loop.enable()
    const from = performance.now()
    const lock = await vi.waitFor(() => locks.acquire('hung', { ttlMs: 3000 }), { timeout: 5000 })
    const tookMs = performance.now() - from
    loop.disable()
    console.log(`${count} servers, a minority hangs: acquired after ${tookMs.toFixed(1)} ms`)
    expect(tookMs).toBeLessThan(1000 + loop.max / 1e6)
    expect(lock.remainingMs()).toBeGreaterThan(1500)
    await lock.extend()
    expect(await lock.release()).toBe(true)
    goOn()
    await expect.poll(() => holding('hung'), { timeout: 2500, interval: 20 }).toEqual([])
  })

  it('are unavailable, and not busy, where the majority hangs, and leave no vote behind', async () => {
    const locks = contender()
    await locks.ready()
    stop(...Array.from({ length: Math.ceil(count / 2) }, (_, i) => i))
    const refused = await locks
      .acquire('majority', { ttlMs: 3000, waitMs: 0 })
      .catch((error: unknown) => error)
    expect.assert(refused instanceof LockUnavailableError)
    expect(refused.nodes.map(({ reason }) => reason)).toContain('late')
    // Each by its name, and none that answers.
    const away = servers.nodes.filter((_, i) => hung.has(i))
    expect(away).toEqual(expect.arrayContaining(refused.nodes.map(({ node }) => node)))
    expect(new Set(refused.nodes.map(({ node }) => node)).size).toBe(away.length)
    for (const { node, reason } of refused.nodes) expect(refused.message).toContain(`${node} ${reason}`)
    goOn()
    await expect.poll(() => holding('majority'), { timeout: 2500, interval: 20 }).toEqual([])
    // Whoever is alone gets it as soon as the servers are there.
    const again = () => locks.acquire('majority', { ttlMs: 3000, waitMs: 0 })
    const lock = await vi.waitFor(again, { timeout: 2500, interval: 20 })
    expect(await lock.release()).toBe(true)
  })

  it('are counted though the process stood still while the servers answered', async () => {
    const locks = contender()
    await locks.ready()
    const asked = locks.tryAcquire('stall', { ttlMs: 3000 })
    // What is asked is on its way.
    await new Promise((resolve) => void setImmediate(resolve))
    const until = performance.now() + 300
    while (performance.now() < until) continue
    const answer = await asked
    expect.assert(answer.acquired)
    await answer.lock.release()
  })

  it('are given to nobody else by a server that was killed and came back empty', async () => {
    const locks = contender()
    // Of the smallest majority there is one comes back empty; the others have never heard of the lock.
    const minority = Array.from({ length: Math.ceil(count / 2) - 1 }, (_, i) => i)
    await locks.ready()
    stop(...minority)
    const lock = await vi.waitFor(() => locks.acquire('forgotten', { ttlMs: 3000 }), { timeout: 5000 })
    const last = count - 1
    const extending = setInterval(() => void lock.extend().catch(() => {}), 500)
    try {
      // What the others are to hear lies with them, and is not executed: they are new, too.
      for (const i of [...minority, last]) {
        process.kill(servers.pids[i] ?? 0, 'SIGKILL')
        hung.delete(i)
        await servers.restart(i, ALONE)
      }
      const deadline = performance.now() + lock.remainingMs()
      const next = await vi.waitFor(() => contender().acquire('forgotten', { ttlMs: 1000, waitMs: 10_000 }), {
        timeout: 20_000,
      })
      expect(performance.now()).toBeGreaterThan(deadline)
      expect(lock.signal.aborted).toBe(true)
      expect(next.token).toBeGreaterThan(lock.token)
      await next.release()
    } finally {
      clearInterval(extending)
    }
  })
})

describe('ports to servers that are not independent', () => {
  const given = (ports: readonly RedisPort[]) => Locks.redlock(ports, { name: 'faults' })
  const portsTo = (nodes: readonly string[]) => Promise.all(nodes.map((node) => connect({ nodes: [node] })))
  const close = (ports: readonly RedisPort[]) => Promise.all(ports.map((port) => port.close()))

  it('are refused where two reach the same server', async () => {
    await using servers = await startBareServers(3, ALONE)
    const [a, b, c] = servers.nodes as [string, string, string]
    const ports = await portsTo([a, b, c, b])
    try {
      await given(ports.slice(0, 3)).ready()
      const twice = given([ports[0], ports[1], ports[3]] as RedisPort[])
      await expect(twice.ready()).rejects.toThrow(/ports 1 and 2 reach the same server/)
      await expect(twice.acquire('r', { ttlMs: 1000 })).rejects.toThrow(ConfigurationError)
    } finally {
      await close(ports)
    }
  })

  it('are refused where they are the primaries of one cluster, though each port reach one of them only', async () => {
    const cluster = await startLocalCluster({ replicasPerPrimary: 0 })
    await using strangers = await startBareServers(2, ALONE)
    const primaries = cluster.nodes.map(({ port }) => `127.0.0.1:${port}`)
    const [ports, others] = [await portsTo(primaries), await portsTo(strangers.nodes)]
    const narrow = (port: RedisPort, i: number): RedisPort =>
      portWith(port, {
        onEachPrimary: async (...args: Parameters<RedisPort['onEachPrimary']>) => {
          const answers = await port.onEachPrimary(...args)
          return answers.filter(({ node }) => node.port === cluster.nodes[i]?.port)
        },
      })
    try {
      await expect(connect({ nodes: primaries.slice(0, 1), mode: 'standalone' })).rejects.toThrow(
        ConfigurationError,
      )
      // Each of these finds the whole cluster.
      await expect(given(ports).ready()).rejects.toThrow(/reach the same server/)
      const [a, b, c] = ports.map(narrow) as [RedisPort, RedisPort, RedisPort]
      for (const shards of [
        [a, b, c],
        [b, c, ...others],
      ]) {
        const locks = given(shards)
        await expect(locks.ready()).rejects.toThrow(/reach one cluster.*new Locks\(port\)/)
        await expect(locks.acquire('r', { ttlMs: 1000 })).rejects.toThrow(ConfigurationError)
      }
      await given([a, ...others]).ready()
    } finally {
      await close([...ports, ...others])
      await cluster.stop()
    }
  })
})
