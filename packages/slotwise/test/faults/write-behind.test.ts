import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { moveSlots } from '../../src/cluster/index.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type RedisPort, SLOTS, slotOf } from '../../src/redis/index.js'
import { type Durability, postgresWriter, WriteBehind, writeBehindSql } from '../../src/writebehind/index.js'
import { partitionKeys } from '../../src/writebehind/partition-keys.js'
import { rounds } from '../support/budget.js'
import { mortalDatabase } from '../support/postgres.js'
import { Writers } from '../support/write-behind-model.js'
import { audit, wentBack } from '../support/write-behind-table.js'
import {
  LEASE_MS,
  openWriteBehind,
  PARTITIONS,
  type Post,
  type WriteBehindTask,
} from '../support/write-behind-task.js'

const CHILD = fileURLToPath(new URL('../support/write-behind-child.ts', import.meta.url))
const WORKERS = 24

let folder: string
let cluster: LocalCluster
let port: RedisPort
let database: Awaited<ReturnType<typeof mortalDatabase>>
let writes: WriteBehind<Post>
let writers: Writers
const flushers: ChildProcess[] = []
/** How flushers ended that nobody had killed. */
const deaths: unknown[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slotwise-write-behind-'))
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000, dir: join(folder, 'data') })
  port = await connect({ ...cluster.connectOptions, namespace: 'faults', commandTimeoutMs: 500 })
  database = await mortalDatabase()
  await database.pool.query(writeBehindSql())
  await database.pool.query('create table posts (id text primary key, version bigint, views bigint)')
  await audit(database.pool, 'posts', 'version')
  writes = openWriteBehind(port, database.pool)
  writers = new Writers(writes)
  await Promise.all(Array.from({ length: 3 }, (_, at) => flush(at)))
}, 60_000)
afterAll(async () => {
  for (const child of flushers) child.kill('SIGKILL')
  await writes.close()
  await database[Symbol.asyncDispose]()
  await port.close()
  await cluster.stop()
  await rm(folder, { recursive: true, force: true })
}, 60_000)

/** A process that flushes, in the place of another. */
async function flush(at: number): Promise<void> {
  const task: WriteBehindTask = { nodes: cluster.connectOptions.nodes, url: database.url }
  const child = fork(CHILD, [JSON.stringify(task)], {
    execArgv: ['--conditions=slotwise-source', '--import', 'tsx'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  flushers[at] = child
  child.once('exit', (code, signal) => {
    if (signal !== 'SIGKILL') deaths.push(code ?? signal)
  })
  await once(child, 'message')
}

const any = <V>(values: readonly V[]): V => {
  const value = values[Math.floor(Math.random() * values.length)]
  if (value === undefined) throw new Error('there is none')
  return value
}

const primaries = () =>
  port.topology().nodes.flatMap(({ id, role, port: at }) => {
    const index = cluster.nodes.findIndex((node) => node.port === at)
    const slots = slotsOfPartitions.filter((slot) => port.topology().ownerOf(slot)?.id === id)
    return role === 'primary' && slots.length > 0 ? [{ id, index, slots }] : []
  })

const slotsOfPartitions = partitionKeys(
  { namespace: 'faults', pattern: 'writebehind', name: 'posts' },
  PARTITIONS,
).map((key) => slotOf(key))

/** Kills a primary, waits until its replica has taken its place, and brings it back. */
async function killed(primary: ReturnType<typeof primaries>[number], meanwhile: () => Promise<void>) {
  const [slot = 0] = primary.slots
  await cluster.kill(primary.index)
  writers.killedAt = performance.now()
  await meanwhile()
  await expect
    .poll(() => port.topology().ownerOf(slot)?.id, { timeout: 20_000, interval: 20 })
    .not.toBe(primary.id)
  await cluster.restart(primary.index)
  await cluster.whenHealthy()
}

/** The same of one whose replica is behind by what happens meanwhile. */
async function killedAhead(primary: ReturnType<typeof primaries>[number], meanwhile: () => Promise<void>) {
  const replicaAt = () => port.topology().replicasOf(primary.id)[0]?.port
  // After an election before, the port may hear of it later than the cluster is whole.
  await expect.poll(replicaAt, { timeout: 10_000 }).toBeDefined()
  const behind = cluster.nodes.findIndex((node) => node.port === replicaAt())
  await cluster.pause(behind)
  // What is sent already would still be read.
  await port.onNode(primary.id, ['CLIENT', 'KILL', 'TYPE', 'replica'])
  await sleep(300)
  await meanwhile()
  await killed(primary, () => cluster.resume(behind))
}

const FAULTS: Readonly<Record<string, () => Promise<void>>> = {
  'a flusher was killed': async () => {
    const at = any([...flushers.keys()])
    flushers[at]?.kill('SIGKILL')
    await flush(at)
  },
  'a flusher stood still for longer than its lease': async () => {
    const child = any(flushers)
    child.kill('SIGSTOP')
    await sleep(1.5 * LEASE_MS)
    child.kill('SIGCONT')
  },
  'connections to Postgres were ended': async () => {
    // bound: 20
    for (let n = 0; n < 20; n++) {
      await database.ask(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() order by random() limit 3`,
      )
      await sleep(20)
    }
  },
  'Postgres was killed': () => database.killServer(),
  'a process of Postgres was killed, and all its connections with it': () => database.killBackend(),
  'Postgres stood still for longer than a lease': () => database.pauseServer(1.5 * LEASE_MS),
  'partitions moved': async () => {
    const from = any(primaries())
    // A former primary may still be taken for one by its role, but has no slots.
    const owners = new Set(Array.from({ length: SLOTS }, (_, slot) => port.topology().ownerOf(slot)?.id))
    const to = any(port.topology().nodes.filter(({ id }) => owners.has(id) && id !== from.id))
    const slots = from.slots.slice(0, 2).map((slot) => [slot, slot] as const)
    await moveSlots({ nodes: cluster.connectOptions.nodes, to: to.id, slots })
  },
  'a primary was killed': () => killed(any(primaries()), async () => {}),
  // Lines were taken back, and their numbers given out again; the database has none of them, since flushers wait for a replica.
  'a primary was killed while its replica was behind': () => killedAhead(any(primaries()), async () => {}),
}

it('the table holds what was acknowledged, whatever is killed, stands still, ends or moves meanwhile', {
  timeout: rounds(60_000, 3_600_000),
}, async () => {
  const count = rounds(1, 20)
  const least = rounds(2000, 50_000)
  const happened: Record<string, number> = {}
  for (let round = 1; round <= count; round++) {
    const until = writers.acknowledged + least
    writers.begin(WORKERS, 20, 6, rounds(3, 0))
    const names = Object.keys(FAULTS)
    while (names.length > 0 || writers.acknowledged < until) {
      const [name = any(Object.keys(FAULTS))] = names.splice(Math.floor(Math.random() * names.length), 1)
      const before = writers.unknown
      await FAULTS[name]?.()
      // Of those that were under way.
      expect({ name, unknown: Math.max(writers.unknown - before, WORKERS) }).toEqual({
        name,
        unknown: WORKERS,
      })
      happened[name] = (happened[name] ?? 0) + 1
    }
    await writers.stop()
    const from = performance.now()
    await writes.drain()
    const drainedMs = performance.now() - from
    const sql = 'select id, version::int, views::int from posts'
    const rows = await database.ask<Post & { id: string }>(sql)
    const table = new Map(rows.map(({ id, ...post }) => [id, post]))
    const { acknowledged, unreached, unknown, retries, failures } = writers
    const backs = await wentBack(database.pool, 'posts')
    console.log(
      [
        `round ${round}: ${acknowledged} acknowledged, ${unreached} of them by no replica, ${unknown} unknown, ${retries} counted again, ${backs.length} taken back by a failover, drained in ${drainedMs.toFixed(0)} ms`,
        ...(round === count
          ? [
              Object.entries(happened)
                .map(([name, times]) => `${times} × ${name}`)
                .join(', '),
            ]
          : []),
      ].join('\n'),
    )
    expect(failures).toEqual([])
    expect(deaths).toEqual([])
    expect(writers.lost(table)).toEqual([])
    expect(writers.miscounted(table)).toEqual([])
    expect(writers.reordered(backs)).toEqual([])
  }
})

it('numbers of what was written ahead of every replica are given out again, and no write under them is lost', {
  timeout: 120_000,
}, async () => {
  const { pool } = database
  await pool.query('create table ahead (id text primary key, n int)')
  const made = (durability: Durability) =>
    new WriteBehind<{ n: number }>(port, {
      name: 'ahead',
      partitions: 1,
      flushIntervalMs: 20,
      leaseMs: LEASE_MS,
      durability,
      writeBatch: postgresWriter<{ n: number }>(pool, {
        table: 'ahead',
        name: 'ahead',
        columns: ({ value }) => value,
      }),
    })
  // The flusher waits for no replica, so that the database has what none of them has.
  await using flushing = made('memory')
  await using careful = made({ replicas: 1 })
  flushing.start()
  await flushing.write('before', { n: 0 })
  await flushing.drain()

  const [key] = partitionKeys({ namespace: 'faults', pattern: 'writebehind', name: 'ahead' }, 1)
  if (key === undefined) throw new Error('there is no partition')
  const primary = primaries().find(({ id }) => id === port.topology().ownerOf(slotOf(key))?.id)
  if (primary === undefined) throw new Error('nobody has the partition')
  const five = [1, 2, 3, 4, 5]
  const rows = () => database.ask<{ id: string; n: number }>('select id, n from ahead order by id')
  await killedAhead(primary, async () => {
    for (const n of five) await flushing.write(`lost ${n}`, { n })
    await flushing.drain()
    expect(await rows()).toHaveLength(6)
    // Nobody looks before all five numbers are there again.
    await flushing.close()
  })

  for (const n of five) {
    // Once the former primary follows again, as its replica.
    const write = () => careful.write(`kept ${n}`, { n }, { deadlineMs: 20_000 })
    await expect.poll(write, { timeout: 20_000 }).toEqual({ accepted: true, durability: { replicas: 1 } })
  }
  await using another = made('memory')
  another.start()
  await another.drain()
  const kept = (await rows()).filter(({ id }) => id.startsWith('kept'))
  expect(kept).toEqual(five.map((n) => ({ id: `kept ${n}`, n })))
})
