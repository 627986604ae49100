import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LockLostError, LockUnavailableError } from '../../../src/errors.js'
import { Locks } from '../../../src/lock/index.js'
import { measure } from '../../../src/measure.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { VirtualTime } from '../../support/virtual-clocks.js'
import { VotingNode } from '../../support/voting-node.js'

const NAME = 'voted'
let measured: string[]
let stop: () => void
beforeEach(() => {
  measured = []
  stop = measure(
    (metric, value, { name, ...labels }) => {
      if (name !== NAME || (value !== 1 && metric !== 'slotwise.lock.operation.duration')) return
      measured.push([metric.replace('slotwise.lock.', ''), ...Object.values(labels)].join(' '))
    },
    { perNode: true },
  )
})
afterEach(() => stop())
/** What was counted since the last look, in order. */
const counted = (metric: string) => {
  const found = measured.filter((one) => one.startsWith(metric))
  measured = measured.filter((one) => !one.startsWith(metric))
  return found.map((one) => one.slice(metric.length + 1)).toSorted()
}

async function world(count: number) {
  const time = new VirtualTime()
  const nodes = Array.from({ length: count }, () => new VotingNode(time))
  const options = { name: NAME, maxTtlMs: 5000, onError: () => {} }
  const locks = Locks.redlock(
    nodes.map(({ port }) => port),
    options,
    time.clocks(),
  )
  await locks.ready()
  /** By itself on one node, with whose locks the others have nothing to do. */
  const alone = (node: number) => new Locks(nodes[node]?.port as RedisPort, options, time.clocks())
  const set = (mood: VotingNode['mood'], node: number) => {
    ;(nodes[node] as VotingNode).mood = mood
  }
  return { time, nodes, locks, alone, set }
}

describe('what is counted of independent nodes', () => {
  it('is the vote of each, of one that hangs and one that is away too, when it was decided without them', async () => {
    const { time, locks, set } = await world(5)
    await locks.acquire('a', { ttlMs: 3000 })
    await time.advance(0)
    expect(counted('votes')).toEqual(['granted 0', 'granted 1', 'granted 2', 'granted 3', 'granted 4'])
    set('hangs', 1)
    set('is away', 3)
    await locks.acquire('b', { ttlMs: 3000 })
    await time.advance(50)
    expect(counted('votes')).toEqual(['granted 0', 'granted 2', 'granted 4', 'late 1', 'unreachable 3'])
    expect(counted('second_rounds')).toEqual([])
    expect(counted('operation.duration')).toEqual(['acquired', 'acquired'])
  })

  it('is who is busy, and who may have forgotten, once for each request', async () => {
    const { time, nodes, locks, alone } = await world(3)
    await alone(0).acquire('a', { ttlMs: 5000 })
    nodes[1]?.redis.restartEmpty()
    counted('operation.duration')
    expect(await locks.tryAcquire('a', { ttlMs: 3000 })).toMatchObject({ acquired: false, reason: 'busy' })
    await time.advance(50)
    expect(counted('votes')).toEqual(['busy 0', 'granted 2', 'quarantined 1'])
    expect(counted('second_rounds')).toEqual([])
    expect(counted('operation.duration')).toEqual(['busy'])
    nodes[2]?.redis.restartEmpty()
    expect(await locks.tryAcquire('b', { ttlMs: 3000 })).toMatchObject({ reason: 'quarantined' })
    await time.advance(50)
    expect(counted('votes')).toEqual(['granted 0', 'quarantined 1', 'quarantined 2'])
    expect(counted('operation.duration')).toEqual(['quarantined'])
  })

  it('is a second round, where nodes gave different tokens and only there', async () => {
    const { time, locks, alone, set } = await world(3)
    await (await locks.acquire('a', { ttlMs: 3000 })).release()
    // One node has given more tokens than the two others.
    await (await alone(0).acquire('a', { ttlMs: 3000 })).release()
    set('is away', 2)
    await time.advance(0)
    expect([counted('votes').length, counted('second_rounds').length]).toEqual([3, 0])
    await (await locks.acquire('a', { ttlMs: 3000 })).release()
    await time.advance(0)
    expect([counted('votes'), counted('second_rounds').length]).toEqual([
      ['granted 0', 'granted 1', 'unreachable 2'],
      1,
    ])
    set('answers', 2)
    await (await locks.acquire('b', { ttlMs: 3000 })).release()
    await time.advance(50)
    expect([counted('votes').length, counted('second_rounds').length]).toEqual([3, 0])
  })

  it('is one extension, however many nodes have made it, and none where a majority has not', async () => {
    const { time, nodes, locks, set } = await world(3)
    const lock = await locks.acquire('a', { ttlMs: 3000, maxHoldMs: 60_000 })
    await lock.extend()
    set('is away', 0)
    await lock.extend()
    set('is away', 1)
    await expect(lock.extend()).rejects.toThrow(LockUnavailableError)
    set('answers', 0)
    // By itself at every third of its time.
    await time.advance(2000)
    expect(counted('operation.duration')).toEqual([
      'acquired',
      ...Array.from({ length: 4 }, () => 'extended'),
    ])
    for (const node of nodes.slice(1)) node.redis.restartEmpty()
    await expect(lock.extend()).rejects.toThrow(LockUnavailableError)
    set('answers', 1)
    await expect(lock.extend()).rejects.toThrow(LockLostError)
    expect(counted('operation.duration')).toEqual(['lost'])
  })
})
