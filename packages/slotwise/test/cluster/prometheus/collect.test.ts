import { randomUUID } from 'node:crypto'
import { Registry, register as shared } from 'prom-client'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { ConfigurationError } from '../../../src/errors.js'
import { connect } from '../../../src/ioredis/index.js'
import { Locks } from '../../../src/lock/index.js'
import { METRICS, type MetricName, prometheusName } from '../../../src/metrics.js'
import { type CollectOptions, collect } from '../../../src/prometheus/index.js'
import { RateLimiter, tokenBucket } from '../../../src/ratelimit/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { WriteBehind } from '../../../src/writebehind/index.js'
import { parseExposition, type Series } from '../../support/exposition.js'

let port: RedisPort
beforeAll(async () => {
  port = await connect({ nodes: inject('clusterNodes'), namespace: `prom-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

function collecting(options: Omit<CollectOptions, 'register'> = {}) {
  const register = new Registry()
  const collected = collect({ ...options, register })
  onTestFinished(() => collected.close())
  const scrape = async () => parseExposition(await register.metrics())
  const values = async (name: string, labels: Readonly<Record<string, string>> = {}) =>
    (await scrape()).series.filter(
      (one) =>
        one.name === name && Object.entries(labels).every(([label, text]) => one.labels[label] === text),
    )
  return { register, collected, scrape, values }
}

const sum = (series: readonly Series[]) => series.reduce((total, { value }) => total + value, 0)
const key = (id: string) => keyOf({ namespace: port.namespace, pattern: 'app', name: 'things' }, id)

/** Something of everything, with ids that must not be seen again. */
async function useAll(): Promise<void> {
  const id = `id-7-${randomUUID()}`
  const cache = new Cache<string>(port, { name: 'prices', ttlMs: 60_000, budgetMs: 5000 })
  await cache.forTenant('tenant-7').getOrLoad(id, async () => 'secret')
  await expect.poll(async () => (await cache.forTenant('tenant-7').read(id)).found).toBe(true)
  await cache.forTenant('tenant-7').getOrLoad(id, async () => 'secret')
  await cache.close()
  const tiers = { burst: tokenBucket({ capacity: 1, refillPerSecond: 0.001 }) }
  const limiter = new RateLimiter(port, {
    name: 'api',
    tiers,
    whenUnavailable: 'deny',
    deadlineMs: 5000,
  }).forTenant('tenant-7')
  await limiter.consume(id)
  await limiter.consume(id)
  const locks = new Locks(port, { name: 'orders', quarantine: false })
  await locks.using([id], { ttlMs: 1000 }, async () => {})
  const posts = new WriteBehind<string>(port, {
    name: 'posts',
    partitions: 1,
    flushIntervalMs: 5,
    writeBatch: async () => {},
  })
  await posts.forTenant('tenant-7').write(id, 'secret')
  posts.start()
  await posts.drain()
  await posts.close()
  await port.call({ key: key(id), command: ['SET', key(id), 'secret'] })
  await port.call({ key: key(id), command: ['LPUSH', key(id), 'secret'] }).catch(() => undefined)
  await port.call({ key: key(id), command: ['GET', key(id)] }, { dedicated: true })
}

describe('what happens', () => {
  it('is counted under the names, types and labels of the table, and under no other', async () => {
    const posts = new WriteBehind<string>(port, { name: 'posts', writeBatch: async () => {} })
    const { scrape } = collecting({ ports: { main: port }, writeBehinds: { posts }, health: true })
    await useAll()
    await posts.close()
    const { series, types, help } = await scrape()
    const names = Object.keys(METRICS) as MetricName[]
    expect([...types.keys()].toSorted()).toEqual(names.map(prometheusName).toSorted())
    for (const name of names) {
      const { kind, means, labels } = METRICS[name]
      const called = prometheusName(name)
      expect(types.get(called)).toBe(kind === 'updowncounter' ? 'gauge' : kind)
      expect(help.get(called)).toBe(means)
      const allowed = ['le', ...labels.map((label) => label.replaceAll('.', '_'))]
      const own = series.filter(
        (one) => one.name.replace(/_(?:bucket|sum|count)$/, '') === called || one.name === called,
      )
      expect(
        own.flatMap((one) => Object.keys(one.labels)).filter((label) => !allowed.includes(label)),
      ).toEqual([])
    }
  })

  it('is told apart: hits from loads, refusals from grants, failed calls from others', async () => {
    const { values } = collecting()
    await useAll()
    const count = async (metric: MetricName, labels: Readonly<Record<string, string>>) =>
      sum(await values(`${prometheusName(metric)}_count`, labels))
    const cache = { name: 'prices' }
    expect(await count('slotwise.cache.operation.duration', { ...cache, kind: 'load' })).toBe(1)
    expect(await count('slotwise.cache.operation.duration', { ...cache, kind: 'hit' })).toBe(1)
    expect(await count('slotwise.ratelimit.decision.duration', { name: 'api', outcome: 'allowed' })).toBe(1)
    expect(await count('slotwise.ratelimit.decision.duration', { name: 'api', outcome: 'limited' })).toBe(1)
    expect(await values('slotwise_ratelimit_violations_total')).toMatchObject([
      { labels: { name: 'api', tier: 'burst' }, value: 1 },
    ])
    expect(await count('slotwise.lock.operation.duration', { name: 'orders', kind: 'acquired' })).toBe(1)
    expect(await count('slotwise.lock.operation.duration', { name: 'orders', kind: 'released' })).toBe(1)
    const posts = { name: 'posts' }
    expect(
      await count('slotwise.writebehind.change.duration', { ...posts, kind: 'write', outcome: 'accepted' }),
    ).toBe(1)
    expect(await count('slotwise.writebehind.flush.lines', posts)).toBe(1)
    const calls = (labels: Readonly<Record<string, string>>) => count('db.client.operation.duration', labels)
    expect(await calls({ db_operation_name: 'LPUSH', error_type: 'WRONGTYPE' })).toBe(1)
    expect(await calls({ db_operation_name: 'EVALSHA', db_stored_procedure_name: 'lock/acquire' })).toBe(2)
    expect(await count('db.client.connection.wait_time', {})).toBe(1)
    const [set] = await values('db_client_operation_duration_seconds_count', { db_operation_name: 'SET' })
    expect(set?.labels).toEqual({
      db_system_name: 'redis',
      db_operation_name: 'SET',
      server_address: '127.0.0.1',
      server_port: expect.stringMatching(/^\d+$/),
    })
    // Seconds, and buckets in which a call on one machine finds its place.
    const most = await values('db_client_operation_duration_seconds_bucket', {
      db_operation_name: 'SET',
      le: '1',
    })
    expect(sum(most)).toBe(1)
  })

  it('bounds its series, whatever the program does, and holds no key, id, tenant or value', async () => {
    const { register, values } = collecting()
    await useAll()
    for (let i = 0; i < 130; i++) {
      await port.onNode(inject('clusterNodes')[0] ?? '', [`NO-${i}`]).catch(() => undefined)
      const locks = new Locks(port, { name: `locks-${i}`, quarantine: false })
      await (await locks.acquire('id-7', { ttlMs: 1000 })).release()
    }
    expect(await register.metrics()).not.toMatch(/id-7|tenant-7|secret|things/)
    const operations = await values('db_client_operation_duration_seconds_count')
    const distinct = (label: string, series: readonly Series[]) =>
      new Set(series.map(({ labels }) => labels[label])).size
    expect(distinct('db_operation_name', operations)).toBe(101)
    const locks = await values('slotwise_lock_operation_duration_seconds_count')
    expect(distinct('name', locks)).toBe(101)
    expect(sum(locks.filter(({ labels }) => labels['name'] === '_OTHER'))).toBeGreaterThan(0)
    // Acquired and released: each of them, the one before, and the lease of a flusher.
    expect(sum(locks)).toBe(264)
  })

  it('does not tell nodes apart where that is not wanted', async () => {
    const { register, values } = collecting({ ports: { main: port }, perNode: false })
    await useAll()
    expect(await register.metrics()).not.toMatch(/server_|pool_name/)
    expect(await values('slotwise_redis_breaker_open')).toMatchObject([
      { labels: { client: 'main' }, value: 0 },
    ])
  })
})

describe('what stands', () => {
  it('is read at each scrape, for each port under its name', async () => {
    const other = await connect({ nodes: inject('clusterNodes') })
    const { values } = collecting({ ports: { main: port, other } })
    const nodes = (client: string, role: string) => values('slotwise_redis_nodes', { client, role })
    expect(await nodes('main', 'primary')).toMatchObject([{ value: 3 }])
    expect(await nodes('other', 'replica')).toMatchObject([{ value: 3 }])
    expect(await values('slotwise_redis_slots_unserved', { client: 'main' })).toMatchObject([{ value: 0 }])
    const open = await values('slotwise_redis_breaker_open', { client: 'main' })
    expect(
      open
        .map(({ labels, value }) => `${labels['server_address']}:${labels['server_port']} ${value}`)
        .toSorted(),
    ).toEqual(
      inject('clusterNodes')
        .map((node) => `${node} 0`)
        .toSorted(),
    )
    const used = () =>
      values('db_client_connection_count', { client: 'main', db_client_connection_state: 'used' })
    await port.borrow({ key: key('a') }, async () => {
      expect(sum(await used())).toBe(1)
    })
    await expect.poll(async () => sum(await used())).toBe(0)
    await port.borrow({ key: key('a') }, () => Promise.resolve())
    await other.close()
    // Nothing is left to be seen of it, and nothing breaks.
    expect(await nodes('other', 'primary')).toMatchObject([{ value: 3 }])
    expect(await values('slotwise_redis_slots_unserved', { client: 'other' })).toMatchObject([
      { value: 16_384 },
    ])
  })

  it('has the health of the cluster where it is asked for, which scrapes in a row share', async () => {
    const asked: string[] = []
    const counting: RedisPort = Object.create(port, {
      onNode: {
        value: (...args: Parameters<RedisPort['onNode']>) => {
          asked.push(args[1].join(' '))
          return port.onNode(...args)
        },
      },
      topology: { value: () => port.topology() },
      stats: { value: () => port.stats?.() },
    }) as RedisPort
    const { values, register } = collecting({
      ports: { main: counting },
      health: { usage: ['locks'], maxAgeMs: 60_000 },
    })
    await Promise.all(Array.from({ length: 5 }, () => register.metrics()))
    expect(asked.filter((command) => command === 'CLUSTER NODES')).toHaveLength(6)
    const health = await values('slotwise_cluster_health')
    expect(Object.fromEntries(health.map(({ labels, value }) => [labels['status'], value]))).toEqual({
      ok: 1,
      degraded: 0,
      down: 0,
    })
    expect(asked.filter((command) => command === 'CLUSTER NODES')).toHaveLength(6)
  })

  it('has no health of a port that is closed, and scrapes go on', async () => {
    const other = await connect({ nodes: inject('clusterNodes') })
    const { values } = collecting({ ports: { main: port, other }, health: { maxAgeMs: 0 } })
    await other.close()
    expect((await values('slotwise_cluster_health')).map(({ labels }) => labels['client'])).toEqual([
      'main',
      'main',
      'main',
    ])
  })
})

describe('collecting', () => {
  it('ends: the metrics are gone from the register, and can be registered again', async () => {
    const { register, collected } = collecting()
    expect(() => collect({ register })).toThrow(/already been registered/)
    await port.call({ key: key('a'), command: ['GET', key('a')] })
    collected.close()
    collected.close()
    expect(register.getMetricsAsArray()).toEqual([])
    const again = collect({ register })
    await port.call({ key: key('a'), command: ['GET', key('a')] })
    const { series } = parseExposition(await register.metrics())
    expect(series.find(({ name }) => name === 'db_client_operation_duration_seconds_count')?.value).toBe(1)
    again[Symbol.dispose]()
  })

  it('registers all or nothing', () => {
    const register = new Registry()
    collect({ register }).close()
    const taken = collect({ register })
    const [, ...rest] = register.getMetricsAsArray()
    for (const { name } of rest) register.removeSingleMetric(name)
    expect(() => collect({ register })).toThrow(/already been registered/)
    expect(register.getMetricsAsArray()).toHaveLength(1)
    taken.close()
  })

  it('uses the register that all share unless it is given one', () => {
    const collected = collect()
    expect(shared.getSingleMetric('slotwise_redis_retries_total')).toBeDefined()
    collected.close()
    expect(shared.getSingleMetric('slotwise_redis_retries_total')).toBeUndefined()
  })

  it('refuses what it cannot read from, and bounds that are none, before anything is registered', () => {
    const register = new Registry()
    const { stats: _stats, ...silent } = { ...port, stats: undefined }
    const wrong: CollectOptions[] = [
      { ports: { main: silent as unknown as RedisPort } },
      { ports: { main: port }, health: { timeoutMs: 0 } },
      { ports: { main: port }, health: { maxAgeMs: -1 } },
      { ports: { main: port }, health: { usage: ['nothing' as 'locks'] } },
    ]
    for (const options of wrong) expect(() => collect({ ...options, register })).toThrow(ConfigurationError)
    expect(register.getMetricsAsArray()).toEqual([])
  })
})
