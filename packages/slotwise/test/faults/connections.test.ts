import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { OutcomeUnknownError, RedisUnavailableError } from '../../src/errors.js'
import { connect as connectIoredis } from '../../src/ioredis/index.js'
import { type LocalCluster, type LocalConnectOptions, startLocalCluster } from '../../src/local/index.js'
import { connect as connectNodeRedis } from '../../src/node-redis/index.js'
import { keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { type FaultProxy, type ProxiedNodes, proxied } from '../../src/testing/faults/index.js'
import { Traffic } from '../support/port-traffic.js'

/** From the end of a fault to the last failure that a caller sees. */
const RECOVERY_MS = 1500

let cluster: LocalCluster
let serial = 0

beforeAll(async () => {
  cluster = await startLocalCluster()
}, 60_000)
afterAll(() => cluster.stop())

describe.each([
  ['ioredis', connectIoredis],
  ['node-redis', connectNodeRedis],
] as const)('over %s', (_adapter, connect) => {
  let nodes: ProxiedNodes<LocalConnectOptions>
  let port: RedisPort
  let load: Traffic

  afterEach(async () => {
    await load.stop()
    await port.close()
    await nodes.close()
  })

  /** Traffic through proxies, one of them before a primary. */
  async function underLoad(): Promise<{ readonly proxy: FaultProxy; readonly id: string }> {
    nodes = await proxied(cluster.connectOptions)
    port = await connect({ ...nodes.connectOptions, commandTimeoutMs: 500 })
    load = new Traffic(port, `proxied-${++serial}`)
    await expect.poll(() => load.onces.length).toBeGreaterThan(100)
    const owner = port
      .topology()
      .ownerOf(slotOf(keyOf({ namespace: '', pattern: 'any', name: 'key' }, 'any')))
    const proxy = nodes.proxies.find(({ target }) => target.port === owner?.port)
    expect.assert(proxy !== undefined && owner !== undefined)
    return { proxy, id: owner.id }
  }

  it('half-open connections to one node cost its calls their deadline, other nodes nothing, and end with the fault', async () => {
    const { proxy, id } = await underLoad()
    proxy.drop()
    await expect.poll(() => load.failures.length, { timeout: 5000 }).toBeGreaterThan(5)
    await expect.poll(() => proxy.stats().connections, { timeout: 5000 }).toBeGreaterThan(1)
    await proxy.heal()
    const healedAt = performance.now()
    const before = load.onces.length
    await expect.poll(() => load.onces.length - before, { timeout: 5000 }).toBeGreaterThan(500)
    await load.stop()
    expect(
      load.failures.filter(
        ({ error }) => !(error instanceof OutcomeUnknownError || error instanceof RedisUnavailableError),
      ),
    ).toEqual([])
    const elsewhere = load.onces.filter(({ key }) => port.topology().ownerOf(slotOf(key))?.id !== id)
    expect(elsewhere.filter(({ outcome }) => outcome !== 'resolved')).toEqual([])
    expect(Math.max(...load.failures.map(({ atMs }) => atMs)) - healedAt).toBeLessThan(RECOVERY_MS)
    const { resolved, unknown, 'not-executed': not } = await load.executions()
    expect(Object.keys(resolved)).toEqual(['1'])
    // Requests vanished, and answers to those that had arrived.
    expect(Object.keys(unknown).every((times) => Number(times) <= 1)).toBe(true)
    expect(Object.keys(not).filter((times) => times !== '0')).toEqual([])
  })

  it('lost replies leave what may not be repeated executed once, and are not noticed by what may', async () => {
    const { proxy } = await underLoad()
    // As often as a call is repeated by default.
    for (let i = 1; i <= 3; i++) {
      proxy.loseReplies(1, { command: 'HINCRBY' })
      await expect.poll(() => proxy.stats().repliesLost).toBe(i)
      const before = load.onces.length
      await expect.poll(() => load.onces.length - before).toBeGreaterThan(200)
    }
    await load.stop()
    expect(load.failures.filter(({ repeatable }) => repeatable)).toEqual([])
    expect(load.failures.filter(({ error }) => !(error instanceof OutcomeUnknownError))).toEqual([])
    const { resolved, unknown } = await load.executions()
    expect(Object.keys(resolved)).toEqual(['1'])
    expect(unknown[1]).toBeGreaterThanOrEqual(3)
    expect(Object.keys(unknown).every((times) => Number(times) <= 1)).toBe(true)
  })
})
