import { setTimeout as sleep } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { collect } from '../../src/prometheus/index.js'
import { type RedisPort, slotOf } from '../../src/redis/index.js'
import { type Claim, WriteBehind } from '../../src/writebehind/index.js'
import { partitionKeys } from '../../src/writebehind/partition-keys.js'
import { parseExposition } from '../support/exposition.js'

let cluster: LocalCluster
let port: RedisPort
beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
  port = await connect({ ...cluster.connectOptions, namespace: 'seen', commandTimeoutMs: 500 })
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})

const POLL = { timeout: 20_000, interval: 20 }

it('what an operator sees of a write-behind whose primary dies with what no replica had', async () => {
  const rows = new Map<string, unknown>()
  const state: Claim = { epoch: 0n, position: { written: none, seen: none } }
  let database = state
  const posts = new WriteBehind<string>(port, {
    name: 'posts',
    partitions: 1,
    flushIntervalMs: 20,
    leaseMs: 1000,
    writeBatch: {
      claim: async () => (database = { ...database, epoch: database.epoch + 1n }),
      write: async (batch, { epoch, to }) => {
        for (const row of batch) if (!row.deleted) rows.set(String(row.id), row.value)
        database = { epoch, position: to }
      },
    },
  })
  const register = new Registry()
  const collecting = collect({ register, ports: { main: port }, writeBehinds: { posts } })
  onTestFinished(() => collecting.close())
  const scraped = async (name: string, labels: Readonly<Record<string, string>> = {}) =>
    parseExposition(await register.metrics())
      .series.filter((one) => one.name === `slotwise_writebehind_${name}`)
      .filter((one) => Object.entries({ name: 'posts', ...labels }).every(([k, v]) => one.labels[k] === v))
      .reduce((total, { value }) => total + value, 0)

  posts.start()
  await posts.write('before', 'x')
  await posts.drain()
  expect(await scraped('partitions')).toBe(1)
  expect(await scraped('rewinds_total')).toBe(0)

  const [key] = partitionKeys({ namespace: 'seen', pattern: 'writebehind', name: 'posts' }, 1)
  if (key === undefined) throw new Error('there is no partition')
  const owner = () => port.topology().ownerOf(slotOf(key))
  const old = owner()
  if (old === undefined) throw new Error('nobody has the partition')
  const replica = port.topology().replicasOf(old.id)[0]?.port
  const behind = cluster.nodes.findIndex((node) => node.port === replica)
  await cluster.pause(behind)
  await port.onNode(old.id, ['CLIENT', 'KILL', 'TYPE', 'replica'])
  await sleep(300)
  await posts.write('lost', 'y')
  await posts.drain()
  expect(rows.get('lost')).toBe('y')
  await cluster.kill(cluster.nodes.findIndex((node) => node.port === old.port))
  await expect
    .poll(() => scraped('flush_duration_seconds_count', { outcome: 'failed' }), POLL)
    .toBeGreaterThan(0)
  await cluster.resume(behind)

  await expect.poll(() => owner()?.id, POLL).not.toBe(old.id)
  await posts.write('after', 'z', { deadlineMs: 20_000 })
  await posts.drain()
  expect(rows.get('after')).toBe('z')
  await expect.poll(() => scraped('rewinds_total'), POLL).toBe(1)
  await expect.poll(() => scraped('partitions'), POLL).toBe(1)
  expect(await scraped('lag')).toBe(0)
  expect(await scraped('change_duration_seconds_count', { outcome: 'accepted' })).toBe(3)
  await posts.close()
  expect(await scraped('partitions')).toBe(0)
}, 60_000)

const none = { number: 0, tag: '\0'.repeat(8) }
