import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { OutcomeUnknownError, RedisUnavailableError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import type { RedisPort } from '../../src/redis/index.js'
import { type Durability, WriteBehind } from '../../src/writebehind/index.js'
import { rounds } from '../support/budget.js'

let folder: string
let cluster: LocalCluster
let port: RedisPort
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slotwise-fsync-'))
  // Nobody takes the place of a primary: it comes back with what its disk has.
  cluster = await startLocalCluster({
    dir: join(folder, 'data'),
    replicasPerPrimary: 0,
    nodeTimeoutMs: 15_000,
    config: { appendfsync: 'always' },
  })
  port = await connect({ ...cluster.connectOptions, commandTimeoutMs: 1000 })
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
  await rm(folder, { recursive: true, force: true })
}, 60_000)

/** Rows are written until a primary was killed and is back; those that were acknowledged, and what was reached of each. */
async function throughKill(
  durability: Durability,
  name: string,
  index: number,
  meanwhile = async (): Promise<void> => {},
) {
  await using writes = new WriteBehind<number>(port, {
    name,
    partitions: 6,
    durability,
    highWater: 1_000_000,
    writeBatch: () => Promise.reject(new Error('nobody flushes')),
  })
  await writes.ready()
  await meanwhile()
  const acked = new Map<string, Durability | 'database'>()
  let isOver = false
  let unknown = 0
  const work = async (worker: number) => {
    for (let n = 0; !isOver; n++) {
      const id = `${worker}-${n}`
      try {
        const answer = await writes.write(id, n, { deadlineMs: 500 })
        if (answer.accepted) acked.set(id, answer.durability)
      } catch (error) {
        expect(error instanceof OutcomeUnknownError || error instanceof RedisUnavailableError).toBe(true)
        unknown++
      }
    }
  }
  const workers = Array.from({ length: 8 }, (_, worker) => work(worker))
  await expect.poll(() => acked.size, { timeout: 10_000 }).toBeGreaterThan(200)
  await cluster.kill(index)
  await sleep(50)
  await cluster.restart(index)
  await cluster.whenHealthy()
  const before = acked.size
  await expect.poll(() => acked.size, { timeout: 10_000 }).toBeGreaterThan(before + 50)
  isOver = true
  await Promise.all(workers)
  const lost: string[] = []
  for (const id of acked.keys()) if ((await writes.read(id)) === undefined) lost.push(id)
  console.log(
    `${name}: ${acked.size} acknowledged, ${unknown} unknown, ${lost.length} lost over the end of a primary`,
  )
  return { acked, lost }
}

it("with 'fsync', a primary that is killed comes back with all that was acknowledged", async () => {
  for (let round = 0; round < rounds(2, 20); round++) {
    const { acked, lost } = await throughKill('fsync', `fsync-${round}`, round % 3)
    expect(new Set(acked.values())).toEqual(new Set(['fsync']))
    expect(lost).toEqual([])
  }
}, 600_000)

it.each(['memory', 'fsync'] as const)(
  "asked for '%s', of a primary that keeps no log any more what was acknowledged is lost, and was not said to be on its disk",
  async (durability) => {
    const index = 2
    const { acked, lost } = await throughKill(durability, `naive-${durability}`, index, async () => {
      const { id = '' } = cluster.nodes[index] ?? {}
      await port.onNode(id, ['CONFIG', 'SET', 'appendonly', 'no'])
    })
    expect(lost.length).toBeGreaterThan(0)
    expect(new Set(lost.map((id) => acked.get(id)))).toEqual(new Set(['memory']))
  },
  60_000,
)
