import { beforeEach, describe, expect, it, vi } from 'vitest'
import { LockUnavailableError } from '../../../src/errors.js'
import { LockAdmin, Locks, renewMarkers, Semaphore, settleMarkers } from '../../../src/lock/index.js'
import { markerOf, PLACES, tagOf } from '../../../src/lock/markers.js'
import { keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'
import { portWith } from '../../support/port-with.js'

let clock: TestClock
let redis: MemoryRedis
let locks: Locks
beforeEach(() => {
  clock = new TestClock()
  redis = new MemoryRedis({ clock })
  locks = new Locks(redis.connect(), { name: 'q', maxTtlMs: 10_000 })
})

const tried = (resource: string, from: Locks = locks) => from.tryAcquire(resource, { ttlMs: 5000 })
/** As after a failover of a replica that had not heard of it. */
function forgetting(): void {
  redis.failOver()
}

describe('a server that may have forgotten locks', () => {
  it('gives none until the longest of them is over, and then goes on with larger tokens', async () => {
    redis.holdReplication()
    const lost = await tried('a')
    expect.assert(lost.acquired)
    forgetting()
    expect(await tried('a')).toEqual({ acquired: false, reason: 'quarantined', retryAfterMs: 10_000 })
    clock.advance(9999)
    expect(await tried('a')).toMatchObject({ reason: 'quarantined', retryAfterMs: 1 })
    clock.advance(1)
    const next = await tried('a')
    expect.assert(next.acquired)
    expect(next.lock.token).toBeGreaterThan(lost.lock.token)
  })

  it('would have given it to a second holder at once without', async () => {
    const careless = new Locks(redis.connect(), { name: 'careless', maxTtlMs: 10_000, quarantine: false })
    redis.holdReplication()
    const first = await tried('a', careless)
    clock.advance(1)
    forgetting()
    const second = await tried('a', careless)
    expect.assert(first.acquired && second.acquired)
    expect(first.lock.signal.aborted).toBe(false)
    expect(second.lock.token).toBeGreaterThan(first.lock.token)
  })

  it('goes on extending and releasing the locks that it knows', async () => {
    const held = await tried('a')
    expect.assert(held.acquired)
    forgetting()
    expect(await tried('b')).toMatchObject({ acquired: false })
    await held.lock.extend()
    expect(await held.lock.release()).toBe(true)
  })

  it('that was started empty gives none either, for once in each slot', async () => {
    const held = await tried('a')
    expect.assert(held.acquired)
    redis.restartEmpty()
    expect(await tried('a')).toMatchObject({ reason: 'quarantined', retryAfterMs: 10_000 })
    clock.advance(10_000)
    const next = await tried('a')
    expect.assert(next.acquired)
    expect(next.lock.token).toBeGreaterThan(held.lock.token)
    // Up for longer than any lock by now.
    clock.advance(2000)
    expect((await tried('c')).acquired).toBe(true)
  })

  it('waits for the longest of every name, though locks of a shorter one were given there before', async () => {
    const shorter = new Locks(redis.connect(), { name: 'shorter', maxTtlMs: 1000 })
    const held = await locks.tryAcquire('a', { ttlMs: 10_000 })
    expect.assert(held.acquired)
    redis.restartEmpty()
    clock.advance(4000)
    // Up for longer than any of this name: the same slot, and the same marker.
    expect((await shorter.tryAcquire('a', { ttlMs: 1000 })).acquired).toBe(true)
    expect(await tried('a')).toMatchObject({ reason: 'quarantined', retryAfterMs: 7000 })
    clock.advance(7000)
    expect((await tried('a')).acquired).toBe(true)
  })

  it('gives the first lock of a slot at once where it was never a replica and is up for longer', async () => {
    expect((await tried('a')).acquired).toBe(true)
  })

  it('makes who is promoted for good wait once in a slot that had no lock before', async () => {
    forgetting()
    expect(await tried('a')).toMatchObject({ reason: 'quarantined' })
    clock.advance(10_000)
    expect((await tried('a')).acquired).toBe(true)
    expect(await tried('b')).toMatchObject({ reason: 'quarantined' })
  })

  it('tells how long it takes, apart from a lock that is busy and a server that does not answer', async () => {
    forgetting()
    await expect(locks.acquire('a', { ttlMs: 5000, waitMs: 100 })).rejects.toMatchObject({
      code: 'LOCK_UNAVAILABLE',
      retryAfterMs: 10_000,
    })
    await expect(locks.acquire('a', { ttlMs: 5000 })).rejects.toThrow(LockUnavailableError)
  })

  it('is waited for by who has the patience', async () => {
    const real = new MemoryRedis()
    const patient = new Locks(real.connect(), { name: 'q', maxTtlMs: 100 })
    real.failOver()
    const from = performance.now()
    const lock = await patient.acquire('a', { ttlMs: 100, waitMs: 5000 })
    expect(performance.now() - from).toBeGreaterThan(95)
    await lock.release()
  })

  it('does not wait longer than that because its clock was set back', async () => {
    forgetting()
    expect(await tried('a')).toMatchObject({ retryAfterMs: 10_000 })
    clock.advance(-60_000)
    expect(await tried('a')).toMatchObject({ reason: 'quarantined', retryAfterMs: 10_000 })
    clock.advance(10_000)
    expect((await tried('a')).acquired).toBe(true)
  })
})

describe('the longest time of a lock', () => {
  it('is the largest that any process has set, though it be gone', async () => {
    const longer = new Locks(redis.connect(), { name: 'q', maxTtlMs: 25_000 })
    await longer.ready()
    await longer.close()
    forgetting()
    expect(await tried('a')).toMatchObject({ retryAfterMs: 25_000 })
  })

  it('counts for a process that asked before, as soon as it is told to wait', async () => {
    expect((await tried('before')).acquired).toBe(true)
    const longer = new Locks(redis.connect(), { name: 'q', maxTtlMs: 25_000 })
    redis.holdReplication()
    await longer.ready()
    redis.resumeReplication()
    forgetting()
    await tried('a')
    clock.advance(10_000)
    expect(await tried('a')).toMatchObject({ reason: 'quarantined', retryAfterMs: 15_000 })
  })

  it.each([
    ['the same', 'q'],
    ['another', 'other'],
  ])(
    'that was raised since a process looked counts for it too, where locks of %s name have begun the quarantine',
    async (_, name) => {
      const late = new Locks(redis.connect(), { name: 'q', maxTtlMs: 10_000 })
      const first = new Locks(redis.connect(), { name, maxTtlMs: 10_000 })
      await Promise.all([late.ready(), first.ready()])
      const longer = new Locks(redis.connect(), { name: 'q', maxTtlMs: 25_000 })
      await longer.ready()
      redis.holdReplication()
      const held = await longer.tryAcquire('a', { ttlMs: 25_000 })
      expect.assert(held.acquired)
      forgetting()
      redis.resumeReplication()
      // It begins the quarantine of the slot, and asks no more.
      await first.tryAcquire('a', { ttlMs: 5000 })
      clock.advance(11_000)
      expect(held.lock.signal.aborted).toBe(false)
      expect(await tried('a', late)).toMatchObject({ reason: 'quarantined', retryAfterMs: 14_000 })
    },
  )
})

it('the longest time is looked at anew where a slot comes from a server that may have forgotten to one that was known before', async () => {
  const port = redis.connect()
  const late = new Locks(port, { name: 'q', maxTtlMs: 10_000 })
  await late.ready()
  await new Locks(redis.connect(), { name: 'q', maxTtlMs: 25_000 }).ready()
  // As the server before left it, without what it had forgotten.
  const marker = markerOf('', slotOf(keyOf({ namespace: '', pattern: 'lock', name: 'q' }, 'a')))
  const other = 'f'.repeat(40)
  await port.call({ key: marker, command: ['HSET', marker, 'r', other, 'p', other, 's', 1, 'm', 10_000] })
  clock.advance(1)
  expect(await tried('a', late)).toMatchObject({ reason: 'quarantined', retryAfterMs: 25_000 })
})

it('the longest time is looked at once, and again after each loss that there may have been, not with the first lock of a slot', async () => {
  const port = redis.connect()
  let looks = 0
  const counting = portWith(port, {
    pipeline: async (...asked: Parameters<RedisPort['pipeline']>) => {
      if (asked[0].some((call) => 'script' in call)) looks++
      return await port.pipeline(...asked)
    },
  })
  const counted = new Locks(counting, { name: 'q', maxTtlMs: 10_000 })
  await counted.ready()
  const tryAll = async () => {
    const outcomes = []
    for (let i = 0; i < 50; i++) outcomes.push(await counted.tryAcquire(`r${i}`, { ttlMs: 5000 }))
    return outcomes.filter(({ acquired }) => acquired).length
  }
  expect([await tryAll(), looks]).toEqual([50, 1])
  forgetting()
  // Once for each quarantine that begins, which costs as much.
  expect(await tryAll()).toBe(0)
  const after = looks
  expect(await tryAll()).toBe(0)
  expect(looks).toBe(after)
})

describe('locks of one name', () => {
  const reckless = () => new Locks(redis.connect(), { name: 'q', maxTtlMs: 10_000, quarantine: false })

  it('are refused where some have a quarantine and some have not: their tokens would not be in one order', async () => {
    expect((await tried('a')).acquired).toBe(true)
    await expect(reckless().ready()).rejects.toMatchObject({
      code: 'CONFIGURATION',
      message: expect.stringContaining('lock:q is used with a quarantine elsewhere') as string,
    })
    await expect(tried('b', reckless())).rejects.toMatchObject({ code: 'CONFIGURATION' })
  })

  it('are refused the other way round too, and for good', async () => {
    expect((await tried('a', reckless())).acquired).toBe(true)
    await expect(locks.ready()).rejects.toMatchObject({
      message: expect.stringContaining('lock:q is used without a quarantine elsewhere') as string,
    })
    await expect(new Locks(redis.connect(), { name: 'q', maxTtlMs: 99_000 }).ready()).rejects.toThrow(
      'another name',
    )
  })

  it('are not hurt by one that is refused, where a server has forgotten the name', async () => {
    expect((await tried('a')).acquired).toBe(true)
    const port = redis.connect()
    const key = keyOf({ namespace: '', pattern: 'lock-marker', name: 'longest' }, tagOf(PLACES[2] ?? 0))
    await port.call({ key, command: ['DEL', key] })
    await expect(reckless().ready()).rejects.toMatchObject({ code: 'CONFIGURATION' })
    await new Locks(port, { name: 'q', maxTtlMs: 10_000 }).ready()
  })

  it('are others than what is of another kind', async () => {
    expect((await tried('a')).acquired).toBe(true)
    const permits = new Semaphore(redis.connect(), { name: 'q', permits: 1, quarantine: false })
    expect((await permits.tryAcquire('a', { ttlMs: 5000 })).acquired).toBe(true)
  })
})

describe('a slot that comes to another server without a loss', () => {
  const slotsOf = (...resources: string[]) =>
    resources.map((resource) => slotOf(keyOf({ namespace: '', pattern: 'lock', name: 'q' }, resource)))
  const node = { id: '1'.padStart(40, '0'), host: 'memory', port: 7000 }

  it('goes on giving locks once its marker is renewed, where the server before was the one that had given them', async () => {
    const port = redis.connect()
    expect((await tried('a')).acquired).toBe(true)
    // In memory all nodes are one run: what is renewed from the run that is there stays as it is.
    expect(await renewMarkers(port, slotsOf('a', 'never used'), node)).toBe(1)
    expect((await tried('b')).acquired).toBe(true)
  })

  it('stays in quarantine where the server before had it from one that may have forgotten', async () => {
    const port = redis.connect()
    expect((await tried('a')).acquired).toBe(true)
    forgetting()
    // Nobody has asked since: the marker is that of the server that is gone.
    expect(await renewMarkers(port, slotsOf('a'), node)).toBe(0)
    expect(await tried('a')).toMatchObject({ reason: 'quarantined' })
  })

  it('stays in quarantine where yet another server has it by the time that the renewal is asked for again', async () => {
    const port = redis.connect()
    const info = String(await port.onNode(node.id, ['INFO', 'server']))
    const first = await tried('a')
    expect.assert(first.acquired)
    await first.lock.release()
    redis.failOver()
    redis.holdReplication()
    let renewals = 0
    const renewing = portWith(port, {
      onNode: (...[id, ...rest]: Parameters<RedisPort['onNode']>) =>
        id === 'gone:7000' ? Promise.resolve(info) : port.onNode(id, ...rest),
      pipeline: async (...asked: Parameters<RedisPort['pipeline']>) => {
        await port.pipeline(...asked)
        renewals++
        // Renewed, and in use again; its answer is lost with the server, whose replica had not heard of it.
        expect((await tried('a')).acquired).toBe(true)
        redis.failOver()
        return await port.pipeline(...asked)
      },
    })
    const from = { id: 'gone', host: 'gone', port: 7000 }
    expect(await renewMarkers(renewing, slotsOf('a'), from, { to: node })).toBe(0)
    expect(renewals).toBe(1)
    expect(await tried('a')).toMatchObject({ reason: 'quarantined' })
  })

  it('stays in quarantine where the one before follows another than it came to, and nobody noted as what it had it', async () => {
    const port = redis.connect()
    const first = await tried('a')
    expect.assert(first.acquired)
    await first.lock.release()
    const text = String(await port.onNode(node.id, ['INFO', 'replication']))
    const reign = /master_replid:(\w+)/.exec(text)?.[1] ?? ''
    redis.failOver()
    const told = (info: string, earlier: string) =>
      info.replace(/master_replid2:\w+/, `master_replid2:${earlier}`)
    const stubbed = (follows: string) =>
      portWith(port, {
        onNode: async (...[id, ...rest]: Parameters<RedisPort['onNode']>) => {
          const info = told(String(await port.onNode(node.id, ...rest)), reign)
          return id === node.id
            ? info
            : info
                .replace('role:master', 'role:slave')
                .replace(/master_replid:\w+/, `master_replid:${follows}`)
        },
      })
    const from = { id: 'gone', host: 'gone', port: 7000 }
    const now =
      /master_replid:(\w+)/.exec(String(await port.onNode(node.id, ['INFO', 'replication'])))?.[1] ?? ''
    expect(await renewMarkers(stubbed('f'.repeat(40)), slotsOf('a'), from, { to: node })).toBe(0)
    expect(await renewMarkers(stubbed(now), slotsOf('a'), from)).toBe(0)
    expect(await renewMarkers(stubbed(now), slotsOf('a'), from, { to: node })).toBe(1)
    // As it is told by those who moved the slot.
    redis.failOver()
    expect(await renewMarkers(port, slotsOf('a'), { ...from, reign: now }, { to: node })).toBe(1)
    expect((await tried('a')).acquired).toBe(true)
  })

  it('is asked for again by the port only where it is told which server that is for', async () => {
    const port = redis.connect()
    const repeats: unknown[] = []
    const counting = portWith(port, {
      pipeline: async (...asked: Parameters<RedisPort['pipeline']>) => {
        repeats.push(...asked[0].map((call) => ('script' in call ? call.repeat : undefined)))
        return await port.pipeline(...asked)
      },
    })
    await renewMarkers(counting, slotsOf('a'), node)
    await renewMarkers(counting, slotsOf('a'), node, { to: node })
    expect(repeats).toEqual(['unsafe', 'safe'])
  })
})

describe('a slot that is about to leave a server', () => {
  const node = { id: '1'.padStart(40, '0'), host: 'memory', port: 7000 }
  const slot = slotOf(keyOf({ namespace: '', pattern: 'lock', name: 'q' }, 'a'))
  const marker = markerOf('', slot)
  const hash = async (port: RedisPort) => {
    const flat = (await port.call({ key: marker, command: ['HGETALL', marker] })) as readonly string[]
    return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1]]] : [])))
  }
  const other = 'f'.repeat(40)

  it('keeps the name of that server in its marker, and gives locks as before', async () => {
    const port = redis.connect()
    const held = await tried('a')
    expect.assert(held.acquired)
    const before = await hash(port)
    expect(await settleMarkers(port, [slot, slot + 1], node)).toBe(0)
    expect(await settleMarkers(port, [slot], { ...node, reign: before['r'] })).toBe(0)
    // A reign that was given another name since.
    expect(await settleMarkers(port, [slot], { ...node, reign: other, run: before['p'] })).toBe(0)
    expect(await hash(port)).toEqual(before)
    await held.lock.release()
    expect((await tried('a')).acquired).toBe(true)
  })

  it('names nobody where another was named, and gives none until all may be over, with larger tokens', async () => {
    const port = redis.connect()
    const held = await tried('a')
    expect.assert(held.acquired)
    const before = await hash(port)
    // From another, which is not the one that had given it.
    expect(await settleMarkers(port, [slot], { ...node, reign: other })).toBe(1)
    expect(await hash(port)).toEqual({ ...before, r: 'nobody', p: 'nobody' })
    expect(await settleMarkers(port, [slot], { ...node, reign: other })).toBe(0)
    // Not even of a node that does not say as what it had the slot.
    expect(await renewMarkers(port, [slot], node)).toBe(0)
    const [report] = (await new LockAdmin(port).list()).locks
    expect(report?.quarantinedUntil).toEqual(new Date(clock.now() + 10_000))
    expect(await held.lock.release()).toBe(true)
    expect(await tried('a')).toMatchObject({ reason: 'quarantined', retryAfterMs: 10_000 })
    clock.advance(10_000)
    const next = await tried('a')
    expect.assert(next.acquired)
    expect(next.lock.token).toBeGreaterThan(held.lock.token)
  })

  it('names nobody where no run is named and none is told', async () => {
    const port = redis.connect()
    const fields = ['r', other, 'p', '', 's', 0, 'm', 10_000]
    await port.call({ key: marker, command: ['HSET', marker, ...fields] })
    expect(await settleMarkers(port, [slot], { ...node, reign: 'e'.repeat(40) })).toBe(1)
  })

  it('has no marker where it never had a lock', async () => {
    const port = redis.connect()
    expect(await settleMarkers(port, [slot], node)).toBe(0)
    expect(await hash(port)).toEqual({})
  })

  it('has a marker for each namespace', async () => {
    const port = redis.connect()
    const shop = new Locks(redis.connect({ namespace: 'shop' }), { name: 'q', maxTtlMs: 10_000 })
    expect((await tried('a', shop)).acquired).toBe(true)
    const slots = [slotOf(keyOf({ namespace: 'shop', pattern: 'lock', name: 'q' }, 'a'))]
    const from = { ...node, reign: other }
    expect(await settleMarkers(port, slots, from)).toBe(0)
    expect(await settleMarkers(port, slots, from, { namespaces: ['', 'shop'] })).toBe(1)
  })
})

describe('clocks that disagree', () => {
  it.each([5100, -5100])(
    'are refused where they are %s ms apart: tokens after a loss go by them',
    async (ms) => {
      const apart = portWith(redis.connect(), { nowMs: () => clock.now() - ms })
      const cause = { code: 'CONFIGURATION', message: expect.stringContaining('5000 ms only') as string }
      expect(await tried('a', new Locks(apart, { name: 'q', maxTtlMs: 10_000 }))).toMatchObject({ cause })
      // What was granted all the same is given back.
      await vi.waitFor(async () => expect((await tried('a')).acquired).toBe(true))
      const near = portWith(redis.connect(), { nowMs: () => clock.now() - Math.sign(ms) * 4900 })
      expect((await tried('b', new Locks(near, { name: 'q', maxTtlMs: 10_000 }))).acquired).toBe(true)
    },
  )

  it('leave nobody more than the longest time where one is set back and the lock extended', async () => {
    const held = await tried('a')
    expect.assert(held.acquired)
    clock.advance(-60_000)
    await held.lock.extend()
    const other = await tried('a', new Locks(redis.connect(), { name: 'q', maxTtlMs: 10_000 }))
    expect.assert(!other.acquired && other.reason === 'busy')
    expect(other.retryAfterMs).toBeLessThanOrEqual(10_000)
  })

  it('never make tokens go back, as long as the marker is there', async () => {
    const marked = new Locks(redis.connect(), { name: 'q', maxTtlMs: 3_600_000 * 24 })
    let last = 0n
    for (const step of [0, -3_600_000, 1, 1, -3_600_000, 7_000_000]) {
      clock.advance(step)
      const lock = await marked.tryAcquire('a', { ttlMs: 1000 })
      expect.assert(lock.acquired)
      expect(lock.lock.token).toBeGreaterThan(last)
      last = lock.lock.token
      await lock.lock.release()
    }
  })
})
