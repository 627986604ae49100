import { createHash } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { OutcomeUnknownError, SlotMovingError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { keyWithin } from '../../src/keys.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { Locks, Once, ReadWriteLock, Semaphore } from '../../src/lock/index.js'
import { RateLimiter, tokenBucket } from '../../src/ratelimit/index.js'
import { type ClusterNode, type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { ADAPTERS } from '../support/adapters.js'
import { certain } from '../support/certain.js'
import { upFor } from '../support/up-for.js'

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
  // An earlier test may have moved it, which this port then hears of.
  await port.call({ key: moves, command: ['EXISTS', moves], repeat: 'safe' })
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

it('a limiter of two keys decides exactly, in a slot that is half moved, who has both at one node, and others as it was told', async () => {
  const capacity = 20
  const errors: unknown[] = []
  const made = (whenUnavailable: 'allow' | 'deny' | 'local') =>
    new RateLimiter<'user' | 'tenant', { readonly tenant: string; readonly user: string }>(port, {
      name: 'moving-together',
      tiers: {
        user: tokenBucket({ capacity, refillPerSecond: 0.001 }),
        tenant: tokenBucket({ capacity: 2 * capacity, refillPerSecond: 0.001, by: 'tenant' }),
      },
      whenUnavailable,
      localShare: 0.1,
      deadlineMs: 300,
      together: true,
      onError: (error) => errors.push(error),
    })
  const limiter = made('deny')
  const slotKey = keyOf({ namespace: port.namespace, pattern: 'ratelimit', name: 'moving-together' }, [
    'by',
    'tenant',
    'acme',
  ])
  const subject = (user: string) => ({ tenant: 'acme', user })
  for (const user of ['stays', 'moves']) await limiter.consume(subject(user), { cost: 5 })
  const movedKey = keyWithin(slotKey, ['tenant', 'acme', 'user', 'moves'])
  await halfMoved(movedKey, async () => {
    // The tenant has not moved yet.
    expect(await limiter.consume(subject('stays'), { cost: 5 })).toMatchObject({
      allowed: true,
      decidedBy: 'redis',
    })
    for (const user of ['moves', 'new']) {
      const refused = async () => {
        const startedAt = performance.now()
        const decision = await limiter.consume(subject(user))
        return { decision, tookMs: performance.now() - startedAt, told: errors.splice(0) }
      }
      const { decision, tookMs, told } = await certain(refused, (result) => result.told[0])
      expect(decision).toMatchObject({ allowed: false, reason: 'unavailable' })
      expect(told).toEqual([expect.any(SlotMovingError)])
      expect(tookMs).toBeLessThan(1000)
    }
    const open = made('allow')
    const allowed = await certain(
      () => open.consume(subject('moves')),
      (decision) => ('cause' in decision ? decision.cause : undefined),
    )
    expect(allowed).toMatchObject({
      allowed: true,
      decidedBy: 'policy',
      cause: expect.any(SlotMovingError),
    })
    const local = made('local')
    const decidedBy: unknown[] = []
    for (let i = 0; i < 3; i++) {
      const decision = await local.consume(subject('moves'))
      decidedBy.push(decision.allowed ? decision.decidedBy : decision.reason)
    }
    expect(decidedBy).toEqual(['local', 'local', 'limited'])
  })
  // Nothing of what Redis did not decide was taken, of neither key.
  const left = async (user: string) => (await limiter.peek(subject(user))).map(({ remaining }) => remaining)
  expect(await left('moves')).toEqual([capacity - 5, 2 * capacity - 15])
  expect(await left('new')).toEqual([capacity, 2 * capacity - 15])
  expect(await limiter.consume(subject('moves'))).toMatchObject({ allowed: true, decidedBy: 'redis' })
  await limiter.close()
})

it('a lock is held, extended, refused to others and released in a slot that is half moved', async () => {
  const name = 'moving'
  const locks = new Locks(port, { name, quarantine: false })
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

it('a lock with a quarantine is extended and released in a slot that is half moved, and may not be had there until it has moved', async () => {
  const name = 'quarantined'
  await upFor(port, 5)
  const locks = new Locks(port, { name, maxTtlMs: 5000 })
  const keyFor = (resource: string) => keyOf({ namespace: port.namespace, pattern: 'lock', name }, resource)
  const [stays, moves, absent] = namesOfOneSlot(keyFor)
  const held = [
    await locks.acquire(stays, { ttlMs: 5000, waitMs: 10_000 }),
    await locks.acquire(moves, { ttlMs: 5000 }),
  ]
  await (await locks.acquire(absent, { ttlMs: 1000, waitMs: 10_000 })).release()
  await halfMoved(keyFor(moves), async () => {
    const outcome = await certain(
      () => locks.tryAcquire(absent, { ttlMs: 1000, deadlineMs: 300 }),
      (tried) => ('cause' in tried ? tried.cause : undefined),
    )
    expect(outcome).toMatchObject({ acquired: false, reason: 'unavailable', cause: { code: 'SLOT_MOVING' } })
    for (const lock of held) await lock.extend()
    for (const lock of held) expect(await lock.release()).toBe(true)
  })
  await (await locks.acquire(absent, { ttlMs: 1000, waitMs: 10_000 })).release()
})

it('permits and results of what is run once are held, stored and given back in a slot that is half moved', async () => {
  const name = 'moving'
  const settings = { name, quarantine: false }
  const semaphore = new Semaphore(port, { ...settings, permits: 2 })
  const lock = new ReadWriteLock(port, settings)
  const once = new Once<string>(port, { ...settings, ttlMs: 10_000, resultTtlMs: 60_000 })
  for (const [pattern, hold] of [
    ['semaphore', (resource: string) => semaphore.acquire(resource, { ttlMs: 10_000 })],
    ['rwlock', (resource: string) => lock.write(resource, { ttlMs: 10_000 })],
  ] as const) {
    const keyFor = (resource: string) => keyOf({ namespace: port.namespace, pattern, name }, resource)
    const [stays, moves, absent] = namesOfOneSlot(keyFor)
    const held = [await hold(stays), await hold(moves)]
    await halfMoved(keyFor(moves), async () => {
      held.push(await hold(absent))
      for (const one of held) await one.extend(20_000)
      for (const one of held) expect(await one.release()).toBe(true)
      for (const resource of [stays, moves, absent]) await (await hold(resource)).release()
    })
  }
  const keyFor = (id: string) => keyOf({ namespace: port.namespace, pattern: 'once', name }, id)
  const [stays, moves, absent] = namesOfOneSlot(keyFor)
  await once.run(stays, async () => 'stays')
  await once.run(moves, async () => 'moves')
  await halfMoved(keyFor(moves), async () => {
    for (const id of ['stays', 'moves', 'absent']) {
      const at = { stays, moves, absent }[id] ?? absent
      expect(await once.run(at, async () => 'absent')).toBe(id)
      expect(await once.status(at)).toMatchObject({ state: 'done', result: id })
      expect(await once.forget(at)).toBe(true)
      expect(await once.run(at, async () => 'again')).toBe('again')
    }
  })
})

const scriptOf = (source: string) => ({
  name: 'test',
  keys: [],
  args: [],
  source,
  sha1: createHash('sha1').update(source).digest('hex'),
})
const COUNT = scriptOf("return redis.call('INCR', KEYS[1])")
const BOTH = scriptOf("return redis.call('MGET', KEYS[1], KEYS[2])")

it.each(ADAPTERS)(
  'over %s, single keys of a half-moved slot are served under load, each call once, and several say that it moves',
  async (adapter, open) => {
    const DEADLINE_MS = 600
    const LATE_MS = 50
    const own = await open({ ...cluster.connectOptions, commandTimeoutMs: DEADLINE_MS })
    const keyFor = (name: string) => keyOf({ namespace: '', pattern: 'load', name: adapter }, name)
    const names = namesOfOneSlot(keyFor)
    const [stays, moves, third] = names.map(keyFor)
    expect.assert(stays !== undefined && moves !== undefined && third !== undefined)
    const several = { script: BOTH, keys: [stays, moves], args: [], repeat: 'safe' } as const
    const loopDelay = monitorEventLoopDelay({ resolution: 5 })
    loopDelay.enable()
    const failures: unknown[] = []
    const together: { readonly startedAt: number; readonly error: unknown }[] = []
    const counts = new Map<Key, number>()
    let longestMs = 0
    let over = false
    const timed = async (call: () => Promise<unknown>) => {
      const from = performance.now()
      const error: unknown = await call().then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      longestMs = Math.max(longestMs, performance.now() - from)
      await sleep(1)
      return error
    }
    const single = async (key: Key, isScript: boolean) => {
      while (!over) {
        const call = isScript
          ? ({ script: COUNT, keys: [key], args: [] } as const)
          : ({ key, command: ['INCR', key] } as const)
        const error = await timed(() => own.call(call))
        if (error === undefined) counts.set(key, (counts.get(key) ?? 0) + 1)
        else failures.push(error)
      }
    }
    const multiple = async () => {
      while (!over) {
        const startedAt = performance.now()
        together.push({ startedAt, error: await timed(() => own.call(several)) })
      }
    }
    for (const key of [stays, moves]) await own.call({ key, command: ['SET', key, 0] })
    const load = Promise.all([
      ...[stays, moves, third].flatMap((key) => [single(key, false), single(key, true)]),
      multiple(),
      multiple(),
    ])
    let [from, to] = [0, 0]
    try {
      await expect.poll(() => counts.get(third) ?? 0).toBeGreaterThan(20)
      await halfMoved(moves, async () => {
        from = performance.now()
        const before = counts.get(moves) ?? 0
        await expect.poll(() => (counts.get(moves) ?? 0) - before).toBeGreaterThan(100)
        const moving = () => together.filter(({ error }) => error instanceof SlotMovingError).length
        await expect.poll(moving, { timeout: 5000 }).toBeGreaterThan(1)
        to = performance.now()
      })
      const done = together.length
      await expect.poll(() => together.length - done).toBeGreaterThan(20)
    } finally {
      over = true
      await load
      loopDelay.disable()
    }
    expect(failures).toEqual([])
    expect(longestMs).toBeLessThan(DEADLINE_MS + LATE_MS + loopDelay.max / 1e6)
    const errors = together.filter(({ error }) => error !== undefined)
    // A read is sent as late as it may, so that its last attempt can be under way at the deadline.
    const isTold = (error: unknown) =>
      error instanceof SlotMovingError || error instanceof OutcomeUnknownError
    expect(errors.filter(({ error }) => !isTold(error))).toEqual([])
    // Begun when it was half moved, or so shortly before that it met the half.
    expect(errors.every(({ startedAt }) => startedAt > from - DEADLINE_MS && startedAt < to)).toBe(true)
    for (const key of [stays, moves]) {
      expect(await own.call({ key, command: ['GET', key] })).toBe(String(counts.get(key)))
    }
    await own.close()
  },
)
