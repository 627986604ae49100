import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { type Options, rateLimit } from 'express-rate-limit'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { moveSlots } from '../../src/cluster/index.js'
import { connect } from '../../src/ioredis/index.js'
import type { LocalCluster } from '../../src/local/index.js'
import { ExpressRateLimitStore } from '../../src/ratelimit/express/index.js'
import { httpLimit } from '../../src/ratelimit/http/index.js'
import { RateLimiter, tokenBucket } from '../../src/ratelimit/index.js'
import { DualRun, flexibleSide, limiterSide } from '../../src/ratelimit/migration/index.js'
import { keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { steadyCluster } from '../support/steady-cluster.js'

let cluster: LocalCluster
let port: RedisPort
beforeAll(async () => {
  cluster = await steadyCluster()
  port = await connect({ ...cluster.connectOptions, namespace: 'faults' })
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})

const opened: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((close) => close()))
})

const DEADLINE_MS = 100
/** What a shared machine may add to a deadline. */
const SLACK_MS = 400

/** An id whose key of that pattern and name is on the first node. */
function idThere(pattern: string, name: string): string {
  const isThere = (id: string) => {
    const slot = slotOf(keyOf({ namespace: port.namespace, pattern, name }, id))
    return port.topology().ownerOf(slot)?.port === cluster.nodes[0]?.port
  }
  let id = randomUUID()
  while (!isThere(id)) id = randomUUID()
  return id
}

async function hung(act: () => Promise<void>): Promise<void> {
  await cluster.pause(0)
  try {
    await act()
  } finally {
    await cluster.resume(0)
  }
}

async function timed<R>(act: () => Promise<R>): Promise<{ readonly result: R; readonly ms: number }> {
  const from = performance.now()
  const result = await act()
  return { result, ms: performance.now() - from }
}

const limiterOf = (name: string, whenUnavailable: 'allow' | 'deny') =>
  new RateLimiter<'requests', string>(port, {
    name,
    tiers: { requests: tokenBucket({ capacity: 5, refillPerSecond: 0.001 }) },
    whenUnavailable,
    deadlineMs: DEADLINE_MS,
  })

describe('while a primary hangs', () => {
  it.each([
    ['deny', 503, '2'],
    ['allow', 200, null],
  ] as const)(
    'a server that is told to %s answers %s, in time',
    async (whenUnavailable, status, retryAfter) => {
      const id = idThere('ratelimit', whenUnavailable)
      const limit = httpLimit(limiterOf(whenUnavailable, whenUnavailable), {
        key: () => id,
        refund: 'successful',
        unavailableRetryAfterMs: 2000,
      })
      const server = createServer((request, response) => {
        void limit(request, response).then((goesOn) => goesOn && response.end('hello'))
      }).listen(0, '127.0.0.1')
      opened.push(() => new Promise((done) => server.close(done)))
      await new Promise((done) => server.once('listening', done))
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
      const get = async () => await fetch(url, { headers: { connection: 'close' } })
      expect((await get()).status).toBe(200)
      await hung(async () => {
        const { result, ms } = await timed(get)
        expect([result.status, result.headers.get('retry-after')]).toEqual([status, retryAfter])
        expect(result.headers.get('ratelimit')).toBeNull()
        expect(result.headers.get('ratelimit-policy')).toBe('"requests";q=5;w=5000')
        expect(ms).toBeLessThan(DEADLINE_MS + SLACK_MS)
      })
      await expect
        .poll(async () => (await get()).headers.get('ratelimit'), { timeout: 10_000 })
        .not.toBeNull()
    },
  )

  it.each([
    [false, 500],
    [true, 200],
  ])(
    'a store fails in time, and with passOnStoreError %s its package answers %s',
    async (passOnStoreError, status) => {
      const id = idThere('hits', 'store')
      const store = new ExpressRateLimitStore(port, { name: 'store', deadlineMs: DEADLINE_MS })
      const quiet: Partial<Options> = { logger: { error: () => {}, warn: () => {} }, validate: false }
      const app = express()
      app.use(
        rateLimit({
          store,
          windowMs: 60_000,
          limit: 100,
          keyGenerator: () => id,
          passOnStoreError,
          ...quiet,
        }),
      )
      app.get('/', (_, response) => void response.send('hello'))
      app.use((_: Error, __: express.Request, response: express.Response, ___: express.NextFunction) => {
        response.sendStatus(500)
      })
      const server = app.listen(0, '127.0.0.1')
      opened.push(() => new Promise((done) => server.close(done)))
      await new Promise((done) => server.once('listening', done))
      const get = async () =>
        await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, {
          headers: { connection: 'close' },
        })
      expect((await get()).status).toBe(200)
      await hung(async () => {
        const { result, ms } = await timed(get)
        expect(result.status).toBe(status)
        expect(ms).toBeLessThan(DEADLINE_MS + SLACK_MS)
      })
      await expect
        .poll(async () => (await get()).headers.get('x-ratelimit-limit'), { timeout: 10_000 })
        .toBe('100')
    },
  )

  it('a shadow on it delays no answer', async () => {
    const id = idThere('ratelimit', 'shadow')
    const both = new DualRun({
      answering: flexibleSide(new RateLimiterMemory({ points: 1000, duration: 3600 })),
      shadow: limiterSide(limiterOf('shadow', 'deny')),
    })
    await both.consume(id)
    await expect.poll(() => both.counts().agreed).toBe(1)
    await hung(async () => {
      const { ms } = await timed(async () => {
        for (let i = 0; i < 100; i++) await both.consume(id)
      })
      // A hundred that waited would take a hundred deadlines.
      expect(ms).toBeLessThan(SLACK_MS)
      await expect.poll(() => both.counts().incomparable, { timeout: 5000 }).toBe(100)
    })
    const compared = async () => {
      await both.consume(id)
      const { agreed, shadowRefuses } = both.counts()
      return agreed + shadowRefuses
    }
    // What it was sent while it hung it may have counted when it did no longer.
    await expect.poll(compared, { timeout: 10_000 }).toBeGreaterThan(1)
  })
})

it('a store counts on, each hit once, while the slot of its counters moves', async () => {
  const store = new ExpressRateLimitStore(port, { name: 'moving', deadlineMs: 5000 })
  store.init({ windowMs: 600_000 })
  const id = idThere('hits', 'moving')
  const slot = slotOf(keyOf({ namespace: port.namespace, pattern: 'hits', name: 'moving' }, id))
  const counted = new Set<number>()
  const moved = new AbortController()
  const counting = (async () => {
    while (!moved.signal.aborted) counted.add((await store.increment(id)).totalHits)
  })()
  const to = port.topology().nodes.find((node) => node.port === cluster.nodes[1]?.port)
  expect.assert(to !== undefined)
  try {
    await moveSlots({ nodes: cluster.connectOptions.nodes, to: to.id, slots: [[slot, slot]] })
  } finally {
    moved.abort()
  }
  await counting
  const { totalHits } = await store.increment(id)
  expect(counted.size).toBeGreaterThan(1)
  expect(counted.size).toBe(totalHits - 1)
  await expect.poll(() => port.topology().ownerOf(slot)?.port).toBe(cluster.nodes[1]?.port)
})
