import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { Cache } from '../../src/cache/index.js'
import type { LocalCluster } from '../../src/local/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { isLost, marking } from '../support/cache-marks.js'
import { type CacheStage, openCacheStage } from '../support/cache-stage.js'
import { SOAK, type Tally } from '../support/cache-task.js'
import { promotion } from '../support/port-traffic.js'
import { sharedNow, type Versions } from '../support/versions.js'

const ROWS = 100

let stage: CacheStage
let cluster: LocalCluster
let port: RedisPort
let versions: Versions

beforeAll(async () => {
  stage = await openCacheStage(ROWS, SOAK.namespace)
  ;({ cluster, port, versions } = stage)
}, 60_000)
afterAll(() => stage.close())
beforeEach(() => cluster.whenHealthy())

const entryOf = (row: number): Key => keyOf({ ...SOAK, pattern: 'cache' }, String(row))

/** Rows of one primary, and which of the servers that is, and its replica. */
function rowsOfOnePrimary() {
  const owner = port.topology().ownerOf(slotOf(entryOf(0)))
  const rows = Array.from({ length: ROWS }, (_, row) => row).filter(
    (row) => port.topology().ownerOf(slotOf(entryOf(row)))?.id === owner?.id,
  )
  const [replica] = port.topology().replicasOf(owner?.id ?? '')
  const indexOf = (at: number | undefined) => cluster.nodes.findIndex((node) => node.port === at)
  return { rows, id: owner?.id ?? '', primary: indexOf(owner?.port), replica: indexOf(replica?.port) }
}

it('the server that took over shows which of two acknowledged invalidations was lost', async () => {
  const cache = new Cache<number>(
    marking(port, (row) => versions.version(row)),
    { name: SOAK.name, ttlMs: 60_000, budgetMs: 2000 },
  )
  const { rows, id, primary, replica } = rowsOfOnePrimary()
  const [kept = 0, gone = 0] = rows
  const read = (row: number) => cache.getOrLoad(String(row), () => versions.version(row))
  const change = async (row: number) => {
    const version = versions.commit(row)
    await cache.invalidate(String(row))
    versions.promise(row, version)
  }
  for (const row of [kept, gone]) {
    versions.commit(row)
    await read(row)
    await expect.poll(() => cache.get(String(row))).toBe(1)
  }
  await change(kept)
  const key = entryOf(kept)
  const behind = await port.writeThenWait({ key, command: ['HLEN', key] }, { replicas: 1, deadlineMs: 5000 })
  expect(behind.acknowledgedBy).toBe(1)
  await cluster.pause(replica)
  // What is sent already would still be read.
  await port.onNode(id, ['CLIENT', 'KILL', 'TYPE', 'replica'])
  await change(gone)
  await cluster.kill(primary)
  await cluster.resume(replica)
  await promotion(cluster, port, primary)

  const promised = (row: number) => {
    const { floor, at } = versions.promised(row)
    return { row, floor, promisedAt: at }
  }
  expect([await read(kept), await isLost(port, promised(kept))]).toEqual([2, false])
  // What the page of the cache says of a failover, and the reason why it may.
  expect([await read(gone), await isLost(port, promised(gone))]).toEqual([1, true])
  await cache.close()
  await cluster.restart(primary)
})

it('a process that stood still as long as a primary that was replaced is not told what that one still holds', async () => {
  await stage.reset()
  const tallies: Tally[] = []
  const start = (own: number) =>
    stage.start({ own, processes: 2, version: 'ours' }, (tally) => {
      tallies[own] = tally
    })
  const [stalled, writer] = [start(0), start(1)]
  await expect.poll(() => tallies.filter(({ reads }) => reads > 500).length, { timeout: 30_000 }).toBe(2)

  const { rows, primary } = rowsOfOnePrimary()
  const plain = new Redis(cluster.nodes[primary]?.port ?? 0, '127.0.0.1')
  try {
    await plain.ping()
    // It stops first, so that it has nothing to hold against the one that hangs.
    stalled.child.kill('SIGSTOP')
    await cluster.pause(primary)
    const plainly = Promise.all(rows.map((row) => plain.hgetBuffer(entryOf(row), 'v')))
    await promotion(cluster, port, primary)
    const tookOverAt = sharedNow()
    const theirs = rows.filter((row) => row % 2 === 1)
    await expect
      .poll(() => theirs.filter((row) => versions.promised(row).at > tookOverAt).length, { timeout: 20_000 })
      .toBe(theirs.length)
    const readBefore = tallies[0]?.reads ?? 0
    stalled.child.kill('SIGCONT')
    // Reads that begin now are on their way to the one that hangs as the others say who owns what; it answers them as soon
    // as it goes on.
    await sleep(100)
    await cluster.resume(primary)
    // Without which nothing would be shown here: the old one does answer with what it held.
    const held = (await plainly).map((bytes) => bytes && Number(JSON.parse(bytes.subarray(29).toString())))
    expect(rows.filter((row, i) => (held[i] ?? Infinity) < versions.promised(row).floor)).not.toEqual([])
    await expect.poll(() => tallies[0]?.reads ?? 0, { timeout: 20_000 }).toBeGreaterThan(readBefore + 2000)
    versions.isOver = true
    await Promise.all([stalled.ended, writer.ended])
    expect(tallies.flatMap(({ less }) => less)).toEqual([])
    expect(tallies.map(({ failures }) => failures)).toEqual([0, 0])
  } finally {
    stalled.child.kill('SIGCONT')
    await cluster.resume(primary)
    plain.disconnect()
  }
})
