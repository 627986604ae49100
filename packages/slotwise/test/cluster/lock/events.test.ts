import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { LockBusyError, LockLostError } from '../../../src/errors.js'
import { LockAdmin, Locks } from '../../../src/lock/index.js'
import { measure } from '../../../src/measure.js'
import { type RedisPort } from '../../../src/redis/index.js'
import { type Events, hear, publish } from '../../../src/telemetry.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'

const namespace = `events-${randomUUID().slice(0, 8)}`
let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace })
})
afterAll(() => port.close())

let name = ''
let locks: Locks
let told: Events['slotwise:lock'][]
let waits: Events['slotwise:lock:wait'][]
let measured: { metric: string; value: number; labels: object }[]
let stops: readonly (() => void)[]
beforeEach(() => {
  name = `n-${randomUUID().slice(0, 8)}`
  locks = new Locks(port, { name, quarantine: false })
  ;[told, waits, measured] = [[], [], []]
  stops = [
    hear('slotwise:lock', (event) => void told.push(event)),
    hear('slotwise:lock:wait', (event) => void waits.push(event)),
    measure((metric, value, labels) => void measured.push({ metric, value, labels }), { perNode: true }),
  ]
})
afterEach(() => {
  for (const stop of stops) stop()
})
const of = (metric: string) => measured.filter((one) => one.metric === metric)

describe('what locks tell', () => {
  it('is how long somebody waited, and what it came to, once for each', async () => {
    const held = await locks.acquire('a', { ttlMs: 20_000 })
    await expect(locks.acquire('a', { ttlMs: 1000, waitMs: 100 })).rejects.toThrow(LockBusyError)
    const impatient = AbortSignal.timeout(50)
    await expect(locks.acquire('a', { ttlMs: 1000, waitMs: 5000, signal: impatient })).rejects.toThrow(
      'timeout',
    )
    const deaf = new Locks(portWith(port, { call: () => Promise.reject(new Error('away')) }), {
      name,
      quarantine: false,
      evictionCheck: 'off',
    })
    await expect(deaf.acquire('a', { ttlMs: 100, waitMs: 0 })).rejects.toThrow('cannot decide')
    await held.release()
    expect(waits.map(({ outcome }) => outcome)).toEqual(['acquired', 'busy', 'aborted', 'unavailable'])
    expect(waits[1]?.waitedMs).toBeGreaterThanOrEqual(99)
    expect(of('slotwise.lock.wait.duration').map(({ labels }) => labels)).toEqual(
      waits.map(({ outcome }) => ({ name, outcome })),
    )
    // By the clock in seconds.
    expect(of('slotwise.lock.wait.duration')[1]?.value).toBeCloseTo((waits[1]?.waitedMs ?? 0) / 1000)
  })

  it('is the place in the line', async () => {
    const held = await locks.acquire('a', { ttlMs: 20_000 })
    expect(await locks.tryAcquire('a', { ttlMs: 1000 })).toMatchObject({ reason: 'busy' })
    const admin = new LockAdmin(port, { name })
    const waiting = [1, 2].map(async (place) => {
      await vi.waitFor(async () => expect((await admin.show('a')).waiting).toBe(place - 1), { interval: 5 })
      const lock = await locks.acquire('a', { ttlMs: 20_000, waitMs: 20_000 })
      await lock.release()
    })
    await vi.waitFor(async () => expect((await admin.show('a')).waiting).toBe(2), { interval: 5 })
    await held.release()
    await Promise.all(waiting)
    const places = told.filter(({ kind }) => kind === 'busy').map(({ place }) => place)
    // Whoever waits may ask more than once.
    expect(places[0]).toBe(undefined)
    expect(new Set(places.slice(1))).toEqual(new Set([1, 2]))
    expect(of('slotwise.lock.line.place').map(({ value }) => value)).toEqual(places.slice(1))
  })

  it('is how long a lock was held, and how that ended', async () => {
    const short = await locks.acquire('short', { ttlMs: 300 })
    await vi.waitFor(() => expect(short.signal.aborted).toBe(true), { timeout: 5000, interval: 5 })
    // Over here, and perhaps not yet there: it was held once.
    await short.release()
    const taken = await locks.acquire('taken', { ttlMs: 20_000 })
    await new LockAdmin(port, { name }).release('taken')
    await expect(taken.extend()).rejects.toThrow(LockLostError)
    const released = await locks.acquire('released', { ttlMs: 20_000 })
    await released.extend()
    await released.release()
    expect(of('slotwise.lock.hold.duration').map(({ labels }) => labels)).toEqual(
      ['expired', 'taken', 'released'].map((end) => ({ name, end })),
    )
    expect(of('slotwise.lock.hold.duration')[0]?.value).toBeGreaterThan(0.2)
    expect(told.find(({ kind, resource }) => kind === 'lost' && resource === 'taken')).toMatchObject({
      reason: 'taken',
      heldMs: expect.any(Number),
    })
  })

  it('has room for what independent nodes vote', () => {
    const votes = [
      { node: 0, vote: 'granted' },
      { node: 2, vote: 'late' },
    ] as const
    publish('slotwise:lock:votes', () => ({ name, votes, rounds: 2 }))
    expect(measured).toEqual([
      { metric: 'slotwise.lock.votes', value: 1, labels: { name, vote: 'granted', node: '0' } },
      { metric: 'slotwise.lock.votes', value: 1, labels: { name, vote: 'late', node: '2' } },
      { metric: 'slotwise.lock.second_rounds', value: 1, labels: { name } },
    ])
  })
})
