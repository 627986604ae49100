import { beforeEach, describe, expect, it, vi } from 'vitest'
import { LockAdmin, Locks, renewMarkers, Semaphore } from '../../../src/lock/index.js'
import { markerOf } from '../../../src/lock/markers.js'
import { keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'
import { behindSentinels } from '../../support/behind-sentinels.js'
import { portWith } from '../../support/port-with.js'

let clock: TestClock
let redis: MemoryRedis
/** How many failovers the sentinels have counted, as a process hears of them. */
let epoch: number
let locks: Locks
beforeEach(() => {
  clock = new TestClock()
  redis = new MemoryRedis({ clock })
  epoch = 0
  locks = knowing(() => epoch)
})

const knowing = (told: () => number, name = 'q', maxTtlMs = 10_000) =>
  new Locks(behindSentinels(redis.connect(), told), { name, maxTtlMs })
const tried = (resource: string, from = locks) => from.tryAcquire(resource, { ttlMs: 5000 })
const granted = async (resource: string, from = locks) => {
  const outcome = await tried(resource, from)
  expect.assert(outcome.acquired)
  return outcome.lock
}
const SLOT = slotOf(keyOf({ namespace: '', pattern: 'lock', name: 'q' }, 'a'))
const MARKER = markerOf('', SLOT)

describe('a primary that sentinels have chosen again, which begins no reign', () => {
  it('gives no lock until the longest is over, and then goes on with larger tokens', async () => {
    const before = await granted('a')
    await before.release()
    epoch = 2
    expect(await tried('a')).toEqual({ acquired: false, reason: 'quarantined', retryAfterMs: 10_000 })
    clock.advance(9999)
    expect(await tried('a')).toMatchObject({ reason: 'quarantined', retryAfterMs: 1 })
    clock.advance(1)
    expect((await granted('a')).token).toBeGreaterThan(before.token)
    // Once.
    expect((await tried('a')).acquired).toBe(false)
  })

  it('goes on extending and releasing the locks that it knows', async () => {
    const held = await granted('a')
    epoch = 2
    expect(await tried('a')).toMatchObject({ reason: 'quarantined' })
    await held.extend()
    expect(await held.release()).toBe(true)
  })

  it('gives no lock of a slot that never had one there: the primary between may have given it', async () => {
    epoch = 2
    expect(await tried('a')).toMatchObject({ reason: 'quarantined', retryAfterMs: 10_000 })
    clock.advance(10_000)
    await granted('a')
  })

  it('gives no permit either', async () => {
    const port = behindSentinels(redis.connect(), () => epoch)
    const permits = new Semaphore(port, { name: 'q', permits: 2, maxTtlMs: 10_000 })
    const one = await permits.tryAcquire('a', { ttlMs: 5000 })
    expect.assert(one.acquired)
    epoch = 2
    expect(await permits.tryAcquire('a', { ttlMs: 5000 })).toMatchObject({ reason: 'quarantined' })
    await one.lock.extend()
  })

  it('is asked by nobody who has not looked since for how long locks may be held', async () => {
    const late = knowing(() => epoch)
    await late.ready()
    const longer = knowing(() => epoch, 'q', 25_000)
    const held = await longer.tryAcquire('a', { ttlMs: 25_000 })
    expect.assert(held.acquired)
    epoch = 2
    // Locks of another name begin the quarantine of the slot.
    expect(
      await tried(
        'a',
        knowing(() => epoch, 'other'),
      ),
    ).toMatchObject({ reason: 'quarantined' })
    clock.advance(11_000)
    expect(await tried('a', late)).toMatchObject({ reason: 'quarantined', retryAfterMs: 14_000 })
  })

  it('is seen to give none before anybody asks', async () => {
    await (await granted('a')).release()
    const admin = new LockAdmin(
      behindSentinels(redis.connect(), () => epoch),
      { name: 'q' },
    )
    expect((await admin.show('a')).quarantinedUntil).toBeUndefined()
    epoch = 2
    expect((await admin.show('a')).quarantinedUntil).toEqual(new Date(clock.now() + 10_000))
  })

  it('gives it again where there is no quarantine, with a larger token', async () => {
    const port = behindSentinels(redis.connect(), () => epoch)
    const careless = new Locks(port, { name: 'careless', maxTtlMs: 10_000, quarantine: false })
    const first = await granted('a', careless)
    await first.release()
    epoch = 2
    expect((await granted('a', careless)).token).toBeGreaterThan(first.token)
  })
})

describe('processes of which one has not heard yet that sentinels have chosen again', () => {
  it('wait for one quarantine, and not for another once it is over', async () => {
    // Promoted once: that its process is the same tells nothing.
    redis.failOver()
    epoch = 1
    const unaware = knowing(() => 1)
    await tried('a')
    clock.advance(10_000)
    await (await granted('a', unaware)).release()
    epoch = 3
    expect(await tried('a')).toMatchObject({ retryAfterMs: 10_000 })
    clock.advance(4000)
    expect(await tried('a', unaware)).toMatchObject({ reason: 'quarantined', retryAfterMs: 6000 })
    expect(await tried('a')).toMatchObject({ reason: 'quarantined', retryAfterMs: 6000 })
    clock.advance(6000)
    for (const from of [unaware, locks, unaware]) await (await granted('a', from)).release()
  })

  it('do not keep what they hear to have been given too early, and give it back', async () => {
    await (await granted('a')).release()
    const port = redis.connect()
    const hearing = portWith(port, {
      call: async (...asked: Parameters<RedisPort['call']>) => {
        const answer = await port.call(...asked)
        epoch = 2
        return answer
      },
    })
    const told = new Locks(
      behindSentinels(hearing, () => epoch),
      { name: 'q', maxTtlMs: 10_000 },
    )
    await told.ready()
    expect(await tried('a', told)).toMatchObject({
      reason: 'unavailable',
      cause: { code: 'OUTCOME_UNKNOWN' },
    })
    const admin = new LockAdmin(redis.connect(), { name: 'q' })
    await vi.waitFor(async () => expect((await admin.show('a')).state).toBe('free'))
    expect(await tried('a', told)).toMatchObject({ reason: 'quarantined' })
  })
})

describe('sentinels that count from 0 anew', () => {
  it('are believed with the next reign of the primary, and their failovers count from then on', async () => {
    epoch = 5
    await tried('a')
    clock.advance(10_000)
    await (await granted('a')).release()
    epoch = 0
    await (await granted('a')).release()
    redis.failOver()
    epoch = 1
    expect(await tried('a')).toMatchObject({ reason: 'quarantined' })
    clock.advance(10_000)
    await (await granted('a')).release()
    epoch = 3
    expect(await tried('a')).toMatchObject({ reason: 'quarantined' })
  })
})

describe('a marker that an earlier version left', () => {
  it.each([
    [0, undefined],
    [3, 'quarantined'],
  ])('is good as long as sentinels have counted no failover: at %i', async (count, reason) => {
    await (await granted('a')).release()
    await redis.connect().call({ key: MARKER, command: ['HDEL', MARKER, 'c'] })
    epoch = count
    const outcome = await tried('a')
    expect(outcome.acquired ? undefined : outcome.reason).toBe(reason)
  })
})

it('epochs of a cluster are none of sentinels: they grow without a failover, and each of those begins a reign', async () => {
  const port = redis.connect()
  const topology = () => ({ ...behindSentinels(port, () => epoch).topology(), isBySentinels: undefined })
  const clustered = new Locks(portWith(port, { topology }), { name: 'q', maxTtlMs: 10_000 })
  await (await granted('a', clustered)).release()
  epoch = 2
  expect(await tried('a', clustered)).toMatchObject({ acquired: true })
})

it('a marker that is renewed keeps what sentinels had counted', async () => {
  epoch = 2
  await tried('a')
  clock.advance(10_000)
  await (await granted('a')).release()
  const port = redis.connect()
  const node = { id: '1'.padStart(40, '0'), host: 'memory', port: 7000 }
  expect(await renewMarkers(port, [SLOT], node)).toBe(1)
  await (await granted('a')).release()
  epoch = 3
  expect(await tried('a')).toMatchObject({ reason: 'quarantined' })
})
