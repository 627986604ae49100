import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { OutcomeUnknownError, RedisUnavailableError, SlotwiseError } from '../../src/errors.js'
import { connect as connectIoredis } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { connect as connectNodeRedis } from '../../src/node-redis/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { WireClient } from '../../src/redis/wire.js'
import { type ProxiedNodes, proxied } from '../../src/testing/faults/index.js'
import { promotion, Traffic } from '../support/port-traffic.js'

const NODE_TIMEOUT_MS = 1000
/** From the first write that the promoted replica takes to the last failure that a caller sees. */
const RECOVERY_MS = 1500

let cluster: LocalCluster
let serial = 0

beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: NODE_TIMEOUT_MS, networkFaults: true })
}, 60_000)
afterAll(() => cluster.stop())
beforeEach(async () => {
  await cluster.heal()
  await cluster.whenHealthy()
  await setNodeTimeout(NODE_TIMEOUT_MS)
})

async function setNodeTimeout(ms: number): Promise<void> {
  for (const { host, port } of cluster.nodes) {
    const client = await WireClient.connect({ host, port, timeoutMs: 5000 })
    await client.call(['CONFIG', 'SET', 'cluster-node-timeout', ms])
    client.close()
  }
}

const indexOf = (owner: { readonly port: number } | undefined) =>
  cluster.nodes.findIndex(({ port }) => port === owner?.port)

/** Keys of one primary, new ones each time, and which of the nodes that is. */
function keysOfOnePrimary(port: RedisPort, count: number) {
  const space = { namespace: '', pattern: 'partition', name: `keys-${++serial}` }
  const candidates = Array.from({ length: count * 12 }, (_, i) => keyOf(space, [i]))
  const owner = port.topology().ownerOf(slotOf(candidates[0] ?? ''))
  const keys = candidates.filter((key) => port.topology().ownerOf(slotOf(key))?.id === owner?.id)
  expect(keys.length).toBeGreaterThanOrEqual(count)
  return { keys: keys.slice(0, count), index: indexOf(owner), id: owner?.id ?? '' }
}

const isOutage = (error: unknown) =>
  error instanceof OutcomeUnknownError || error instanceof RedisUnavailableError

describe.each([
  ['ioredis', connectIoredis],
  ['node-redis', connectNodeRedis],
] as const)('over %s', (_adapter, connect) => {
  const ports: RedisPort[] = []
  const views: ProxiedNodes<object>[] = []
  const plains: WireClient[] = []
  let traffic: Traffic | undefined

  const open = async (options: Parameters<typeof connect>[0] & object) => {
    const port = await connect({ commandTimeoutMs: 1000, ...options })
    ports.push(port)
    return port
  }
  /** A client that sees the cluster through proxies of its own. */
  async function apart(options: { readonly commandTimeoutMs?: number } = {}) {
    const nodes = await proxied(cluster.connectOptions)
    views.push(nodes)
    return { port: await open({ ...nodes.connectOptions, ...options }), proxies: nodes.proxies }
  }
  afterEach(async () => {
    await traffic?.stop()
    for (const port of ports.splice(0)) await port.close()
    for (const plain of plains.splice(0)) plain.close()
    for (const nodes of views.splice(0)) await nodes.close()
  })

  it('a primary that is cut off costs its slots until another is elected, typed errors only, and no call runs twice', async () => {
    const deadlineMs = 500
    const port = await open({ ...cluster.connectOptions, commandTimeoutMs: deadlineMs })
    const load = new Traffic(port, `partition-${++serial}`)
    traffic = load
    await expect.poll(() => load.onces.length).toBeGreaterThan(100)
    const { index } = keysOfOnePrimary(port, 1)
    const from = performance.now()
    await cluster.isolate(index)
    const promotedAt = await promotion(cluster, port, index)
    const quietMs = () => performance.now() - Math.max(promotedAt, load.lastFailureAt)
    await expect.poll(quietMs, { timeout: 5000 }).toBeGreaterThan(deadlineMs + 100)
    // What was on its way to the old primary arrives now, when it must not run any more.
    await cluster.heal()
    await cluster.whenHealthy()
    const before = load.onces.length
    await expect.poll(() => load.onces.length - before, { timeout: 5000 }).toBeGreaterThan(500)
    await load.stop()
    const last = Math.max(from, ...load.failures.map(({ atMs }) => atMs))
    console.log(
      `promoted after ${(promotedAt - from).toFixed(0)} ms, last failure ${(last - promotedAt).toFixed(0)} ms after that, ${load.failures.length} of ${load.onces.length + load.reads} calls failed`,
    )
    expect(load.failures.length).toBeGreaterThan(0)
    expect(last - promotedAt).toBeLessThan(RECOVERY_MS)
    const { resolved } = await load.expectSound(deadlineMs, 1)
    expect(resolved[0] ?? 0).toBeLessThan(load.onces.length / 20)
  })

  it('a client on the side of a minority is served for about the node timeout, reads nothing that is outdated, and loses exactly what it wrote there', async () => {
    const minority = await apart()
    const majority = await apart()
    const { keys, index } = keysOfOnePrimary(minority.port, 1000)
    const [shared, ...own] = keys
    expect.assert(shared !== undefined)
    const set = (port: RedisPort, key: Key, value: string) =>
      port.call({ key, command: ['SET', key, value], repeat: 'safe' }, { deadlineMs: 300 })
    await set(minority.port, shared, 'old')

    const acknowledged: { readonly key: Key; readonly atMs: number }[] = []
    const reads: { readonly startedAt: number; readonly value: unknown }[] = []
    const failures: unknown[] = []
    const state = { over: false, isQuiet: false, writing: false }
    const attempt = async (work: () => Promise<void>) => {
      await work().catch((error: unknown) => failures.push(error))
      await sleep(2)
    }
    const writing = (async () => {
      for (const key of own) {
        await expect.poll(() => state.isQuiet, { interval: 1 }).toBe(false)
        if (state.over) break
        await attempt(async () => {
          state.writing = true
          await set(minority.port, key, 'mine')
          acknowledged.push({ key, atMs: performance.now() })
        })
        state.writing = false
      }
    })()
    const reading = (async () => {
      while (!state.over) {
        await attempt(async () => {
          const startedAt = performance.now()
          const call = { key: shared, command: ['GET', shared], repeat: 'safe' } as const
          reads.push({ startedAt, value: await minority.port.call(call, { deadlineMs: 300 }) })
        })
      }
    })()

    await expect.poll(() => acknowledged.length).toBeGreaterThan(20)
    // All that is written before the cut is with the replica, so that what is lost was written after it.
    state.isQuiet = true
    await expect.poll(() => state.writing).toBe(false)
    await expect.poll(() => replicated(minority.port, shared)).toBe(1)
    const cutAt = performance.now()
    await cluster.partition([
      [index],
      cluster.nodes.flatMap((_node, other) => (other === index ? [] : [other])),
    ])
    for (const [other, proxy] of minority.proxies.entries()) if (other !== index) proxy.hold()
    majority.proxies[index]?.hold()
    state.isQuiet = false

    await expect.poll(() => set(majority.port, shared, 'new').catch(String), { timeout: 10_000 }).toBe('OK')
    const replacedAt = performance.now()
    // It goes on asking for as long as it was cut off already.
    await sleep(500)
    const healedAt = performance.now()
    await cluster.heal()
    for (const { proxies } of [minority, majority]) await Promise.all(proxies.map((proxy) => proxy.heal()))
    await cluster.whenHealthy()
    await expect.poll(() => reads.at(-1)?.value, { timeout: 5000 }).toBe('new')
    state.over = true
    await Promise.all([writing, reading])

    const duringCut = acknowledged.filter(({ atMs }) => atMs > cutAt && atMs < healedAt)
    const servedMs = Math.max(...duringCut.map(({ atMs }) => atMs)) - cutAt
    console.log(
      `served for ${servedMs.toFixed(0)} ms, replaced after ${(replacedAt - cutAt).toFixed(0)} ms; ${duringCut.length} acknowledged writes lost, ${failures.length} calls failed`,
    )
    expect(failures.filter((error) => !(error instanceof SlotwiseError))).toEqual([])
    expect(failures.filter((error) => !isOutage(error))).toEqual([])
    expect(failures.length).toBeGreaterThan(0)
    expect(servedMs).toBeLessThan(NODE_TIMEOUT_MS * 2)
    const outdated = reads.filter(({ startedAt, value }) => startedAt > replacedAt && value !== 'new')
    expect(outdated).toEqual([])
    expect(reads.some(({ startedAt, value }) => startedAt > cutAt && value === 'old')).toBe(true)
    // Lost is what was acknowledged by the side that lost, and nothing else.
    const values = await majority.port.pipeline(
      acknowledged.map(({ key }) => ({ key, command: ['GET', key], repeat: 'safe' }) as const),
      { deadlineMs: 5000 },
    )
    const lost = acknowledged.filter(
      (_write, i) => values[i]?.status !== 'fulfilled' || values[i].value !== 'mine',
    )
    expect(duringCut.length).toBeGreaterThan(0)
    expect(lost).toEqual(duringCut)
  })

  it('what a primary answers when the network is mended, not knowing yet that it was replaced, is believed by nobody', async () => {
    const control = await open(cluster.connectOptions)
    // Long enough for the old primary to go on serving while it is cut off.
    const timeoutMs = 4000
    await setNodeTimeout(timeoutMs)
    const { keys, index, id } = keysOfOnePrimary(control, 20)
    const cutOff = await apart({ commandTimeoutMs: 20_000 })
    const reached = await apart()
    const replica = control.topology().nodes.find(({ primary }) => primary === id)
    expect.assert(replica !== undefined)
    const setAll = async (port: RedisPort, value: string) => {
      for (const key of keys)
        await port.call({ key, command: ['SET', key, value], repeat: 'safe' }, { deadlineMs: 5000 })
    }
    await setAll(control, 'old')
    const plain = await WireClient.connect({
      host: '127.0.0.1',
      port: cutOff.proxies[index]?.port ?? 0,
      timeoutMs: 20_000,
    })
    plains.push(plain)

    cutOff.proxies[index]?.hold()
    reached.proxies[index]?.hold()
    await cluster.partition([
      [index],
      cluster.nodes.flatMap((_node, other) => (other === index ? [] : [other])),
    ])
    const cutAt = performance.now()
    const plainly = plain.pipeline(keys.map((key) => ['GET', key]))
    const gets = keys.map((key) => cutOff.port.call({ key, command: ['GET', key], repeat: 'safe' }))
    const increments = keys.map((key) =>
      cutOff.port.call({ key, command: ['HINCRBY', `${key}+` as Key, 'x', 1] }),
    )
    const ended = Promise.allSettled([...gets, ...increments])
    await control.onNode(replica.id, ['CLUSTER', 'FAILOVER', 'TAKEOVER'])
    await setAll(reached.port, 'new')
    await expect
      .poll(() => performance.now() - cutAt, { timeout: 10_000 })
      .toBeGreaterThan(timeoutMs / 2 + 200)
    await cutOff.proxies[index]?.heal()
    // Without which nothing would be shown here: the old one does serve what it holds.
    expect(new Set((await plainly).map(String))).toEqual(new Set(['old']))
    await cluster.heal()
    await ended
    expect(new Set(await Promise.all(gets))).toEqual(new Set(['new']))
    for (const increment of await Promise.allSettled(increments)) {
      expect(increment).toEqual({ status: 'rejected', reason: expect.any(OutcomeUnknownError) as unknown })
    }
  })
})

it('a replica whose link was cut is elected without what it missed: exactly that is lost', async () => {
  const port = await connectIoredis({ ...cluster.connectOptions, commandTimeoutMs: 1000 })
  const { keys, index, id } = keysOfOnePrimary(port, 40)
  const replica = port.topology().nodes.find(({ primary }) => primary === id)
  const half = keys.length / 2
  const write = async (some: readonly Key[]) => {
    for (const key of some) expect(await port.call({ key, command: ['SET', key, 'x'] })).toBe('OK')
  }
  await write(keys.slice(0, half))
  expect(await replicated(port, keys[0])).toBe(1)
  await cluster.cutReplication(indexOf(replica))
  await write(keys.slice(half))
  await cluster.kill(index)
  const values = await Promise.all(
    keys.map((key) => port.call({ key, command: ['GET', key], repeat: 'safe' }, { deadlineMs: 10_000 })),
  )
  expect(values).toEqual([...keys.slice(0, half).map(() => 'x'), ...keys.slice(half).map(() => null)])
  await port.close()
  await cluster.restart(index)
})

/** How many replicas have everything that was written to the primary of a key: they receive it in order. */
async function replicated(port: RedisPort, key: Key | undefined): Promise<number> {
  expect.assert(key !== undefined)
  const touch = { key, command: ['EXPIRE', key, 3600] } as const
  return (await port.writeThenWait(touch, { replicas: 1, waitMs: 900 })).acknowledgedBy
}
