import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { failover, moveSlots } from '../../src/cluster/index.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { Locks, renewMarkers, settleMarkers } from '../../src/lock/index.js'
import { type ClusterNode, keyOf, type RedisPort, SLOTS, slotOf } from '../../src/redis/index.js'
import { checkLockHistory, LockRecorder } from '../../src/testing/faults/index.js'
import { FencedResource } from '../cluster/lock/fenced.js'
import { rounds } from '../support/budget.js'
import { upFor } from '../support/up-for.js'

const TTL_MS = 1000
const NODE_TIMEOUT_MS = 1000
const PROCESSES = 3
const CLIENTS = 24
const RESOURCES = Array.from({ length: 12 }, (_, i) => `r${i}`)

let cluster: LocalCluster
let port: RedisPort
let ports: readonly RedisPort[]
beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: NODE_TIMEOUT_MS, networkFaults: true })
  const options = { ...cluster.connectOptions, commandTimeoutMs: 500 }
  ports = await Promise.all(Array.from({ length: PROCESSES }, () => connect(options)))
  ;[port] = ports as [RedisPort]
  await upFor(port, TTL_MS / 1000)
}, 60_000)
afterAll(async () => {
  await Promise.all(ports.map((one) => one.close()))
  await cluster.stop()
})

const any = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T
const slotFor = (resource: string) =>
  slotOf(keyOf({ namespace: '', pattern: 'lock', name: 'storm' }, resource))
const primary = () => port.topology().ownerOf(slotFor(any(RESOURCES))) as ClusterNode
const indexOf = ({ port: at }: ClusterNode) => cluster.nodes.findIndex((node) => node.port === at)
const renewing = {
  beforeMove: async (slots: readonly number[], from: ClusterPlace) =>
    void (await settleMarkers(port, slots, from)),
  afterLosslessMove: async (slots: readonly number[], to: ClusterPlace, from: ClusterPlace) =>
    void (await renewMarkers(port, slots, from, { to }).catch(() => {})),
}
type ClusterPlace = Parameters<typeof renewMarkers>[2]

/** Each ends when the cluster is whole again. */
const FAULTS: Readonly<Record<string, () => Promise<void>>> = {
  'a primary was killed': async () => {
    const index = indexOf(primary())
    await cluster.kill(index)
    await sleep(3 * NODE_TIMEOUT_MS)
    await cluster.restart(index)
  },
  'a primary was killed while its replica was behind': async () => {
    const node = primary()
    const [replica] = port.topology().replicasOf(node.id)
    if (replica === undefined) return
    await cluster.cutReplication(indexOf(replica))
    await sleep(200)
    await cluster.kill(indexOf(node))
    await sleep(3 * NODE_TIMEOUT_MS)
    await cluster.heal()
    await cluster.restart(indexOf(node))
  },
  'a primary stood still, and woke when it had been replaced': async () => {
    const index = indexOf(primary())
    await cluster.pause(index)
    await sleep(4 * NODE_TIMEOUT_MS)
    await cluster.resume(index)
  },
  'a primary stood still for longer than a lock lasts': async () => {
    const index = indexOf(primary())
    await cluster.pause(index)
    await sleep(0.8 * NODE_TIMEOUT_MS)
    await cluster.resume(index)
  },
  'a primary came back empty': async () => {
    await cluster.restartEmpty(indexOf(primary()))
  },
  'a replica took over as planned': async () => {
    const { host, port: at } = primary()
    const nodes = cluster.connectOptions.nodes
    await failover({ nodes, from: `${host}:${at}`, ...renewing }).catch(() => {})
  },
  'a slot moved': async () => {
    const from = primary()
    const owners = new Set(Array.from({ length: SLOTS }, (_, slot) => port.topology().ownerOf(slot)?.id))
    const to = any(port.topology().nodes.filter(({ id }) => owners.has(id) && id !== from.id))
    const slot = slotFor(any(RESOURCES))
    const nodes = cluster.connectOptions.nodes
    await moveSlots({ nodes, to: to.id, slots: [[slot, slot]], ...renewing }).catch(() => {})
  },
}

it('no two holders’ accepted writes are mixed, and no token goes back, whatever happens to the servers', {
  timeout: rounds(120_000, 2_400_000),
}, async () => {
  const wanted = rounds(2000, 20_000)
  const recorder = new LockRecorder()
  const resources = new Map(RESOURCES.map((name) => [name, new FencedResource()]))
  let acquired = 0
  let isOver = false

  const client = async (name: string, locks: Locks) => {
    while (!isOver) {
      const resource = any(RESOURCES)
      const hold = recorder.acquiring(resource, name)
      const ttlMs = TTL_MS - Math.floor(Math.random() * 700)
      const lock = await locks.acquire(resource, { ttlMs, waitMs: 2000 }).catch(() => undefined)
      if (lock === undefined) {
        hold.refused()
        // As a caller does that is told that nobody could say.
        await sleep(20)
        continue
      }
      acquired++
      hold.acquired(lock)
      const fenced = resources.get(resource) as FencedResource
      const write = () => hold.wrote(fenced.write(lock.token, name))
      write()
      if (Math.random() < 0.2) {
        const extended = await lock.extend().then(
          () => true,
          () => false,
        )
        if (extended) hold.extended(lock)
      }
      // Some stall for longer than they hold it, and write on without a look.
      await sleep(Math.random() < 0.02 ? 2 * TTL_MS : 5 * Math.random())
      write()
      if (lock.remainingMs() > 0) hold.releasing()
      else hold.lost()
      await lock.release()
    }
  }

  const clients = Array.from({ length: CLIENTS }, (_, i) => {
    const locks = new Locks(ports[i % PROCESSES] as RedisPort, { name: 'storm', maxTtlMs: TTL_MS })
    return client(`client ${i}`, locks)
  })
  const happened = new Map<string, number>()
  while (acquired < wanted) {
    const name = any(Object.keys(FAULTS))
    await FAULTS[name]?.()
    happened.set(name, (happened.get(name) ?? 0) + 1)
    await cluster.whenHealthy()
    await sleep(2 * TTL_MS)
  }
  isOver = true
  await Promise.all(clients)
  const verdict = checkLockHistory(recorder.events)
  const told = [...happened].map(([name, count]) => `${count} × ${name}`).join(', ')
  console.log(
    `${verdict.grants} locks given, ${verdict.writes} writes accepted, ${[...resources.values()].reduce((sum, { refused }) => sum + refused, 0)} refused; ${told}`,
  )
  expect(verdict.violations).toEqual([])
  expect(verdict.grants).toBeGreaterThanOrEqual(wanted)
})
