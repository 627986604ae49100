import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { failover, moveSlots, type OperateOptions } from '../../src/cluster/index.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type Acquisition, Locks, renewMarkers, settleMarkers } from '../../src/lock/index.js'
import { markerOf } from '../../src/lock/markers.js'
import { keyOf, type RedisPort, SLOTS, slotOf } from '../../src/redis/index.js'
import { upFor } from '../support/up-for.js'

const TTL_MS = 6000
const name = 'faults'
let cluster: LocalCluster
let port: RedisPort
let locks: Locks
let careless: Locks
let options: OperateOptions
beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000, networkFaults: true })
  port = await connect({ ...cluster.connectOptions, commandTimeoutMs: 500 })
  options = { nodes: cluster.connectOptions.nodes }
  locks = new Locks(port, { name, maxTtlMs: TTL_MS, onError: () => {} })
  careless = new Locks(port, { name: `${name}-less`, maxTtlMs: TTL_MS, quarantine: false, onError: () => {} })
  await upFor(port, TTL_MS / 1000)
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})
beforeEach(() => cluster.whenHealthy(), 40_000)

let made = 0
const slotFor = (resource: string) => slotOf(keyOf({ namespace: '', pattern: 'lock', name }, resource))
const ownerOf = (resource: string) => port.topology().ownerOf(slotFor(resource))
const indexOf = (at: number | undefined) => cluster.nodes.findIndex((node) => node.port === at)
/** Two resources of one slot. */
function pair(slot = slotFor(`r${made++}`)): [string, string] {
  const found: string[] = []
  for (let i = made; found.length < 2; i++) if (slotFor(`r${i}`) === slot) found.push(`r${i}`)
  made += 1_000_000
  return found as [string, string]
}
const tried = (resource: string, from = locks): Promise<Acquisition> =>
  from.tryAcquire(resource, { ttlMs: TTL_MS })
const granted = (resource: string, from = locks) =>
  vi.waitFor(
    async () => {
      const outcome = await tried(resource, from)
      if (!outcome.acquired) throw new Error(outcome.reason)
      return outcome.lock
    },
    { timeout: 30_000, interval: 20 },
  )

const others = (resource: string) => {
  const owner = ownerOf(resource)
  const to = port.topology().nodes.find(({ role, id }) => role === 'primary' && id !== owner?.id)
  return { from: owner, to: `${to?.host}:${to?.port}`, target: to?.id }
}

const told = (slot: number) =>
  vi.waitFor(
    async () => {
      const marker = markerOf('', slot)
      const when = await port.call({ key: marker, command: ['HGET', marker, 'n'], repeat: 'safe' })
      if (when === null) throw new Error('others have not been told')
    },
    { timeout: 10_000 },
  )

// First, while no primary was replaced: others give nothing at once in any case.
describe('a slot of which nothing is left', () => {
  const lost = async (slot: number, node: string) => {
    const keys = (await port.onNode(node, ['CLUSTER', 'GETKEYSINSLOT', slot, 1000])) as string[]
    await port.onNode(node, ['DEL', ...keys])
  }

  it('is not taken for one that never had a lock by whoever it is given to by hand', async () => {
    const [one, two] = pair()
    const slot = slotFor(one)
    const held = await granted(one)
    await told(slot)
    const { from, to } = others(one)
    await lost(slot, from?.id ?? '')
    await port.onNode(to, ['CLUSTER', 'BUMPEPOCH'])
    const target = port.topology().nodes.find(({ host, port: at }) => `${host}:${at}` === to)?.id ?? ''
    for (const node of [to, from?.id ?? '', ...port.topology().nodes.map(({ id }) => id)])
      await port.onNode(node, ['CLUSTER', 'SETSLOT', slot, 'NODE', target]).catch(() => {})
    await vi.waitFor(() => expect(ownerOf(one)?.id).toBe(target), { timeout: 10_000 })
    expect(await tried(one)).toMatchObject({ reason: 'quarantined' })
    expect(await tried(two)).toMatchObject({ reason: 'quarantined' })
    held.assertHeld()
  })

  it('is not taken for one either where it stays', async () => {
    const [one] = pair()
    const held = await granted(one)
    await told(slotFor(one))
    await lost(slotFor(one), ownerOf(one)?.id ?? '')
    expect(await tried(one)).toMatchObject({ reason: 'quarantined' })
    held.assertHeld()
  })

  it('is taken for one where it never had a lock, by all who ask first and at once', async () => {
    const [one] = pair()
    const other = await connect({ ...cluster.connectOptions, commandTimeoutMs: 500 })
    const theirs = new Locks(other, { name, maxTtlMs: TTL_MS, onError: () => {} })
    await theirs.ready()
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, i) => tried(i % 4 === 0 ? one : `${one}:${i}`, i % 2 ? theirs : locks)),
    )
    await other.close()
    expect(outcomes.filter((outcome) => !outcome.acquired && outcome.reason !== 'busy')).toEqual([])
  })

  it('is given as soon as ever where it never had a lock, though another primary stands still', {
    timeout: 60_000,
  }, async () => {
    const [one] = pair()
    const still = indexOf(port.topology().nodes.find(({ id }) => id === others(one).target)?.port)
    await cluster.pause(still)
    const startedAt = performance.now()
    const { acquired } = await tried(one)
    const tookMs = performance.now() - startedAt
    await cluster.resume(still)
    expect(acquired).toBe(true)
    expect(tookMs).toBeLessThan(500)
  })
})

describe('a primary whose replicas are gone for so long that it calls its reign by another name', () => {
  it('goes on giving locks, and so does whoever gets its slots', { timeout: 60_000 }, async () => {
    const info = (id: string) => port.onNode(id, ['INFO', 'replication']).then(String)
    const primaries = port.topology().nodes.filter(({ role }) => role === 'primary')
    const infos = await Promise.all(primaries.map(({ id }) => info(id)))
    const owner = primaries[infos.findIndex((text) => text.includes(`master_replid2:${'0'.repeat(40)}`))]
    expect.assert(owner !== undefined)
    const here = () => {
      let found = pair()
      while (ownerOf(found[0])?.id !== owner.id) found = pair()
      return found
    }
    const [[moves], [stays]] = [here(), here()]
    for (const resource of [moves, stays]) await (await granted(resource)).release()
    const reign = async () => /master_replid:(\w+)/.exec(await info(owner.id))?.[1]
    const before = await reign()
    const replica = indexOf(port.topology().replicasOf(owner.id)[0]?.port)
    await port.onNode(owner.id, ['CONFIG', 'SET', 'repl-backlog-ttl', 1])
    await cluster.kill(replica)
    await vi.waitFor(async () => expect(await reign()).not.toBe(before), { timeout: 20_000 })
    await port.onNode(owner.id, ['CONFIG', 'SET', 'repl-backlog-ttl', 3600])
    await cluster.restart(replica)
    await cluster.whenHealthy()
    await moveSlots({
      ...options,
      to: others(moves).to,
      slots: [[slotFor(moves), slotFor(moves)]],
      afterLosslessMove: async (slots, to, from) => void (await renewMarkers(port, slots, from, { to })),
    })
    for (const resource of [moves, stays]) expect((await tried(resource)).acquired).toBe(true)
  })
})

describe('a primary that dies while its replica had not heard of a lock', () => {
  const forgetful = async (resource: string, from: Locks) => {
    await (await granted(resource, from)).release()
    const owner = ownerOf(resource)
    const [replica] = port.topology().replicasOf(owner?.id ?? '')
    await cluster.cutReplication(indexOf(replica?.port))
    const first = await granted(resource, from)
    await cluster.kill(indexOf(owner?.port))
    const second = await granted(resource, from)
    const overlapped = first.remainingMs() > 0
    const inOrder = second.token > first.token
    await Promise.all([first.release(), second.release()])
    await cluster.heal()
    await cluster.restart(indexOf(owner?.port))
    return { overlapped, inOrder }
  }

  it('is followed by one that gives it to nobody else before the first holder’s time is over', {
    timeout: 60_000,
  }, async () => {
    const [resource] = pair()
    expect(await forgetful(resource, locks)).toEqual({ overlapped: false, inOrder: true })
  })

  it('is followed by one that gives it away again where there is no quarantine, with a larger token', {
    timeout: 60_000,
  }, async () => {
    const [resource] = pair()
    expect(await forgetful(resource, careless)).toEqual({ overlapped: true, inOrder: true })
  })
})

describe('a slot that has moved', () => {
  it('gives locks at once by our hands, and keeps those that are held', { timeout: 60_000 }, async () => {
    const [one, two] = pair()
    const held = await granted(one)
    let renewed = 0
    const { to } = others(one)
    await moveSlots({
      ...options,
      to,
      slots: [[slotFor(one), slotFor(one)]],
      afterLosslessMove: async (slots, node, from) =>
        void (renewed += await renewMarkers(port, slots, from, { to: node })),
    })
    expect(renewed).toBe(1)
    await held.extend()
    expect(await tried(one)).toMatchObject({ reason: 'busy' })
    expect((await tried(two)).acquired).toBe(true)
    expect(await held.release()).toBe(true)
  })

  it('gives none for the longest time of a lock by other hands', { timeout: 60_000 }, async () => {
    const [one, two] = pair()
    const held = await granted(one)
    await moveSlots({ ...options, to: others(one).to, slots: [[slotFor(one), slotFor(one)]] })
    expect(await tried(two)).toMatchObject({ reason: 'quarantined' })
    await held.extend()
    expect(await held.release()).toBe(true)
  })
})

describe('a planned failover', () => {
  it('costs no outage by our hands: locks go on being given, and those that are held are kept', {
    timeout: 60_000,
  }, async () => {
    const [one, two] = pair()
    const held = await granted(one)
    const owner = ownerOf(one)
    await failover({
      ...options,
      from: `${owner?.host}:${owner?.port}`,
      afterLosslessMove: async (slots, to, from) => void (await renewMarkers(port, slots, from, { to })),
    })
    await vi.waitFor(() => expect(ownerOf(one)?.id).not.toBe(owner?.id), { timeout: 10_000 })
    expect(await tried(one)).toMatchObject({ reason: 'busy' })
    expect((await tried(two)).acquired).toBe(true)
    await held.extend()
    expect(await held.release()).toBe(true)
  })
})

describe('a primary that was replaced, and is a primary again without having been started anew', () => {
  it('gives nothing that the one between gave, of which it had not heard', { timeout: 60_000 }, async () => {
    const [resource] = pair()
    await (await granted(resource)).release()
    const owner = ownerOf(resource)
    const once = indexOf(owner?.port)
    const other = indexOf(port.topology().replicasOf(owner?.id ?? '')[0]?.port)
    await failover({ ...options, from: `${owner?.host}:${owner?.port}` })
    await vi.waitFor(() => expect(indexOf(ownerOf(resource)?.port)).toBe(other), { timeout: 10_000 })
    await cluster.cutReplication(once)
    const first = await granted(resource)
    await cluster.kill(other)
    const second = await granted(resource)
    expect(indexOf(ownerOf(resource)?.port)).toBe(once)
    expect(first.remainingMs()).toBe(0)
    expect(second.token).toBeGreaterThan(first.token)
    await second.release()
    await cluster.heal()
    await cluster.restart(other)
  })
})

describe('a slot that comes back to a primary that had it before', () => {
  /** Of which a lock was given by `once`, and who is to have it between. */
  const lent = async () => {
    const [resource] = pair()
    await (await granted(resource)).release()
    const { from: once, to } = others(resource)
    const taker = port.topology().nodes.find(({ host, port: at }) => `${host}:${at}` === to)
    expect.assert(once !== undefined && taker !== undefined)
    return { resource, slot: slotFor(resource), once, taker }
  }

  it('is not given from there as if that one knew what others have given between', {
    timeout: 60_000,
  }, async () => {
    const { resource, slot, once, taker } = await lent()
    const [heir] = port.topology().replicasOf(taker.id)
    expect.assert(heir !== undefined)
    await moveSlots({
      ...options,
      to: taker.id,
      slots: [[slot, slot]],
      // Its replica has the marker as it came, and nothing of what is written from then on.
      afterLosslessMove: async (slots, node, from) => {
        const arrived = () => port.onNode(heir.id, ['CLUSTER', 'COUNTKEYSINSLOT', slot])
        await vi.waitFor(async () => expect(await arrived()).not.toBe(0), { timeout: 5000 })
        await cluster.cutReplication(indexOf(heir.port))
        await renewMarkers(port, slots, from, { to: node })
      },
    })
    const first = await granted(resource)
    await cluster.kill(indexOf(taker.port))
    await failover({ nodes: [`${heir.host}:${heir.port}`], to: heir.id, mode: 'takeover' })
    await cluster.heal()
    await cluster.restart(indexOf(taker.port))
    await cluster.whenHealthy()
    await moveSlots({
      ...options,
      to: once.id,
      slots: [[slot, slot]],
      beforeMove: async (slots, from) => void (await settleMarkers(port, slots, from)),
      afterLosslessMove: async (slots, node, from) =>
        void (await renewMarkers(port, slots, from, { to: node })),
    })
    first.assertHeld()
    const second = await granted(resource)
    expect(ownerOf(resource)?.id).toBe(once.id)
    expect(first.remainingMs()).toBe(0)
    expect(second.token).toBeGreaterThan(first.token)
    await second.release()
  })

  it('is not given from there either where others have begun the move, and its marker was there before we went on', {
    timeout: 60_000,
  }, async () => {
    const { resource, slot, once, taker } = await lent()
    // Nobody asks for a lock meanwhile: what the marker says there is from before.
    await moveSlots({ ...options, to: taker.id, slots: [[slot, slot]] })
    await port.onNode(once.id, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', taker.id])
    await port.onNode(taker.id, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', once.id])
    const keys = (await port.onNode(taker.id, ['CLUSTER', 'GETKEYSINSLOT', slot, 9])) as string[]
    await port.onNode(taker.id, ['MIGRATE', once.host, once.port, '', 0, 5000, 'KEYS', ...keys])
    let settled = 0
    await moveSlots({
      ...options,
      to: once.id,
      slots: [[slot, slot]],
      beforeMove: async (slots, from) => void (settled += await settleMarkers(port, slots, from)),
    })
    expect(settled).toBe(1)
    await vi.waitFor(() => expect(ownerOf(resource)?.id).toBe(once.id), { timeout: 10_000 })
    expect(await tried(resource)).toMatchObject({ reason: 'quarantined' })
  })
})

describe('a primary that comes back empty', () => {
  it('gives nothing to a process that has not heard for how long another one holds it', {
    timeout: 60_000,
  }, async () => {
    const [resource] = pair()
    const settings = { name: `${name}-raised`, onError: () => {} }
    const late = new Locks(port, { ...settings, maxTtlMs: 500 })
    await late.ready()
    const longer = new Locks(port, { ...settings, maxTtlMs: 2 * TTL_MS })
    const key = keyOf({ namespace: '', pattern: 'lock', name: settings.name }, resource)
    const owner = indexOf(port.topology().ownerOf(slotOf(key))?.port)
    const held = await longer.acquire(resource, { ttlMs: 2 * TTL_MS, waitMs: 3 * TTL_MS })
    await cluster.restartEmpty(owner)
    await cluster.whenHealthy()
    // Up for longer than any lock lasts that the other knows of.
    await upFor(port, 2)
    const answer = await vi.waitFor(
      async () => {
        const outcome = await late.tryAcquire(resource, { ttlMs: 500 })
        if (!outcome.acquired && outcome.reason === 'unavailable') throw outcome.cause
        return outcome
      },
      { timeout: 5000, interval: 20 },
    )
    held.assertHeld()
    expect(answer).toMatchObject({ reason: 'quarantined' })
  })

  it('is not believed that it was up for long: its clock may have been set forward since', {
    timeout: 60_000,
  }, async () => {
    const [resource] = pair()
    const short = new Locks(port, { name: `${name}-short`, maxTtlMs: 1000, onError: () => {} })
    const key = keyOf({ namespace: '', pattern: 'lock', name: `${name}-short` }, resource)
    const brief = () => short.tryAcquire(resource, { ttlMs: 1000 })
    const held = await short.acquire(resource, { ttlMs: 1000, waitMs: 3 * TTL_MS })
    await held.release()
    await told(slotOf(key))
    await cluster.restartEmpty(indexOf(port.topology().ownerOf(slotOf(key))?.port))
    await cluster.whenHealthy()
    await upFor(port, 2)
    expect(await brief()).toMatchObject({ reason: 'quarantined' })
  })

  it('gives nothing too early', { timeout: 60_000 }, async () => {
    const [resource] = pair()
    const held = await granted(resource)
    await cluster.restartEmpty(indexOf(ownerOf(resource)?.port))
    const next = await granted(resource)
    expect(held.remainingMs()).toBe(0)
    expect(next.token).toBeGreaterThan(held.token)
    await next.release()
  })
})

// Last, since it leaves the cluster with a primary less.
describe('a primary that gives its last slot away, and follows who got it', () => {
  it('leaves the locks of all its slots to be given at once', { timeout: 60_000 }, async () => {
    const [one] = pair()
    await (await granted(one)).release()
    const { from, to } = others(one)
    const ranges: [number, number][] = []
    for (let slot = 0; slot < SLOTS; slot++) {
      if (port.topology().ownerOf(slot)?.id !== from?.id) continue
      const last = ranges.at(-1)
      if (last?.[1] === slot - 1) last[1] = slot
      else ranges.push([slot, slot])
    }
    await moveSlots({
      ...options,
      to,
      slots: ranges,
      afterLosslessMove: async (slots, node, before) =>
        void (await renewMarkers(port, slots, before, { to: node })),
    })
    await vi.waitFor(
      () => expect(port.topology().nodes.find(({ id }) => id === from?.id)?.role).toBe('replica'),
      { timeout: 5000 },
    )
    expect((await tried(one)).acquired).toBe(true)
  })
})
