import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { connect } from '../../../src/ioredis/index.js'
import { Locks } from '../../../src/lock/index.js'
import { keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { waitingFor } from '../../support/lock-record.js'
import { portWith } from '../../support/port-with.js'

const processes = ['a', 'b'].map((name) => `listening-${name}-${randomUUID().slice(0, 8)}`)
const subscribed: string[] = []
let ports: readonly RedisPort[]
beforeAll(async () => {
  const nodes = inject('clusterNodes')
  ports = await Promise.all(processes.map((clientName) => connect({ nodes, namespace: 'test', clientName })))
})
afterAll(() => Promise.all(ports.map((port) => port.close())))

const locksOf = (process: number): Locks => {
  const port = ports[process] as RedisPort
  const counting = portWith(port, {
    subscribe: (...args: Parameters<RedisPort['subscribe']>) => {
      subscribed.push(`${process} ${args[0]}`)
      return port.subscribe(...args)
    },
  })
  return new Locks(counting, { name: 'listening', quarantine: false })
}
const keyOfLock = (resource: string) =>
  keyOf({ namespace: 'test', pattern: 'lock', name: 'listening' }, resource)

/** What the server that has the lock knows. */
function server(resource: string) {
  const [port] = ports as [RedisPort]
  const key = keyOfLock(resource)
  const id = port.topology().ownerOf(slotOf(key))?.id ?? ''
  return {
    key,
    waiting: () => waitingFor(port, key),
    hearing: () => port.onNode(id, ['PUBSUB', 'SHARDNUMSUB', key]),
    /** Of each process, how many channels each of its connections for channels hears. */
    connections: async () => {
      const lines = String(await port.onNode(id, ['CLIENT', 'LIST', 'TYPE', 'pubsub'])).split('\n')
      return processes.map((name) =>
        lines.flatMap((line) =>
          line.includes(`name=${name} `) ? [Number(/ ssub=(\d+)/.exec(line)?.[1])] : [],
        ),
      )
    },
  }
}

describe('the waiters of a process', () => {
  it('hear all hand-overs of a lock by one subscription, which ends when nobody waits', async () => {
    const resource = randomUUID()
    const { key, waiting, hearing, connections } = server(resource)
    await using a = locksOf(0)
    await using b = locksOf(1)
    const holder = await a.acquire(resource, { ttlMs: 20_000 })
    expect(await hearing()).toEqual([key, 0])
    const served = Array.from({ length: 12 }, (_, i) =>
      (i % 2 === 0 ? a : b).using(resource, { ttlMs: 5000, waitMs: 20_000 }, async () => i),
    )
    await expect.poll(waiting).toBe(12)
    await expect.poll(hearing).toEqual([key, 2])
    expect(await connections()).toEqual([[1], [1]])
    expect(subscribed.filter((one) => one.endsWith(key)).toSorted()).toEqual([`0 ${key}`, `1 ${key}`])
    await holder.release()
    expect(await Promise.all(served)).toHaveLength(12)
    // Heard for a while longer: they come back.
    await expect.poll(hearing, { timeout: 5000 }).toEqual([key, 0])
    expect(subscribed.filter((one) => one.endsWith(key))).toHaveLength(2)
  })

  it('hear nothing any more once their locks are closed', async () => {
    const resource = randomUUID()
    const { key, waiting, hearing } = server(resource)
    const [closing, other] = [locksOf(0), locksOf(1)]
    const holder = await other.acquire(resource, { ttlMs: 20_000 })
    const refused = Array.from({ length: 4 }, () =>
      closing.acquire(resource, { ttlMs: 5000, waitMs: 20_000 }).catch((error: unknown) => error),
    )
    await expect.poll(waiting).toBe(4)
    await expect.poll(hearing).toEqual([key, 1])
    await closing.close()
    // At once, and not when it is heard no longer anyway.
    expect(await hearing()).toEqual([key, 0])
    for (const error of await Promise.all(refused)) expect(error).toMatchObject({ code: 'CLOSED' })
    await holder.release()
    await other.close()
  })
})
