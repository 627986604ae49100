import { describe, expect, it } from 'vitest'
import {
  ConfigurationError,
  LockBusyError,
  LockLostError,
  LockUnavailableError,
} from '../../../src/errors.js'
import { type Acquisition, type Lock, Locks } from '../../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { hear } from '../../../src/telemetry.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'
import { behindSentinels } from '../../support/behind-sentinels.js'
import { lockRecord } from '../../support/lock-record.js'
import { portWith } from '../../support/port-with.js'
import { settled, VirtualTime } from '../../support/virtual-clocks.js'
import { VotingNode } from '../../support/voting-node.js'

const KEY = keyOf({ namespace: '', pattern: 'lock', name: 'test' }, 'r')

/** So many nodes in memory, and whoever wants their lock. */
function world(count: number, maxTtlMs = 10_000) {
  const time = new VirtualTime()
  const nodes = Array.from({ length: count }, () => new VotingNode(time))
  const ports = nodes.map(({ port }) => port)
  const contender = async ({ skewMs = 0 } = {}) => {
    const locks = Locks.redlock(ports, { name: 'test', maxTtlMs, onError: () => {} }, time.clocks({ skewMs }))
    await locks.ready()
    return locks
  }
  /** Somebody else holds it on this one node only. */
  const takenOn = (...indexes: number[]) =>
    Promise.all(
      indexes.map((i) =>
        new Locks(ports[i] as (typeof ports)[0], { name: 'test', maxTtlMs }, time.clocks()).acquire('r', {
          ttlMs: 5000,
          holder: 'somebody',
        }),
      ),
    )
  const set = (mood: VotingNode['mood'], ...indexes: number[]) => {
    for (const i of indexes) (nodes[i] as VotingNode).mood = mood
  }
  const recover = () => {
    for (const node of nodes) node.recover()
  }
  const holding = async () => {
    const held = await Promise.all(nodes.map((node) => node.has(KEY)))
    return held.flatMap((is, i) => (is ? [i] : []))
  }
  return { time, nodes, ports, contender, takenOn, set, recover, holding }
}

/** What comes of it when the clocks go on for so long. */
async function within<R>(time: VirtualTime, ms: number, promise: Promise<R>): Promise<R> {
  const watched = promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  await time.advance(ms)
  const outcome = await Promise.race([watched, settled().then(() => undefined)])
  if (outcome === undefined) throw new Error(`undecided after ${ms} ms`)
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

function lockOf(acquisition: Acquisition): Lock {
  if (!acquisition.acquired) throw new Error(acquisition.reason, { cause: acquisition })
  return acquisition.lock
}

describe('a majority of independent nodes', () => {
  it.each([3, 4, 5])('gives a lock to one of two among %i nodes', async (count) => {
    const { contender, holding, time } = world(count)
    const locks = await contender()
    const lock = await locks.acquire('r', { ttlMs: 5000 })
    expect(lock.remainingMs()).toBe(5000 - 50 - 2)
    expect(await locks.tryAcquire('r', { ttlMs: 5000 })).toMatchObject({ reason: 'busy', retryAfterMs: 5000 })
    expect(await lock.release()).toBe(true)
    await settled()
    expect(await holding()).toEqual([])
    const next = await locks.acquire('r', { ttlMs: 5000 })
    expect(next.token).toBeGreaterThan(lock.token)
    await time.advance(1)
  })

  it('decides a tie at once, and says who holds the other half', async () => {
    const { contender, takenOn, holding } = world(4)
    const locks = await contender()
    await takenOn(0, 1)
    const refusal = await locks.tryAcquire('r', { ttlMs: 5000 })
    expect(refusal).toMatchObject({ acquired: false, reason: 'busy', holder: 'somebody' })
    await settled()
    expect(await holding()).toEqual([0, 1])
  })

  it('is refused at once by half of an even number, whatever the other half would say', async () => {
    const { contender, takenOn, set, time } = world(4)
    const locks = await contender()
    await takenOn(0, 1)
    set('hangs', 2, 3)
    expect(await within(time, 0, locks.tryAcquire('r', { ttlMs: 5000 }))).toMatchObject({ reason: 'busy' })
  })

  it('does not free by an earlier try what a later one has got', async () => {
    const { contender, takenOn, set, nodes, holding, time } = world(3)
    const locks = await contender()
    const others = await takenOn(1, 2)
    set('is slow to say so', 1, 2)
    const asked = locks.acquire('r', { ttlMs: 5000, waitMs: 1000 })
    await settled()
    // The vote that was got is given back, and that is long on its way.
    set('is overtaken', 0)
    for (const node of nodes.slice(1)) node.recover()
    await settled()
    set('answers', 0)
    for (const other of others) await other.release()
    const lock = await within(time, 500, asked)
    await nodes[0]?.deliver()
    expect(await holding()).toEqual([0, 1, 2])
    await lock.release()
  })

  it('is decided without the nodes that hang, and without waiting for them', async () => {
    const { contender, set, time } = world(5)
    const locks = await contender()
    set('hangs', 1, 3)
    const lock = lockOf(await locks.tryAcquire('r', { ttlMs: 3000 }))
    expect(time.ms).toBe(0)
    expect(lock.remainingMs()).toBe(3000 - 30 - 2)
  })

  it('is refused within a twentieth of its time where the majority hangs, with each node and why', async () => {
    const { contender, set, time } = world(3)
    const locks = await contender()
    set('hangs', 0)
    set('is away', 2)
    const refused = within(time, 50, locks.acquire('r', { ttlMs: 3000, waitMs: 0 }))
    await expect(refused).rejects.toMatchObject({
      code: 'LOCK_UNAVAILABLE',
      resource: 'r',
      nodes: [
        { node: 'memory:7000', reason: 'unreachable' },
        { node: 'memory:7000', reason: 'late' },
      ],
    })
  })

  it('leaves no vote behind where it came too late, or its answer was lost', async () => {
    const { contender, set, recover, holding, time } = world(5)
    const locks = await contender()
    set('hangs', 0)
    set('is slow to say so', 1)
    set('loses its answers', 2)
    const asked = locks.tryAcquire('r', { ttlMs: 10_000 })
    await settled()
    set('is away', 1, 2)
    expect(await within(time, 50, asked)).toMatchObject({ acquired: false, reason: 'unavailable' })
    expect(await holding()).toEqual([1, 2])
    recover()
    await time.advance(2500)
    expect(await holding()).toEqual([])
  })

  it('gives back what it has asked for before it asks again, on nodes that have not answered yet', async () => {
    const { contender, set, recover, time } = world(3)
    const locks = await contender()
    set('hangs', 0, 1, 2)
    await within(time, 50, locks.tryAcquire('r', { ttlMs: 10_000 }))
    const again = locks.tryAcquire('r', { ttlMs: 10_000 })
    await settled()
    recover()
    expect(lockOf(await again).remainingMs()).toBeGreaterThan(9000)
  })

  it('frees a vote that was on its way for long, when its release has long been confirmed', async () => {
    const { contender, set, nodes, holding, time } = world(3)
    const locks = await contender()
    set('is overtaken', 0)
    set('hangs', 1)
    const asked = locks.tryAcquire('r', { ttlMs: 10_000 })
    await settled()
    set('answers', 0)
    await within(time, 300, asked)
    await nodes[0]?.deliver()
    expect(await holding()).toEqual([0])
    await time.advance(2000)
    expect(await holding()).toEqual([])
  })

  it('gives the vote of a node that answers late the token, and frees it with the others', async () => {
    const { contender, set, recover, nodes, holding, time } = world(3)
    const locks = await contender()
    set('hangs', 2)
    const lock = await locks.acquire('r', { ttlMs: 5000 })
    recover()
    await settled()
    expect(await holding()).toEqual([0, 1, 2])
    const late = await lockRecord((nodes[2] as (typeof nodes)[number]).redis.connect(), KEY)
    expect(late.token).toBeGreaterThanOrEqual(lock.token)
    await lock.release()
    await time.advance(100)
    expect(await holding()).toEqual([])
  })

  it('frees the vote of a node that answers when the lock was released already, and asks it to once only', async () => {
    const { contender, set, recover, holding, nodes, time } = world(3)
    const locks = await contender()
    await (await locks.acquire('r', { ttlMs: 5000 })).release()
    await settled()
    const before = nodes[2]?.sent ?? 0
    set('is slow to say so', 2)
    const lock = await locks.acquire('r', { ttlMs: 5000 })
    await lock.release()
    recover()
    await time.advance(3000)
    expect(await holding()).toEqual([])
    expect(nodes[2]?.sent).toBe(before + 2)
  })

  it('never hands out a lock whose time was over when the majority had answered', async () => {
    const { contender, set, recover, holding, time } = world(3)
    const locks = await contender()
    set('is slow to say so', 0, 1, 2)
    const asked = locks.tryAcquire('r', { ttlMs: 100 })
    await settled()
    time.stall(99)
    recover()
    expect(await asked).toMatchObject({ acquired: false, reason: 'unavailable' })
    await time.advance(0)
    expect(await holding()).toEqual([])
  })

  it('counts answers that lay in the socket while the process stood still', async () => {
    const { contender, set, recover, time } = world(3)
    const locks = await contender()
    set('is slow to say so', 0, 1, 2)
    const asked = locks.tryAcquire('r', { ttlMs: 3000 })
    await settled()
    time.stall(500)
    // The timers are called first, as after a pause, and the answers are read next.
    time.wake()
    recover()
    const lock = lockOf(await asked)
    expect(lock.remainingMs()).toBe(3000 - 30 - 2 - 500)
  })

  it('gives it to whoever is alone at the next try, whatever came of the one before', async () => {
    const { contender, set, recover, time } = world(5)
    const locks = await contender()
    for (let round = 0; round < 30; round++) {
      const moods = ['hangs', 'is slow to say so', 'loses its answers', 'is away'] as const
      const mood = (i: number) => moods[(round + i) % 4] ?? 'hangs'
      const three = [round, round + 1, round + 3].map((i) => i % 5)
      three.forEach((node, i) => set(mood(i), node))
      const first = locks
      await within(time, 50, first.tryAcquire('r', { ttlMs: 10_000 }))
      recover()
      // Two stay away.
      set(mood(1), ...three.slice(1))
      const lock = await within(time, 400, first.acquire('r', { ttlMs: 10_000, waitMs: 400 }))
      expect(lock.remainingMs()).toBeGreaterThan(9000)
      recover()
      await lock.release()
      await time.advance(5000)
    }
  })

  it('is extended by a majority only, and lost for good where a majority has forgotten it', async () => {
    const { contender, nodes, holding, time } = world(3)
    const locks = await contender()
    const lock = await locks.acquire('r', { ttlMs: 5000 })
    nodes[0]?.redis.restartEmpty()
    await time.advance(2000)
    await lock.extend()
    expect(lock.remainingMs()).toBe(5000 - 50 - 2)
    nodes[1]?.redis.restartEmpty()
    await expect(lock.extend()).rejects.toThrow(LockLostError)
    expect(lock.signal.aborted).toBe(true)
    await settled()
    expect(await holding()).toEqual([])
  })

  it('stays held until its deadline where a majority cannot say, and can be extended until then', async () => {
    const { contender, set, recover, time } = world(3)
    const locks = await contender()
    const lock = await locks.acquire('r', { ttlMs: 5000 })
    set('is away', 0, 1)
    await time.advance(1000)
    await expect(lock.extend()).rejects.toThrow(LockUnavailableError)
    expect(lock.remainingMs()).toBe(5000 - 50 - 2 - 1000)
    recover()
    await lock.extend()
    expect(lock.remainingMs()).toBe(5000 - 50 - 2)
    set('is away', 0, 1)
    await time.advance(4948)
    expect(() => lock.assertHeld()).toThrow(LockLostError)
  })

  it('frees what nobody confirmed, when the nodes are back', async () => {
    const { contender, set, recover, holding, time } = world(3)
    const locks = await contender()
    const lock = await locks.acquire('r', { ttlMs: 10_000 })
    set('is away', 0, 1, 2)
    expect(await lock.release()).toBe(false)
    await time.advance(500)
    expect(await holding()).toEqual([0, 1, 2])
    recover()
    await time.advance(1000)
    expect(await holding()).toEqual([])
  })

  it('is busy where others hold what it takes, and unavailable where nodes do not answer', async () => {
    const one = world(5)
    const locks = await one.contender()
    await one.takenOn(0)
    one.set('is away', 1, 2)
    // Without the other there would be a majority.
    expect(await locks.tryAcquire('r', { ttlMs: 5000 })).toMatchObject({ reason: 'busy' })
    await expect(locks.acquire('r', { ttlMs: 5000, waitMs: 0 })).rejects.toThrow(LockBusyError)
    one.set('is away', 3)
    expect(await locks.tryAcquire('r', { ttlMs: 5000 })).toMatchObject({ reason: 'unavailable' })
  })

  it('gives nothing while a majority may have forgotten, and says for how long', async () => {
    const { contender, nodes, time } = world(3, 5000)
    const locks = await contender()
    const lock = await locks.acquire('r', { ttlMs: 5000 })
    nodes[0]?.redis.restartEmpty()
    nodes[1]?.redis.restartEmpty()
    expect(await locks.tryAcquire('r', { ttlMs: 5000 })).toMatchObject({
      reason: 'quarantined',
      retryAfterMs: 5000,
    })
    await time.advance(4999)
    expect(lock.signal.aborted).toBe(true)
    expect(await locks.tryAcquire('r', { ttlMs: 5000 })).toMatchObject({ reason: 'quarantined' })
    await time.advance(1)
    const next = lockOf(await locks.tryAcquire('r', { ttlMs: 5000 }))
    expect(next.token).toBeGreaterThan(lock.token)
  })

  it.each([3, 5])(
    'counts that another process holds locks for longer, which set this after it had looked, though a majority of %i forgets',
    async (count) => {
      const { contender, nodes, ports, time } = world(count, 5000)
      const late = await contender()
      const longer = Locks.redlock(ports, { name: 'test', maxTtlMs: 25_000 }, time.clocks())
      const held = await longer.acquire('r', { ttlMs: 25_000 })
      for (const { redis } of nodes.slice(0, (count + 1) / 2)) redis.restartEmpty()
      await time.advance(100)
      expect(await late.tryAcquire('r', { ttlMs: 5000 })).toMatchObject({ acquired: false })
      await time.advance(7000)
      held.assertHeld()
      expect(await late.tryAcquire('r', { ttlMs: 5000 })).toMatchObject({ acquired: false })
      expect(await late.tryAcquire('another', { ttlMs: 5000 })).toMatchObject({ reason: 'quarantined' })
    },
  )

  it('does not count a node that has forgotten the lock, so that no second majority forms around it', async () => {
    const { contender, set, nodes, time } = world(3, 5000)
    const locks = await contender()
    set('is away', 2)
    const lock = await locks.acquire('r', { ttlMs: 5000 })
    set('answers', 2)
    nodes[1]?.redis.restartEmpty()
    await time.advance(100)
    expect(await locks.tryAcquire('r', { ttlMs: 5000 })).toMatchObject({ acquired: false })
    lock.assertHeld()
  })

  it('does not count nodes that sentinels have chosen again, until what another may have given there is over', async () => {
    const { ports, holding, time } = world(3)
    let epoch = 0
    let meanwhile = () => {}
    const watched = ports.map((port, i) => {
      const call = async (...asked: Parameters<RedisPort['call']>) => {
        const answer = await port.call(...asked)
        meanwhile()
        return answer
      }
      return i === 0 ? port : behindSentinels(portWith(port, { call }), () => epoch)
    })
    const locks = Locks.redlock(watched, { name: 'test', maxTtlMs: 5000, onError: () => {} }, time.clocks())
    const lock = await locks.acquire('r', { ttlMs: 5000 })
    await lock.release()
    meanwhile = () => {
      epoch = 2
    }
    const refused = await locks.tryAcquire('r', { ttlMs: 5000 })
    expect(refused).toMatchObject({
      cause: { nodes: [{ reason: 'unreachable' }, { reason: 'unreachable' }] },
    })
    await settled()
    expect(await holding()).toEqual([])
    expect(await locks.tryAcquire('r', { ttlMs: 5000 })).toMatchObject({
      reason: 'quarantined',
      retryAfterMs: 5000,
    })
    await time.advance(5000)
    expect(lockOf(await locks.tryAcquire('r', { ttlMs: 5000 })).token).toBeGreaterThan(lock.token)
  })

  it('asks again at times of its own until the holder is gone, and takes no place in a line', async () => {
    const { contender, time } = world(3)
    const locks = await contender()
    await locks.acquire('r', { ttlMs: 1000 })
    const lock = await within(time, 1300, locks.acquire('r', { ttlMs: 1000, waitMs: 2000 }))
    expect(lock.remainingMs()).toBeGreaterThan(0)
  })

  it('is asked for again while there is time, where nodes were late', async () => {
    const { contender, set, recover, time } = world(3)
    const locks = await contender()
    set('hangs', 0, 1)
    const asked = locks.acquire('r', { ttlMs: 3000, waitMs: 1000 })
    await time.advance(50)
    recover()
    expect((await within(time, 300, asked)).remainingMs()).toBeGreaterThan(2000)
  })

  it('stops waiting when it is told to, and leaves no vote behind', async () => {
    const { contender, set, recover, holding, time } = world(3)
    const locks = await contender()
    set('is slow to say so', 0, 1)
    const controller = new AbortController()
    const asked = locks.acquire('r', { ttlMs: 3000, signal: controller.signal })
    await settled()
    controller.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
    recover()
    await time.advance(2000)
    expect(await holding()).toEqual([])
  })
})

describe('tokens of a majority', () => {
  it('take one round where all agree, and a second where one node is ahead', async () => {
    const { contender, set, takenOn } = world(3)
    const locks = await contender()
    const rounds: number[] = []
    const stop = hear('slotwise:lock:votes', (event) => rounds.push(event.rounds))
    const ahead = await contender({ skewMs: 1500 })
    const first = await ahead.acquire('r', { ttlMs: 5000 })
    await first.release()
    // One node has seen a larger token than the two others.
    const [alone] = await takenOn(0)
    await alone?.release()
    set('is away', 2)
    const second = await locks.acquire('r', { ttlMs: 5000 })
    await settled()
    stop()
    expect(rounds).toEqual([1, 2])
    expect(second.token).toBeGreaterThan(first.token)
  })

  it('grow from holder to holder though every majority is another and every clock is wrong', async () => {
    const { contender, set, recover } = world(3)
    const tokens: bigint[] = []
    for (const [away, skewMs] of [
      [0, 1900],
      [1, -1900],
      [2, 0],
      [0, -4000],
      [1, 1000],
      [2, -2000],
    ] as const) {
      set('is away', away)
      const lock = await (await contender({ skewMs })).acquire('r', { ttlMs: 5000 })
      tokens.push(lock.token)
      await lock.release()
      recover()
    }
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => (a < b ? -1 : 1)))
  })

  it('are not taken from a node whose clock is too far from the one here', async () => {
    const { contender } = world(3)
    const refused = (await contender({ skewMs: 5001 })).acquire('r', { ttlMs: 5000, waitMs: 0 })
    const reason = 'clock'
    await expect(refused).rejects.toMatchObject({ nodes: [{ reason }, { reason }, { reason }] })
    await settled()
    const lock = await (await contender({ skewMs: 4999 })).acquire('r', { ttlMs: 5000 })
    lock.assertHeld()
  })

  it('are taken from servers in memory whose clock is turned', async () => {
    const clock = new TestClock()
    const ports = Array.from({ length: 3 }, () => new MemoryRedis({ clock }).connect())
    const locks = Locks.redlock(ports, { name: 'test', nodeTimeoutMs: 2000 })
    clock.advance(3_600_000)
    const lock = await locks.acquire('r', { ttlMs: 5000, waitMs: 0 })
    expect(await lock.release()).toBe(true)
  })
})

describe('the nodes of a majority', () => {
  const options = { name: 'test' }

  it('are three at least, all different and of one namespace', () => {
    const { ports } = world(3)
    const [a, b, c] = ports as [(typeof ports)[0], (typeof ports)[0], (typeof ports)[0]]
    const stranger = new VotingNode(new VirtualTime(), 'other').port
    for (const wrong of [[], [a], [a, b], [a, b, a], [a, b, c, stranger]])
      expect(() => Locks.redlock(wrong, options)).toThrow(ConfigurationError)
  })

  it('are refused where two ports reach one server, also one that was away at first', async () => {
    const { nodes, ports, set, time } = world(3)
    const [first] = nodes as [VotingNode]
    const again = new VotingNode(time)
    Object.assign(again.port, {
      onEachPrimary: (...args: Parameters<RedisPort['onEachPrimary']>) => first.port.onEachPrimary(...args),
    })
    await expect(Locks.redlock([...ports.slice(0, 2), again.port], options).ready()).rejects.toThrow(
      /same server/,
    )
    const locks = Locks.redlock([...ports, again.port], options, time.clocks())
    set('is away', 0)
    await locks.ready()
    set('answers', 0)
    const lock = await locks.acquire('r', { ttlMs: 1000 })
    await settled()
    await expect(locks.acquire('other', { ttlMs: 1000 })).rejects.toThrow(/same server/)
    await lock.release()
  })

  it('are refused where two ports reach servers of one cluster, which tell of each other', async () => {
    const { ports } = world(3)
    const ids = ['a'.repeat(40), 'b'.repeat(40)]
    const view = ids.map((id) => `${id} 127.0.0.1:7000@17000 master - 0 0 1 connected`).join('\n')
    const shard = (port: RedisPort, run: string): RedisPort =>
      portWith(port, {
        onEachPrimary: async ([name, section]: readonly unknown[]) => {
          const info = section === 'cluster' ? 'cluster_enabled:1' : `run_id:${run.repeat(40)}`
          const value = name === 'CLUSTER' ? view : info
          return [{ node: port.topology().nodes[0], result: { status: 'fulfilled', value } }]
        },
      })
    const [a, b, c] = ports as [RedisPort, RedisPort, RedisPort]
    const wrong = Locks.redlock([shard(a, '1'), shard(b, '2'), c], { ...options, evictionCheck: 'off' })
    await expect(wrong.ready()).rejects.toThrow(/one cluster.*new Locks\(port\)/)
  })

  it('may be away when the others are ready', async () => {
    const { contender, set, recover, time, holding } = world(3)
    set('is away', 1)
    const locks = await contender()
    await locks.ready()
    const lock = await locks.acquire('r', { ttlMs: 1000 })
    expect(await holding()).toEqual([0, 2])
    await lock.release()
    recover()
    await time.advance(1000)
    await locks.acquire('r', { ttlMs: 1000 })
    await settled()
    expect(await holding()).toEqual([0, 1, 2])
  })
})
