import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { LocalOptions } from '../../src/cache/index.js'
import { failover, moveSlots } from '../../src/cluster/index.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import type { RedisPort } from '../../src/redis/index.js'
import { proxied } from '../../src/testing/faults/index.js'
import { rounds } from '../support/budget.js'
import { listening } from '../support/listening.js'
import { promotion } from '../support/port-traffic.js'
import { measuring, type Seen, type Staleness } from '../support/staleness.js'

/** Shorter than the node timeout, so that a primary that is replaced would be believed too long. */
const MAX_STALENESS_MS = 300
const NODE_TIMEOUT_MS = 1000
const LOCAL = { maxEntries: 1000, maxStalenessMs: MAX_STALENESS_MS }

let cluster: LocalCluster
const ports: RedisPort[] = []
let all: Pick<Seen, 'reads' | 'localHits' | 'changes' | 'worstMs'> = {
  reads: 0,
  localHits: 0,
  changes: 0,
  worstMs: 0,
}

beforeAll(async () => {
  const config = { 'cluster-require-full-coverage': 'no' }
  cluster = await startLocalCluster({
    nodeTimeoutMs: NODE_TIMEOUT_MS,
    networkFaults: true,
    // So that one that was promoted has a replica to have each invalidation, and something is promised of its rows.
    replicasPerPrimary: 2,
    config,
  })
}, 60_000)
afterAll(async () => {
  console.log(
    `${all.localHits} local hits of ${all.reads} reads beside ${all.changes} changes: at most ${all.worstMs.toFixed(0)} ms behind`,
  )
  await cluster.stop()
})
beforeEach(async () => {
  await cluster.heal()
  await cluster.whenHealthy()
}, 30_000)
afterEach(async () => {
  for (const port of ports.splice(0)) await port.close()
})

async function open(): Promise<RedisPort> {
  const port = await connect({ ...cluster.connectOptions, commandTimeoutMs: 500, namespace: 'level' })
  ports.push(port)
  return port
}

/** What reads and writes while `fault` happens, and for as long as it takes the level to be of use again. */
async function behind(
  fault: (writer: RedisPort) => Promise<void>,
  through: (reader: RedisPort) => RedisPort = (one) => one,
  reader?: RedisPort,
  local: LocalOptions = LOCAL,
  more: Pick<Staleness, 'coherence' | 'byTags'> = {},
): Promise<Seen> {
  reader ??= await open()
  const writer = await open()
  const rows = 200
  const measured = measuring({ readers: [through(reader)], writer, local, rows, replicas: 1, ...more })
  const hits = () => measured.seen().localHits
  try {
    await expect.poll(hits, { timeout: 10_000 }).toBeGreaterThan(rounds(2000, 50_000))
    await fault(writer)
    const before = hits()
    await expect.poll(hits, { timeout: 30_000 }).toBeGreaterThan(before + rounds(5000, 120_000))
  } catch (error) {
    // It would go on beside every test that follows.
    await measured.stop()
    throw error
  }
  const seen = await measured.stop()
  // What shows that something is needed shows nothing of what is there.
  if (seen.worstMs > MAX_STALENESS_MS + seen.stoodStillMs) return seen
  all = {
    reads: all.reads + seen.reads,
    localHits: all.localHits + seen.localHits,
    changes: all.changes + seen.changes,
    worstMs: Math.max(all.worstMs, seen.worstMs),
  }
  return seen
}

/** Behind by no more than was allowed, and what this process could not have done earlier. */
function expectFresh({ worstMs, stoodStillMs }: Seen): void {
  expect(worstMs).toBeLessThan(MAX_STALENESS_MS + stoodStillMs + 5)
}

/** Who holds the most of what is read. */
function busiest(port: RedisPort): number {
  const owner = port.topology().ownerOf(0)
  const index = cluster.nodes.findIndex((node) => node.port === owner?.port)
  expect(index).toBeGreaterThanOrEqual(0)
  return index
}

describe('what a process holds is never more behind than was allowed', () => {
  it('while nothing happens, and it is of use', async () => {
    const seen = await behind(() => sleep(300))
    expectFresh(seen)
    expect(seen.localHits / seen.reads).toBeGreaterThan(0.5)
  })

  it('when the connections that tell of changes are killed, again and again', async () => {
    expectFresh(
      await behind(async (writer) => {
        for (let i = 0; i < 10; i++) {
          for (const { node, result } of await writer.onEachPrimary(['CLIENT', 'LIST'])) {
            const lines = result.status === 'fulfilled' ? String(result.value).split('\n') : []
            // B is for broadcasting.
            const telling = lines.filter((line) => /\bflags=\S*B/.test(line))
            for (const line of telling) {
              const id = /\bid=(\d+)/.exec(line)?.[1] ?? ''
              await writer.onNode(node.id, ['CLIENT', 'KILL', 'ID', id])
            }
          }
          await sleep(60)
        }
      }),
    )
  })

  it('when one of those connections goes on being open and says nothing any more', async () => {
    let isHalfOpen = false
    expectFresh(
      await behind(
        async () => {
          isHalfOpen = true
          await sleep(1500)
          isHalfOpen = false
        },
        (reader) => listening(reader, { isHalfOpen: () => isHalfOpen }),
      ),
    )
  })

  it('when a primary is paused, replaced and wakes up', async () => {
    expectFresh(await behind(replaced))
  })

  it('the same, where caches tell each other in logs', async () => {
    expectFresh(await behind(replaced, undefined, undefined, LOCAL, { coherence: 'log' }))
  })

  it.each(['tracking', 'log'] as const)(
    'the same, where a tag above is changed in the place of the entry: %s',
    async (coherence) => {
      expectFresh(await behind(replaced, undefined, undefined, LOCAL, { coherence, byTags: true }))
    },
  )

  it('when a primary hands over to its replica', async () => {
    expectFresh(
      await behind(async (writer) => {
        const owner = writer.topology().ownerOf(0)
        await failover({ ...cluster.connectOptions, from: owner?.id ?? '' })
      }),
    )
  })

  it('when hot keys alone are held and reads are shared, and a primary is replaced', async () => {
    const seen = await behind(replaced, undefined, undefined, { ...LOCAL, holds: 'hot', maxEntries: 60 })
    expectFresh(seen)
    expect(seen.sharedReads).toBeGreaterThan(0)
  })

  it('when slots move', async () => {
    expectFresh(
      await behind(async (writer) => {
        const [from, to] = writer.topology().nodes.filter(({ role }) => role === 'primary')
        expect.assert(from !== undefined && to !== undefined)
        await moveSlots({ ...cluster.connectOptions, from: [from.id], to: to.id, slots: 500 })
        await moveSlots({ ...cluster.connectOptions, from: [to.id], to: from.id, slots: 500 })
      }),
    )
  })

  it('when a primary is cut off from the others, and clients still reach it', async () => {
    expectFresh(await behind(cutOff))
  })

  it('when all that is there is removed', async () => {
    expectFresh(
      await behind(async (writer) => {
        const [first] = writer.topology().nodes.filter(({ role }) => role === 'primary')
        await writer.onNode(first?.id ?? '', ['FLUSHDB'])
        await sleep(100)
        await writer.onEachPrimary(['FLUSHALL'])
      }),
    )
  })

  it('when this process stands still', async () => {
    expectFresh(
      await behind(async () => {
        for (const ms of [50, MAX_STALENESS_MS, 1500]) {
          const until = performance.now() + ms
          while (performance.now() < until);
          await sleep(50)
        }
      }),
    )
  })
})

describe('when a primary is cut off from the others together with a client', () => {
  /** What the client reads and holds while it is. */
  async function together(through?: (reader: RedisPort) => RedisPort): Promise<Seen> {
    await using apart = await proxied(cluster.connectOptions)
    const reader = await connect({ ...apart.connectOptions, commandTimeoutMs: 500, namespace: 'level' })
    ports.push(reader)
    return await behind(
      async (writer) => {
        const index = busiest(writer)
        const others = cluster.nodes.map((_, i) => i).filter((i) => i !== index)
        await cluster.partition([[index], others])
        for (const i of others) apart.proxies[i]?.hold()
        await promotion(cluster, writer, index)
        await sleep(1500)
        await cluster.heal()
        await Promise.all(apart.proxies.map((proxy) => proxy.heal()))
        await cluster.whenHealthy()
      },
      through,
      reader,
    )
  }

  it('the client is not behind either', async () => {
    expectFresh(await together())
  })

  it('without the read of a key, the primary would vouch for ever', async () => {
    const { worstMs } = await together((reader) => listening(reader, { readsNothing: true }))
    expect(worstMs).toBeGreaterThan(2 * MAX_STALENESS_MS)
  })
})

async function replaced(writer: RedisPort): Promise<void> {
  const index = busiest(writer)
  await cluster.pause(index)
  await promotion(cluster, writer, index)
  await sleep(500)
  await cluster.resume(index)
  await cluster.whenHealthy()
}

async function cutOff(writer: RedisPort): Promise<void> {
  const index = busiest(writer)
  const others = cluster.nodes.map((_, i) => i).filter((i) => i !== index)
  await cluster.partition([[index], others])
  await promotion(cluster, writer, index)
  await sleep(1500)
  await cluster.heal()
  await cluster.whenHealthy()
}
