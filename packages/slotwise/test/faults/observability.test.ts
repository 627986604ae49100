import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connect as connectIoredis } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { connect as connectNodeRedis } from '../../src/node-redis/index.js'
import { type Collecting, collect } from '../../src/prometheus/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { heardOn } from '../support/events.js'
import { parseExposition } from '../support/exposition.js'

let cluster: LocalCluster
beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
}, 60_000)
afterAll(() => cluster.stop())

describe.each([
  ['ioredis', connectIoredis],
  ['node-redis', connectNodeRedis],
])('what an operator sees over %s', (_, connect) => {
  let port: RedisPort
  let collecting: Collecting
  let register: Registry
  beforeEach(async () => {
    await cluster.whenHealthy()
    port = await connect({ ...cluster.connectOptions, commandTimeoutMs: 500 })
    register = new Registry()
    collecting = collect({
      register,
      ports: { main: port },
      health: { usage: ['locks'], timeoutMs: 300, maxAgeMs: 0 },
    })
  }, 30_000)
  afterEach(async () => {
    collecting.close()
    await port.close()
  })

  /** The sum of the series of this name that have these labels. */
  async function scraped(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    return parseExposition(await register.metrics())
      .series.filter((one) => one.name === name)
      .filter((one) => Object.entries(labels).every(([label, text]) => one.labels[label] === text))
      .reduce((total, { value }) => total + value, 0)
  }

  const primary = () => cluster.nodes.findIndex(({ role }) => role === 'primary')
  const addressAt = (index: number) => `127.0.0.1:${cluster.nodes[index]?.port}`
  function keyAt(index: number): Key {
    const space = { namespace: '', pattern: 'app', name: 'seen' }
    const keys = Array.from({ length: 500 }, (_each, i) => keyOf(space, [i]))
    const key = keys.find((one) => port.topology().ownerOf(slotOf(one))?.port === cluster.nodes[index]?.port)
    if (key === undefined) throw new Error(`node ${index} owns no slot of 500 keys`)
    return key
  }

  it('of a primary that dies: its breaker, its slots, the failover, what calls went through, and its return', async () => {
    const dead = primary()
    const address = addressAt(dead)
    const node = { server_port: String(cluster.nodes[dead]?.port) }
    const key = keyAt(dead)
    const heard = heardOn('slotwise:redis')
    const subscription = await port.subscribe(key, { message: () => {} })
    expect(await scraped('slotwise_cluster_health', { status: 'ok' })).toBe(1)

    await cluster.kill(dead)
    await expect.poll(() => scraped('slotwise_redis_breaker_open', node)).toBe(1)
    expect(await scraped('slotwise_redis_slots_unserved')).toBeGreaterThan(5000)
    expect(await scraped('slotwise_redis_subscriptions', { state: 'interrupted' })).toBe(1)
    await expect.poll(() => scraped('slotwise_cluster_health', { status: 'down' })).toBe(1)
    expect(await scraped('slotwise_cluster_findings', { severity: 'critical' })).toBeGreaterThan(0)
    // Waits for the election.
    await port.call({ key, command: ['SET', key, 'v'], repeat: 'safe' }, { deadlineMs: 20_000 })
    expect(await scraped('slotwise_redis_retries_total')).toBeGreaterThan(0)
    await expect.poll(() => scraped('slotwise_redis_slots_unserved'), { timeout: 10_000 }).toBe(0)
    expect(await scraped('slotwise_redis_topology_changes_total', { kind: 'failover' })).toBe(1)
    await expect.poll(() => scraped('slotwise_redis_subscriptions', { state: 'live' })).toBe(1)
    expect(await scraped('slotwise_redis_subscription_gap_seconds_count')).toBe(1)
    expect(await scraped('slotwise_redis_subscription_interruptions_total')).toBe(1)

    await cluster.restart(dead)
    await expect.poll(() => scraped('slotwise_redis_breaker_open', node), { timeout: 10_000 }).toBe(0)
    expect(await scraped('slotwise_redis_node_losses_total', node)).toBe(1)
    expect(await scraped('slotwise_redis_node_absence_seconds_count', node)).toBe(1)
    await expect.poll(() => scraped('slotwise_cluster_health', { status: 'ok' }), { timeout: 15_000 }).toBe(1)
    const lost = heard.findIndex((event) => event.kind === 'node-lost' && event.node === address)
    const failover = heard.findIndex((event) => event.kind === 'failover' && event.from === address)
    const back = heard.findIndex((event) => event.kind === 'node-back' && event.node === address)
    expect(lost).toBeGreaterThanOrEqual(0)
    expect(failover).toBeGreaterThan(lost)
    expect(back).toBeGreaterThan(failover)
    await subscription.close()
  })

  it('of a primary that hangs: scrapes wait one deadline, and share it', async () => {
    const hung = primary()
    await cluster.pause(hung)
    try {
      const from = performance.now()
      await Promise.all(Array.from({ length: 20 }, () => register.metrics()))
      expect(performance.now() - from).toBeLessThan(1000)
      const calls = await scraped('db_client_operation_duration_seconds_count', {
        db_operation_name: 'CLUSTER',
        server_port: String(cluster.nodes[hung]?.port),
      })
      // CLUSTER NODES and CLUSTER INFO, once for the crowd and perhaps once for this scrape.
      expect(calls).toBeGreaterThanOrEqual(2)
      expect(calls).toBeLessThanOrEqual(4)
      const key = keyAt(hung)
      await port
        .call({ key, command: ['GET', key], repeat: 'safe' }, { deadlineMs: 1500 })
        .catch(() => undefined)
      expect(await scraped('slotwise_redis_breaker_open')).toBeGreaterThanOrEqual(1)
    } finally {
      await cluster.resume(hung)
    }
  })
})
