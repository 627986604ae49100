import { randomUUID } from 'node:crypto'
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  DataPointType,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { ConfigurationError } from '../../../src/errors.js'
import { connect } from '../../../src/ioredis/index.js'
import { Locks } from '../../../src/lock/index.js'
import { bucketsOf, METRICS, type MetricName } from '../../../src/metrics.js'
import { type InstrumentOptions, instrument } from '../../../src/otel/index.js'
import { RateLimiter, tokenBucket } from '../../../src/ratelimit/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { publish } from '../../../src/telemetry.js'
import { WriteBehind } from '../../../src/writebehind/index.js'

let port: RedisPort
beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  port = await connect({ nodes: inject('clusterNodes'), namespace: `otel-${randomUUID().slice(0, 8)}` })
})
afterAll(async () => {
  await port.close()
  context.disable()
})

const key = (id: string) => keyOf({ namespace: port.namespace, pattern: 'app', name: 'things' }, id)
const get = (id = 'id-7') => port.call({ key: key(id), command: ['GET', key(id)] })

/** Measures with an SDK that keeps all in memory. */
function measuring(options: InstrumentOptions = {}) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  const instrumented = instrument({ ...options, meterProvider })
  onTestFinished(async () => {
    instrumented.close()
    await meterProvider.shutdown()
  })
  const collect = async (): Promise<ReadonlyMap<string, MetricData>> => {
    exporter.reset()
    await meterProvider.forceFlush()
    const scopes = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics)
    expect(scopes.every(({ scope }) => scope.name === 'slotwise')).toBe(true)
    return new Map(scopes.flatMap(({ metrics }) => metrics).map((data) => [data.descriptor.name, data]))
  }
  const points = async (name: MetricName) => (await collect()).get(name)?.dataPoints ?? []
  return { instrumented, collect, points }
}

function tracing(options: InstrumentOptions = {}) {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const instrumented = instrument({ tracerProvider, ...options })
  onTestFinished(async () => {
    instrumented.close()
    await tracerProvider.shutdown()
  })
  const tracer = tracerProvider.getTracer('test')
  /** Runs something within a span; the spans of ours that came of it. */
  const within = async (act: () => Promise<unknown>) => {
    const parent = tracer.startSpan('request')
    await context.with(trace.setSpan(ROOT_CONTEXT, parent), act)
    parent.end()
    const spans = exporter.getFinishedSpans().filter(({ name }) => name !== 'request')
    return { spans, parent: parent.spanContext() }
  }
  return { exporter, instrumented, within, spans: () => exporter.getFinishedSpans() }
}

describe('metrics', () => {
  it('have the names, kinds, units and attributes of the table, and no other', async () => {
    const refusing = async () => {
      throw new TypeError('secret')
    }
    const posts = new WriteBehind<string>(port, {
      name: 'posts',
      partitions: 1,
      flushIntervalMs: 5,
      writeBatch: {
        claim: async () => undefined,
        write: async (rows) => (rows.some(({ id }) => id === 'id-8') ? refusing() : undefined),
        isAboutRow: () => true,
      },
    })
    const { collect } = measuring({ ports: { main: port }, writeBehinds: { posts }, health: true })
    posts.start()
    await posts.forTenant('tenant-7').write('id-7', 'secret')
    await posts.forTenant('tenant-7').write('id-8', 'secret')
    await posts.drain()
    await expect.poll(() => posts.stats().deadLetters).toBe(1)
    const cache = new Cache<string>(port, { name: 'prices', ttlMs: 60_000, budgetMs: 5000 })
    const audit = cache.audit({ ppm: 1_000_000, windowsMs: [1], load: () => 'secret' })
    await cache.forTenant('tenant-7').getOrLoad('id-7', async () => 'secret')
    await expect.poll(() => audit.stats().windows[0]?.consistent ?? 0).toBeGreaterThan(0)
    const tiers = { burst: tokenBucket({ capacity: 1, refillPerSecond: 0.001 }) }
    const limiter = new RateLimiter(port, {
      name: 'api',
      tiers,
      whenUnavailable: 'deny',
      deadlineMs: 5000,
    }).forTenant('tenant-7')
    for (let i = 0; i < 2; i++) await limiter.consume('id-7')
    const tried = new RateLimiter(port, {
      name: 'tried',
      tiers,
      whenUnavailable: 'deny',
      deadlineMs: 5000,
      shadow: true,
    }).forTenant('tenant-7')
    for (let i = 0; i < 2; i++) await tried.consume('id-7')
    const leasing = new RateLimiter(port, {
      name: 'api',
      tiers: { burst: tokenBucket({ capacity: 20_000, refillPerSecond: 1000 }) },
      whenUnavailable: 'deny',
      deadlineMs: 5000,
      lease: { epsilon: 0.1 },
    })
    for (let i = 0; i < 10; i++) await leasing.consume('id-8')
    await new Locks(port, { name: 'orders', quarantine: false }).using(
      'id-7',
      { ttlMs: 1000 },
      async () => {},
    )
    await port.call({ key: key('id-7'), command: ['SET', key('id-7'), 'secret'] })
    await port.call({ key: key('id-7'), command: ['LPUSH', key('id-7'), 'secret'] }).catch(() => undefined)
    await port.call({ key: key('id-7'), command: ['GET', key('id-7')] }, { dedicated: true })
    await cache.close()
    // An outbox needs a Postgres, and its own tests show that it says this.
    const carried = { name: 'public.outbox', events: 2, durationMs: 1, delayMs: 3, reason: undefined }
    publish('slotwise:outbox', () => ({ ...carried, kind: 'applied' }))
    publish('slotwise:outbox', () => ({ ...carried, kind: 'elected', events: 0, delayMs: undefined }))

    // A Redlock needs independent nodes, and a line somebody who waits.
    const lock = { name: 'orders', resource: 'id-7', durationMs: 1, heldMs: undefined, reason: undefined }
    publish('slotwise:lock', () => ({ ...lock, kind: 'busy', place: 1 }))
    const votes = [{ node: 0, vote: 'granted' }] as const
    publish('slotwise:lock:votes', () => ({ name: 'orders', votes, rounds: 2 }))

    const collected = await collect()
    for (const [name, { descriptor, dataPoints, dataPointType }] of collected) {
      const { unit, means, kind, labels }: (typeof METRICS)[MetricName] = METRICS[name as MetricName]
      expect({ name, unit: descriptor.unit, description: descriptor.description }).toEqual({
        name,
        unit,
        description: means,
      })
      expect(dataPointType).toBe(TYPES[kind])
      const known: readonly string[] = labels
      expect(
        dataPoints.flatMap((one) => Object.keys(one.attributes)).filter((label) => !known.includes(label)),
      ).toEqual([])
    }
    // What takes a fault to happen is shown by the tests of faults.
    expect(Object.keys(METRICS).filter((name) => !collected.has(name))).toEqual([
      'slotwise.redis.retries',
      'slotwise.redis.topology.changes',
      'slotwise.redis.node.losses',
      'slotwise.redis.node.absence',
      'slotwise.redis.subscription.interruptions',
      'slotwise.redis.subscription.gap',
      'db.client.connection.timeouts',
      'slotwise.writebehind.rewinds',
      'slotwise.cluster.findings',
    ])
    await posts.close()
    expect(JSON.stringify([...collected.values()])).not.toMatch(/id-7|tenant-7|secret|things/)
  })

  it('follow the conventions for database clients', async () => {
    const { points } = measuring()
    await port.call({ key: key('a'), command: ['set', key('a'), 'v'] })
    await port.call({ key: key('a'), command: ['LPUSH', key('a'), 'v'] }).catch(() => undefined)
    const [set, push] = await points('db.client.operation.duration')
    expect(set?.attributes).toEqual({
      'db.system.name': 'redis',
      'db.operation.name': 'SET',
      'server.address': '127.0.0.1',
      'server.port': expect.any(Number),
    })
    const value = set?.value as Histogram
    expect(value.count).toBe(1)
    expect(value.sum).toBeLessThan(5)
    expect(value.buckets.boundaries).toEqual(bucketsOf('db.client.operation.duration'))
    expect(push?.attributes).toMatchObject({ 'db.operation.name': 'LPUSH', 'error.type': 'WRONGTYPE' })
  })

  it('bound their attributes, whatever the program does', async () => {
    const { points } = measuring()
    for (let i = 0; i < 130; i++) {
      await port.onNode(inject('clusterNodes')[0] ?? '', [`NO-${i}`]).catch(() => undefined)
    }
    const operations = (await points('db.client.operation.duration')).map(
      (one) => one.attributes['db.operation.name'],
    )
    expect(operations).toHaveLength(101)
    expect(operations).toContain('_OTHER')
  })

  it('do nothing without an SDK, and nothing any more once closed', async () => {
    instrument({ ports: { main: port } }).close()
    const { instrumented, points } = measuring({ ports: { main: port } })
    await get()
    instrumented.close()
    instrumented[Symbol.dispose]()
    await get()
    expect(
      (await points('db.client.operation.duration')).map(({ value }) => (value as Histogram).count),
    ).toEqual([1])
    expect(await points('slotwise.redis.nodes')).toEqual([])
  })
})

const TYPES = {
  counter: DataPointType.SUM,
  updowncounter: DataPointType.SUM,
  gauge: DataPointType.GAUGE,
  histogram: DataPointType.HISTOGRAM,
} as const

describe('spans', () => {
  const told = ({ name, kind, attributes, status }: ReadableSpan) => ({
    name,
    kind,
    attributes,
    status: status.code,
  })

  it('of calls are below the span in which they are called, whoever reads their answers', async () => {
    const { within } = tracing()
    const { spans, parent } = await within(async () => {
      await Promise.all([
        get(),
        port.call({ key: key('id-7'), command: ['GET', key('id-7')] }, { dedicated: true }),
      ])
      await port.borrow({ key: key('id-7') }, (connection) => connection.call(['GET', key('id-7')]))
    })
    expect(spans.map(told)).toEqual(
      Array.from({ length: 3 }, () => ({
        name: 'GET',
        kind: SpanKind.CLIENT,
        status: SpanStatusCode.UNSET,
        attributes: {
          'db.system.name': 'redis',
          'db.operation.name': 'GET',
          'server.address': '127.0.0.1',
          'server.port': expect.any(Number),
          'slotwise.attempts': 1,
        },
      })),
    )
    expect(spans.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([
      parent.spanId,
      parent.spanId,
      parent.spanId,
    ])
    const text = JSON.stringify(spans.map(({ name, attributes }) => ({ name, attributes })))
    expect(text).not.toMatch(/id-7|things/)
  })

  it('of calls that fail say so, and of scripts which they are', async () => {
    const { within } = tracing()
    const id = randomUUID()
    await port.call({ key: key(id), command: ['SET', key(id), 'secret'] })
    const locks = new Locks(port, { name: 'orders', quarantine: false, evictionCheck: 'off' })
    await locks.ready()
    const { spans } = await within(async () => {
      await port.call({ key: key(id), command: ['LPUSH', key(id), 'secret'] }).catch(() => undefined)
      await locks.tryAcquire(id, { ttlMs: 100 })
    })
    expect(spans.map(told)).toMatchObject([
      {
        name: 'LPUSH',
        status: SpanStatusCode.ERROR,
        attributes: { 'error.type': 'WRONGTYPE', 'db.response.status_code': 'WRONGTYPE' },
      },
      { name: 'EVALSHA lock/acquire', attributes: { 'db.stored_procedure.name': 'lock/acquire' } },
    ])
  })

  it('of loads of a cache last as long as these, below the span of their caller', async () => {
    const { within } = tracing()
    const cache = new Cache<number>(port, { name: 'prices', ttlMs: 1000, budgetMs: 5000 })
    const { spans, parent } = await within(() =>
      cache.getOrLoad(randomUUID(), async () => {
        await new Promise((resolve) => setTimeout(resolve, 30))
        return 1
      }),
    )
    await cache.close()
    const load = spans.find(({ name }) => name === 'cache load')
    expect(load?.parentSpanContext?.spanId).toBe(parent.spanId)
    expect(load?.attributes).toEqual({ 'slotwise.cache.name': 'prices' })
    const [seconds = 0, nanos = 0] = load?.duration ?? []
    expect(seconds * 1000 + nanos / 1e6).toBeGreaterThanOrEqual(28)
  })

  it('are made within traces, of everything, or not at all, as asked for', async () => {
    const inTraces = tracing()
    await get()
    expect(inTraces.spans()).toEqual([])
    const everything = tracing({ spans: 'all' })
    const nothing = tracing({ spans: 'none' })
    await get()
    expect(everything.spans()).toHaveLength(1)
    expect((await nothing.within(() => get())).spans).toEqual([])
    const made = everything.spans().length
    everything.instrumented.close()
    await get()
    expect(everything.spans()).toHaveLength(made)
    expect(() => instrument({ spans: 'some' as 'all' })).toThrow(ConfigurationError)
  })
})
