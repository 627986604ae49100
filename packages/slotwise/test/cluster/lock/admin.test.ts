import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { ConfigurationError, LockLostError } from '../../../src/errors.js'
import { LockAdmin, type LockReport, Locks } from '../../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'
import { anyPort } from '../../support/any-port.js'
import { letWait } from '../../support/lock-record.js'
import { portWith } from '../../support/port-with.js'

const namespace = `admin-${randomUUID().slice(0, 8)}`
let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace })
})
afterAll(() => port.close())

let name = ''
let locks: Locks
let admin: LockAdmin
beforeEach(() => {
  name = `n-${randomUUID().slice(0, 8)}`
  locks = new Locks(port, { name, quarantine: false, holder: 'web-1' })
  admin = new LockAdmin(port, { name })
})
const ttlMs = 20_000
const wordsOf = ({ resource }: LockReport) => (resource.hashed ? resource.sha256 : resource.words)
const waiting = async (resource: string, count: number) =>
  vi.waitFor(async () => expect((await admin.show(resource)).waiting).toBe(count), { interval: 5 })

describe('the list of locks', () => {
  it('tells of each that is held by whom, for how long, with which token, and how many wait', async () => {
    const held = await locks.acquire(['invoice', 42], { ttlMs })
    const ofTenant = await locks.forTenant('acme').acquire('b', { ttlMs, holder: '' })
    const next = locks.acquire(['invoice', 42], { ttlMs, waitMs: ttlMs })
    await vi.waitFor(async () => expect((await admin.show(['invoice', 42])).waiting).toBe(1))
    const { locks: found, complete } = await admin.list()
    expect(complete).toBe(true)
    expect(found.toSorted((a, b) => (a.key < b.key ? 1 : -1))).toEqual([
      {
        key: held.key,
        name,
        tenant: undefined,
        resource: { hashed: false, words: ['invoice', '42'] },
        state: 'held',
        holder: 'web-1',
        remainingMs: expect.any(Number),
        token: held.token,
        waiting: 1,
        quarantinedUntil: undefined,
      },
      {
        key: ofTenant.key,
        name,
        tenant: { hashed: false, words: 'acme' },
        resource: { hashed: false, words: ['b'] },
        state: 'held',
        holder: undefined,
        remainingMs: expect.any(Number),
        token: ofTenant.token,
        waiting: 0,
        quarantinedUntil: undefined,
      },
    ])
    for (const { remainingMs } of found) expect(remainingMs).toBeGreaterThan(ttlMs / 2)
    expect((await admin.list({ tenant: 'acme' })).locks).toMatchObject([{ key: ofTenant.key }])
    await Promise.all([held.release(), ofTenant.release(), next.then((lock) => lock.release())])
  })

  it('leaves out what is over, released, of other names, and no lock at all', async () => {
    const short = await locks.acquire('short', { ttlMs: 300 })
    await (await locks.acquire('released', { ttlMs })).release()
    const other = await new Locks(port, { name: `${name}-2`, quarantine: false }).acquire('x', { ttlMs })
    const space = { namespace, pattern: 'lock', name }
    const foreign = keyOf(space, 'foreign')
    await port.call({ key: foreign, command: ['SET', foreign, 'x', 'PX', ttlMs] })
    await vi.waitFor(() => expect(short.remainingMs()).toBe(0))
    await vi.waitFor(async () => expect((await admin.list()).locks).toEqual([]))
    const all = await new LockAdmin(port).list()
    expect(all.locks.map(({ name: of }) => of)).toContain(`${name}-2`)
    expect(all.locks.map(({ key }) => key)).not.toContain(foreign)
    await other.release()
  })

  it('is as long as was asked for, says that there is more, and how far it has come', async () => {
    const held = await Promise.all(Array.from({ length: 12 }, (_, i) => locks.acquire(`r${i}`, { ttlMs })))
    const few = await admin.list({ limit: 5 })
    expect(few).toMatchObject({ complete: false })
    expect(few.locks).toHaveLength(5)
    const steps: { keysDone: number; keysTotal: number; locks: number }[] = []
    const all = await admin.list({ limit: 12, onProgress: (step) => steps.push(step) })
    expect(all.complete).toBe(true)
    expect(new Set(all.locks.map((lock) => wordsOf(lock)[0])).size).toBe(12)
    expect(steps.length).toBeGreaterThan(0)
    expect(steps.at(-1)).toMatchObject({ locks: 12 })
    for (const { keysDone, keysTotal } of steps) expect(keysDone).toBeLessThanOrEqual(keysTotal)
    await Promise.all(held.map((lock) => lock.release()))
  })

  it('ends when its caller wants no more', async () => {
    await expect(admin.list({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
  })
})

describe('a lock that somebody else frees', () => {
  it('is nobody’s at once, and its holder learns of that when it extends it', async () => {
    const held = await locks.acquire('a', { ttlMs })
    const { released, before } = await admin.release('a')
    expect(released).toBe(true)
    expect(before).toMatchObject({ state: 'held', token: held.token, holder: 'web-1' })
    expect(await admin.show('a')).toMatchObject({ state: 'free', remainingMs: 0, token: undefined })
    await expect(held.extend()).rejects.toThrow(LockLostError)
    expect(held.signal.aborted).toBe(true)
    expect(await admin.release('a')).toMatchObject({ released: false, before: { state: 'free' } })
  })

  it('goes to the first who waits, with a larger token', async () => {
    const held = await locks.acquire('a', { ttlMs })
    const first = locks.acquire('a', { ttlMs, waitMs: ttlMs })
    await waiting('a', 1)
    const second = locks.acquire('a', { ttlMs, waitMs: ttlMs })
    await waiting('a', 2)
    expect(await admin.release('a')).toMatchObject({ released: true, before: { waiting: 2 } })
    const got = await first
    expect(got.token).toBeGreaterThan(held.token)
    await waiting('a', 1)
    await got.release()
    await (await second).release()
  })

  it('is left to whoever has taken it since it was looked at', async () => {
    const held = await locks.acquire('a', { ttlMs })
    let taken: Awaited<ReturnType<Locks['acquire']>> | undefined
    const slow = portWith(port, {
      call: async (...[call, options]: Parameters<RedisPort['call']>) => {
        const answer = await port.call(call, options)
        if ('script' in call && call.script.name === 'lock/show') {
          await held.release()
          taken = await locks.acquire('a', { ttlMs })
        }
        return answer
      },
    })
    expect(await new LockAdmin(slow, { name }).release('a')).toMatchObject({ released: false })
    await taken?.extend()
    expect(await taken?.release()).toBe(true)
  })

  it('takes a name', async () => {
    await expect(new LockAdmin(port).show('a')).rejects.toThrow(ConfigurationError)
  })
})

describe.each([true, false])('on a server whose clock steps back, with quarantine %s', (quarantine) => {
  it('keeps its fence', async () => {
    const clock = new TestClock()
    const memory = new MemoryRedis({ clock }).connect()
    const ours = new Locks(memory, { name, quarantine, maxTtlMs: 60_000 })
    const held = await ours.acquire('a', { ttlMs })
    await new LockAdmin(memory, { name }).release('a')
    clock.advance(-20_000)
    const next = await ours.acquire('a', { ttlMs })
    expect(next.token).toBeGreaterThan(held.token)
  })
})

describe('a quarantine', () => {
  it('is told with its end, of what is held and what is not', async () => {
    const clock = new TestClock()
    const memory = new MemoryRedis({ clock })
    const ours = new Locks(memory.connect(), { name, maxTtlMs: 10_000 })
    const theirs = new LockAdmin(memory.connect(), { name })
    expect(await theirs.show('a')).toMatchObject({ quarantinedUntil: undefined })
    const held = await ours.acquire('a', { ttlMs: 8000 })
    expect(await theirs.show('a')).toMatchObject({ quarantinedUntil: undefined, state: 'held' })
    memory.failOver()
    // Not begun: it begins with the next request.
    const [seen] = (await theirs.list()).locks
    expect(seen).toMatchObject({ state: 'held', token: held.token })
    expect(seen?.quarantinedUntil?.getTime()).toBeGreaterThan(0)
    const answer = await ours.tryAcquire('a', { ttlMs: 5000 })
    expect(answer).toMatchObject({ reason: 'quarantined', retryAfterMs: 10_000 })
    const begun = (await theirs.show('a')).quarantinedUntil?.getTime()
    clock.advance(4000)
    expect((await theirs.show('a')).quarantinedUntil?.getTime()).toBe(begun)
    clock.advance(6000)
    expect(await theirs.show('a')).toMatchObject({ quarantinedUntil: undefined, state: 'free' })
  })

  it('tells of a lock that is kept for the next', async () => {
    const clock = new TestClock()
    const memory = new MemoryRedis({ clock }).connect()
    const ours = new Locks(memory, { name, quarantine: false })
    const theirs = new LockAdmin(memory, { name })
    const held = await ours.acquire('a', { ttlMs })
    const key = held.key as never
    // Who waits there and does not come.
    await letWait(memory, key, { x: clock.now() + 9000 })
    await held.release()
    expect(await theirs.show('a')).toMatchObject({ state: 'kept', token: undefined, waiting: 0 })
    expect(await theirs.release('a')).toMatchObject({ released: true, before: { state: 'kept' } })
    expect(await ours.tryAcquire('a', { ttlMs })).toMatchObject({ acquired: true })
  })
})
