import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { Locks } from '../../src/lock/index.js'
import { RateLimiter, tokenBucket } from '../../src/ratelimit/index.js'
import { type ClusterNode, type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'

let cluster: LocalCluster
let port: RedisPort

beforeAll(async () => {
  cluster = await startLocalCluster({ replicasPerPrimary: 0 })
  port = await connect({ ...cluster.connectOptions })
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})

/** Three names whose keys share a slot. */
function namesOfOneSlot(keyFor: (name: string) => Key): readonly [string, string, string] {
  const bySlot = new Map<number, string[]>()
  for (let i = 0; ; i++) {
    const slot = slotOf(keyFor(`n${i}`))
    const names = bySlot.get(slot) ?? []
    names.push(`n${i}`)
    bySlot.set(slot, names)
    const [first, second, third] = names
    if (first !== undefined && second !== undefined && third !== undefined) return [first, second, third]
  }
}

/** Moves a slot as far as one of its keys, does what is to be done, and moves the rest. */
async function halfMoved(moves: Key, whileMoving: () => Promise<void>): Promise<void> {
  const slot = slotOf(moves)
  const primaries = port.topology().nodes
  const source = port.topology().ownerOf(slot)
  const target = primaries.find(({ id }) => id !== source?.id)
  expect.assert(source !== undefined && target !== undefined)
  await port.onNode(target.id, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id])
  await port.onNode(source.id, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id])
  await migrate(source, target, [moves])
  await whileMoving()
  await migrate(
    source,
    target,
    (await port.onNode(source.id, ['CLUSTER', 'GETKEYSINSLOT', slot, 100])) as string[],
  )
  for (const { id } of [target, source, ...primaries]) {
    await port.onNode(id, ['CLUSTER', 'SETSLOT', slot, 'NODE', target.id])
  }
}

async function migrate(from: ClusterNode, to: ClusterNode, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return
  await port.onNode(from.id, ['MIGRATE', to.host, to.port, '', 0, 1000, 'KEYS', ...keys])
}

it('a limiter goes on in a slot that is half moved, and loses and doubles nothing', async () => {
  const name = 'moving'
  const capacity = 20
  const limiter = new RateLimiter(port, {
    name,
    tiers: { bucket: tokenBucket({ capacity, refillPerSecond: 0.001 }) },
    whenUnavailable: 'deny',
    deadlineMs: 3000,
  })
  const keyFor = (subject: string) =>
    keyOf({ namespace: port.namespace, pattern: 'ratelimit', name }, subject)
  const subjects = namesOfOneSlot(keyFor)
  const [stays, moves] = subjects
  const taken = new Map(subjects.map((subject) => [subject, 0]))
  const take = async (subject: string, times: number) => {
    for (let i = 0; i < times; i++) {
      const decision = await limiter.consume(subject)
      expect(decision).toMatchObject(decision.allowed ? { decidedBy: 'redis' } : { reason: 'limited' })
      if (decision.allowed) taken.set(subject, (taken.get(subject) ?? 0) + 1)
    }
  }
  for (const subject of [stays, moves]) await take(subject, 5)
  await halfMoved(keyFor(moves), async () => {
    for (const subject of subjects) await take(subject, 5)
  })
  for (const subject of subjects) await take(subject, capacity)
  expect([...taken.values()]).toEqual([capacity, capacity, capacity])
  await limiter.close()
})

it('a lock is held, extended, refused to others and released in a slot that is half moved', async () => {
  const name = 'moving'
  const locks = new Locks(port, { name })
  const keyFor = (resource: string) => keyOf({ namespace: port.namespace, pattern: 'lock', name }, resource)
  const [stays, moves, absent] = namesOfOneSlot(keyFor)
  const held = [await locks.acquire(stays, { ttlMs: 10_000 }), await locks.acquire(moves, { ttlMs: 10_000 })]
  await halfMoved(keyFor(moves), async () => {
    held.push(await locks.acquire(absent, { ttlMs: 10_000 }))
    for (const resource of [stays, moves, absent]) {
      expect(await locks.tryAcquire(resource, { ttlMs: 1000 })).toMatchObject({ acquired: false })
    }
    for (const lock of held) {
      const before = lock.remainingMs()
      await lock.extend(20_000)
      expect(lock.remainingMs()).toBeGreaterThan(before)
    }
    for (const lock of held) expect(await lock.release()).toBe(true)
    for (const [index, resource] of [stays, moves, absent].entries()) {
      const again = await locks.acquire(resource, { ttlMs: 10_000 })
      expect(again.token).toBeGreaterThan(held[index]?.token ?? again.token)
      await again.release()
    }
  })
})
