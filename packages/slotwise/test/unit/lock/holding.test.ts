import { describe, expect, it } from 'vitest'
import { LockBusyError, LockLostError, LockUnavailableError } from '../../../src/errors.js'
import { type Lock, Locks } from '../../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { portWith } from '../../support/port-with.js'
import { settled, VirtualTime } from '../../support/virtual-clocks.js'
import { VotingNode } from '../../support/voting-node.js'

const KEY = keyOf({ namespace: '', pattern: 'lock', name: 'test' }, 'r')
const TTL_MS = 3000
/** Of a lock that has just been granted: less one hundredth and 2 ms. */
const WHOLE_MS = TTL_MS - 30 - 2

/** Locks by a clock to turn, that note when each node is asked to extend one, and for how long. */
async function world(count: number, listener: (error: unknown) => void = () => {}) {
  const time = new VirtualTime()
  const nodes = Array.from({ length: count }, () => new VotingNode(time))
  const extensions: { readonly node: number; readonly at: number; readonly ttlMs: number }[] = []
  /** By name: everything that is sent later comes before it. */
  const overtaken = new Set<string>()
  const ports = nodes.map((node, index) =>
    portWith(node.port, {
      call: (...[call, options]: Parameters<RedisPort['call']>) => {
        const script = 'script' in call ? call.script.name : ''
        if ('script' in call && script === 'lock/extend')
          extensions.push({ node: index, at: time.ms, ttlMs: Number(call.args[1]) })
        const { mood } = node
        if (overtaken.has(script)) node.mood = 'is overtaken'
        const answer = node.port.call(call, options)
        node.mood = mood
        return answer
      },
    }),
  )
  const reported: unknown[] = []
  const onError = (error: unknown) => {
    reported.push(error)
    listener(error)
  }
  const options = { name: 'test', maxTtlMs: 10_000, onError }
  const locks =
    count === 1
      ? new Locks(ports[0] as RedisPort, options, time.clocks())
      : Locks.redlock(ports, options, time.clocks())
  // It looks at the servers before anything goes wrong with them.
  await locks.ready()
  const set = (mood: VotingNode['mood'], ...indexes: number[]) => {
    for (const i of indexes) (nodes[i] as VotingNode).mood = mood
  }
  const recover = () => {
    for (const node of nodes) node.recover()
  }
  const forget = (...indexes: number[]) => {
    for (const i of indexes) (nodes[i] as VotingNode).redis.restartEmpty()
  }
  const holding = async () => {
    const held = await Promise.all(nodes.map((node) => node.has(KEY)))
    return held.filter(Boolean).length
  }
  const deliver = () => Promise.all(nodes.map((node) => node.deliver()))
  return { time, locks, reported, extensions, set, recover, forget, holding, overtaken, deliver }
}

const every = (count: number) => Array.from({ length: count }, (_, i) => i)
const lostTo = (lock: Lock): unknown => (lock.signal.reason as LockLostError | undefined)?.reason

describe.each([
  { kind: 'of one slot', count: 1 },
  { kind: 'of three nodes', count: 3 },
  { kind: 'of five nodes', count: 5 },
])('a lock $kind that extends itself', ({ count }) => {
  /** So many that the others are no majority. */
  const majority = every(Math.floor(count / 2) + 1)

  it('does so at every third of its time, on all nodes, and has its whole time again', async () => {
    const { time, locks, extensions } = await world(count)
    const lock = await locks.acquire('r', { ttlMs: TTL_MS, maxHoldMs: 60_000 })
    await time.advance(999)
    expect(extensions).toEqual([])
    expect(lock.remainingMs()).toBe(WHOLE_MS - 999)
    await time.advance(1)
    expect(lock.remainingMs()).toBe(WHOLE_MS)
    await time.advance(4000)
    const asked = [1000, 2000, 3000, 4000, 5000].flatMap((at) =>
      every(count).map((node) => ({ node, at, ttlMs: TTL_MS })),
    )
    expect(extensions).toEqual(asked)
    await lock.release()
    await time.advance(4000)
    expect(extensions).toEqual(asked)
  })

  it('is held for maxHoldMs and no longer, here and on the servers', async () => {
    const { time, locks } = await world(count)
    const lock = await locks.acquire('r', { ttlMs: TTL_MS, maxHoldMs: 5000 })
    await time.advance(4900)
    lock.assertHeld()
    await time.advance(99)
    expect(lostTo(lock)).toBe('expired')
    expect(await locks.tryAcquire('r', { ttlMs: 1000 })).toMatchObject({ acquired: false, reason: 'busy' })
    await time.advance(1)
    expect(await locks.tryAcquire('r', { ttlMs: 1000 })).toMatchObject({ acquired: true })
  })

  it('counts its new time from before it asked', async () => {
    const { time, locks, set, recover } = await world(count)
    const lock = await locks.acquire('r', { ttlMs: TTL_MS, maxHoldMs: 60_000 })
    set('is slow to say so', ...every(count))
    await time.advance(1000 + 400)
    expect(lock.remainingMs()).toBe(WHOLE_MS - 1400)
    recover()
    await settled()
    expect(lock.remainingMs()).toBe(WHOLE_MS - 400)
    await lock.release()
  })

  it('asks again at every tenth while a majority does not answer, and is lost at its deadline', async () => {
    const { time, locks, extensions, set } = await world(count)
    const lock = await locks.acquire('r', { ttlMs: TTL_MS, maxHoldMs: 60_000 })
    set('is away', ...majority)
    await time.advance(1000 + 600)
    const times = new Set(extensions.map(({ at }) => at))
    expect([...times]).toEqual([1000, 1300, 1600])
    await time.advance(WHOLE_MS - 1600 - 1)
    lock.assertHeld()
    await time.advance(1)
    expect(lostTo(lock)).toBe('expired')
  })

  it('is lost at the next third where a majority has forgotten it, and nothing is left of it', async () => {
    const { time, locks, forget, holding } = await world(count)
    const lock = await locks.acquire('r', { ttlMs: TTL_MS, maxHoldMs: 60_000 })
    forget(...majority)
    await time.advance(999)
    lock.assertHeld()
    await time.advance(1)
    expect(lostTo(lock)).toBe('taken')
    await settled()
    // Of one slot there is nothing to free: it has forgotten.
    expect(await holding()).toBe(0)
  })

  it('is not brought back by an answer that comes when it is over, and is free at once then', async () => {
    const { time, locks, set, recover, holding } = await world(count)
    const lock = await locks.acquire('r', { ttlMs: TTL_MS })
    await time.advance(WHOLE_MS - 100)
    set('is slow to say so', ...every(count))
    const extended = lock.extend(10_000).catch((error: unknown) => error)
    await settled()
    // Extended there, and here the process stands still.
    time.stall(101)
    recover()
    expect(await extended).toBeInstanceOf(LockLostError)
    expect(lostTo(lock)).toBe('expired')
    expect(lock.remainingMs()).toBe(0)
    await time.advance(100)
    expect(await holding()).toBe(0)
  })

  it('asks for nothing when the process stood still for longer than it lasts', async () => {
    const { time, locks, extensions } = await world(count)
    const lock = await locks.acquire('r', { ttlMs: TTL_MS, maxHoldMs: 60_000 })
    time.stall(TTL_MS)
    // What was to be done at a third comes first.
    time.wake()
    await settled()
    expect(extensions).toEqual([])
    expect(lostTo(lock)).toBe('expired')
    expect(await locks.tryAcquire('r', { ttlMs: 1000 })).toMatchObject({ acquired: true })
  })
})

describe('a lock of several nodes that extends itself', () => {
  it.each([3, 5])('goes on though fewer than half of %i are away, hang or have forgotten', async (count) => {
    const { time, locks, set, forget } = await world(count)
    const lock = await locks.acquire('r', { ttlMs: TTL_MS, maxHoldMs: 60_000 })
    const few = every(Math.ceil(count / 2) - 1)
    for (const spoil of [() => set('is away', ...few), () => set('hangs', ...few), () => forget(...few)]) {
      spoil()
      await time.advance(10_000)
      expect(lock.remainingMs()).toBeGreaterThan(TTL_MS / 2)
    }
    await lock.release()
  })
})

describe('a lock that is lost while it is used', () => {
  const body = new Error('the body')

  it.each([
    [
      'at the end of its block',
      async (locks: Locks, use: (lock: Lock) => Promise<void>) => {
        await using lock = await locks.acquire('r', { ttlMs: TTL_MS })
        await use(lock)
      },
    ],
    [
      'by using',
      (locks: Locks, use: (lock: Lock) => Promise<void>) => locks.using('r', { ttlMs: TTL_MS }, use),
    ],
  ] as const)('is reported %s beside the error of the body, which comes out as it is', async (_, hold) => {
    const { time, locks, reported } = await world(1)
    const failed = hold(locks, async () => {
      await time.advance(TTL_MS)
      throw body
    })
    expect(await failed.catch((error: unknown) => error)).toBe(body)
    expect(reported).toMatchObject([{ code: 'LOCK_LOST', reason: 'expired' }])
  })

  it('says so though neither its timer nor Redis has told it yet', async () => {
    const { time, locks, set, reported } = await world(1)
    {
      await using lock = await locks.acquire('r', { ttlMs: TTL_MS })
      set('is away', 0)
      time.stall(TTL_MS)
      expect(lock.signal.aborted).toBe(false)
    }
    expect(reported).toContainEqual(expect.objectContaining({ code: 'LOCK_LOST', reason: 'expired' }))
  })

  it('and released by hand aborts its signal, and says that it was not held', async () => {
    const { time, locks } = await world(1)
    const lock = await locks.acquire('r', { ttlMs: TTL_MS })
    time.stall(TTL_MS)
    expect(await lock.release()).toBe(false)
    expect(lostTo(lock)).toBe('expired')
  })

  it.each(['expired', 'away'] as const)(
    'is disposed of without an error though whoever is told throws: %s',
    async (how) => {
      const { time, locks, set } = await world(1, () => {
        throw new Error('the listener')
      })
      const block = (async () => {
        await using _ = await locks.acquire('r', { ttlMs: TTL_MS })
        if (how === 'away') set('is away', 0)
        else await time.advance(TTL_MS)
        throw body
      })()
      expect(await block.catch((error: unknown) => error)).toBe(body)
      await time.advance(TTL_MS)
    },
  )

  it('is not reported where it was held to the end', async () => {
    const { time, locks, reported } = await world(1)
    {
      await using lock = await locks.acquire('r', { ttlMs: TTL_MS })
      await time.advance(WHOLE_MS - 1)
      lock.assertHeld()
    }
    await time.advance(TTL_MS)
    expect(reported).toEqual([])
  })
})

describe.each([
  { kind: 'of one slot', count: 1 },
  { kind: 'of three nodes', count: 3 },
])('a lock $kind whose answer comes late', ({ count }) => {
  const all = every(count)
  /** Where it was had before, so that it takes one request. */
  const known = async () => {
    const one = await world(count)
    await (await one.locks.acquire('r', { ttlMs: 100 })).release()
    return one
  }

  it('is not handed out when its time is over by then, and free at once', async () => {
    const { time, locks, set, recover, holding } = await known()
    set('is slow to say so', ...all)
    const asked = locks.tryAcquire('r', { ttlMs: 100 })
    await settled()
    expect(await holding()).toBe(count)
    time.stall(97)
    recover()
    expect(await asked).toMatchObject({ acquired: false, reason: 'unavailable' })
    await settled()
    // It would last for 3 ms more on the servers.
    expect(await holding()).toBe(0)
  })

  it('is handed out with what is left of its time', async () => {
    const { time, locks, set, recover } = await world(count)
    set('is slow to say so', ...all)
    const asked = locks.tryAcquire('r', { ttlMs: 100 })
    await settled()
    time.stall(96)
    recover()
    const answer = await asked
    expect.assert(answer.acquired)
    expect(answer.lock.remainingMs()).toBe(1)
  })

  it.each([
    ['was sent and not yet read', 'hangs'],
    ['was done and not yet told', 'is slow to say so'],
  ] as const)('is not handed out after the deadline of the call, and freed: what %s', async (_, mood) => {
    const { time, locks, set, recover, holding } = await world(count)
    set(mood, ...all)
    const asked = locks.acquire('r', { ttlMs: 5000, waitMs: 0, deadlineMs: 50 })
    const refused = asked.catch((error: unknown) => error)
    await time.advance(50)
    expect(await refused).toBeInstanceOf(LockUnavailableError)
    recover()
    await time.advance(100)
    expect(await holding()).toBe(0)
    expect(await locks.tryAcquire('r', { ttlMs: 1000 })).toMatchObject({ acquired: true })
  })

  it('is freed too where the request comes after its own release', async () => {
    const { time, locks, holding, overtaken, deliver } = await known()
    overtaken.add('lock/acquire')
    const asked = locks.tryAcquire('r', { ttlMs: 10_000 })
    await time.advance(50)
    expect(await asked).toMatchObject({ acquired: false, reason: 'unavailable' })
    await deliver()
    expect(await holding()).toBe(count)
    await time.advance(2000)
    expect(await holding()).toBe(0)
  })
})

describe.each([
  { kind: 'of one slot', count: 1 },
  { kind: 'of three nodes', count: 3 },
])('whoever wants a lock $kind', ({ count }) => {
  it.each(['acquire', 'acquireAll'] as const)(
    'waits for 300 ms unless told otherwise, and hears until when it is held, and by whom: %s',
    async (how) => {
      const { time, locks } = await world(count)
      await locks.acquire('r', { ttlMs: 5000, holder: 'worker-3' })
      const options = { ttlMs: 1000 }
      const asked = how === 'acquire' ? locks.acquire('r', options) : locks.acquireAll(['r'], options)
      let refused: unknown
      asked.catch((error: unknown) => {
        refused = error
      })
      await time.advance(299)
      expect(refused).toBeUndefined()
      await time.advance(1)
      expect(refused).toBeInstanceOf(LockBusyError)
      expect(refused).toMatchObject({ resource: 'r', retryAfterMs: 4700, holder: 'worker-3' })
      expect(String(refused)).toMatch(/r is locked by worker-3 for another 4700 ms at most/)
    },
  )

  it('hears nothing of a holder that says nothing of itself', async () => {
    const { locks } = await world(count)
    await (await locks.acquire('r', { ttlMs: 5000, holder: 'worker-3' })).release()
    await locks.acquire('r', { ttlMs: 5000 })
    const refused = await locks.acquire('r', { ttlMs: 1000, waitMs: 0 }).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(LockBusyError)
    expect(refused).toMatchObject({ retryAfterMs: 5000, holder: undefined })
    expect(String(refused)).not.toMatch(/worker-3/)
  })

  it('is told why nobody could say', async () => {
    const { time, locks, set, forget } = await world(count)
    set('is away', ...every(count))
    const away = await locks.acquire('r', { ttlMs: 1000, waitMs: 0 }).catch((error: unknown) => error)
    expect(away).toBeInstanceOf(LockUnavailableError)
    expect(away).toMatchObject({
      resource: 'r',
      retryAfterMs: undefined,
      cause: { code: 'REDIS_UNAVAILABLE' },
    })
    const { nodes } = away as LockUnavailableError
    expect(nodes).toHaveLength(count === 1 ? 0 : 3)
    for (const node of nodes)
      expect(node).toMatchObject({ reason: 'unreachable', cause: { code: 'REDIS_UNAVAILABLE' } })
    set('answers', ...every(count))
    await (await locks.acquire('r', { ttlMs: 1000 })).release()
    forget(...every(count))
    await time.advance(1000)
    const forgotten = locks.acquire('r', { ttlMs: 1000 })
    await expect(forgotten).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE', retryAfterMs: 10_000 })
  })
})

it('a lock of one slot is not had from a server whose clock is too far from the one here, and that is said', async () => {
  const time = new VirtualTime()
  const node = new VotingNode(time)
  const contender = (skewMs: number) =>
    new Locks(node.port, { name: 'test', maxTtlMs: 10_000 }, time.clocks({ skewMs }))
  await expect(contender(5001).acquire('r', { ttlMs: TTL_MS, waitMs: 0 })).rejects.toThrow(
    "cannot decide who holds r: the server's clock is 5001 ms behind the one here, and tokens stay in order up to 5000 ms only",
  )
  await settled()
  const lock = await contender(4999).acquire('r', { ttlMs: TTL_MS, waitMs: 0 })
  lock.assertHeld()
})
