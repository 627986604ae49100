import { describe, expect, it } from 'vitest'
import { Locks } from '../../../src/lock/index.js'
import { keyOf } from '../../../src/redis/index.js'
import { settled, VirtualTime } from '../../support/virtual-clocks.js'
import { VotingNode } from '../../support/voting-node.js'
import { TextbookRedlock } from './textbook-redlock.js'

/** What both can be asked for. */
interface Contender {
  /** `undefined` when it is refused. */
  acquire(ttlMs: number): Promise<Held | undefined>
}

interface Held {
  readonly token: bigint | undefined
  /** Whether its holder believes so. */
  isHeld(): boolean
  /** Whether its holder is told that it was extended. */
  extend(): Promise<boolean>
  release(): Promise<unknown>
}

class World {
  readonly time = new VirtualTime()
  readonly nodes = [0, 1, 2].map(() => new VotingNode(this.time))
  readonly key = keyOf({ namespace: '', pattern: 'lock', name: 'test' }, 'r')

  set(mood: VotingNode['mood'], ...indexes: number[]): void {
    for (const i of indexes) (this.nodes[i] as VotingNode).mood = mood
  }

  recover(): void {
    for (const node of this.nodes) node.recover()
  }

  async ours(): Promise<Contender> {
    const ports = this.nodes.map(({ port }) => port)
    const options = { name: 'test', maxTtlMs: 10_000, onError: () => {} }
    const locks = Locks.redlock(ports, options, this.time.clocks())
    await locks.ready()
    return {
      acquire: async (ttlMs) => {
        const answer = await locks.tryAcquire('r', { ttlMs })
        if (!answer.acquired) return undefined
        const { lock } = answer
        return {
          token: lock.token,
          isHeld: () => lock.remainingMs() > 0,
          extend: () =>
            lock.extend().then(
              () => true,
              () => false,
            ),
          release: () => lock.release(),
        }
      },
    }
  }

  async textbook(): Promise<Contender> {
    const ports = this.nodes.map(({ port }) => port)
    const redlock = new TextbookRedlock(ports, this.time.clocks())
    return {
      acquire: async (ttlMs) => {
        const value = await redlock.acquire(this.key, ttlMs)
        if (value === undefined) return undefined
        return {
          token: undefined,
          // All that it tells its holder.
          isHeld: () => true,
          extend: () => redlock.extend(this.key, value, ttlMs).then(() => true),
          release: () => redlock.release(this.key, value),
        }
      },
    }
  }

  /** What comes of it within so long; `undefined` if nothing. */
  async within<R>(ms: number, promise: Promise<R>): Promise<R | undefined> {
    const caught = promise.catch(() => undefined)
    await this.time.advance(ms)
    return await Promise.race([caught, settled().then(() => undefined)])
  }
}

/** Each as whether it is kept. */
const PROMISES: Readonly<Record<string, (world: World, make: () => Promise<Contender>) => Promise<boolean>>> =
  {
    'one node that hangs does not keep a lock of 3 s from being given': async (world, make) => {
      const one = await make()
      world.set('hangs', 0)
      const lock = await world.within(100, one.acquire(3000))
      return lock !== undefined
    },
    'a lock whose time was over when the answers came is not handed out': async (world, make) => {
      const one = await make()
      world.set('is slow to say so', 0, 1, 2)
      const asked = one.acquire(300)
      await settled()
      world.time.stall(300)
      world.recover()
      return (await world.within(0, asked)) === undefined
    },
    'a holder knows when its time is over': async (world, make) => {
      const lock = await (await make()).acquire(300)
      await world.time.advance(300)
      return lock?.isHeld() === false
    },
    'an extension that only a minority took is none': async (world, make) => {
      const lock = await (await make()).acquire(3000)
      world.nodes[0]?.redis.restartEmpty()
      world.nodes[1]?.redis.restartEmpty()
      return (await lock?.extend()) === false
    },
    'a vote whose answer and release were lost is freed': async (world, make) => {
      const one = await make()
      world.set('is slow to say so', 0)
      world.set('is away', 1, 2)
      const asked = one.acquire(10_000)
      await settled()
      world.set('is away', 0)
      await world.within(2000, asked)
      world.recover()
      await world.time.advance(2500)
      return !(await world.nodes[0]?.has(world.key))
    },
    'a release that nobody heard is made again': async (world, make) => {
      const lock = await (await make()).acquire(10_000)
      world.set('is away', 0, 1, 2)
      await world.within(1000, lock?.release() ?? Promise.resolve())
      world.recover()
      await world.time.advance(2000)
      const held = await Promise.all(world.nodes.map((node) => node.has(world.key)))
      return !held.includes(true)
    },
    'a node that was killed and came back empty makes no second holder': async (world, make) => {
      const [a, b] = [await make(), await make()]
      world.set('is away', 2)
      const first = await a.acquire(10_000)
      world.recover()
      world.nodes[1]?.redis.restartEmpty()
      const second = await world.within(400, b.acquire(10_000))
      return first !== undefined && second === undefined
    },
    'a later holder has a larger token': async (_, make) => {
      const one = await make()
      const first = await one.acquire(1000)
      await first?.release()
      const second = await one.acquire(1000)
      return (second?.token ?? 0n) > (first?.token ?? 0n)
    },
  }

const broken = async (make: (world: World) => Promise<Contender>): Promise<readonly string[]> => {
  const found: string[] = []
  for (const [promise, isKept] of Object.entries(PROMISES)) {
    const world = new World()
    if (!(await isKept(world, () => make(world)))) found.push(promise)
  }
  return found
}

describe('what a majority of nodes promises', () => {
  it('is kept', async () => {
    expect(await broken((world) => world.ours())).toEqual([])
  })

  it('is broken in every part by the textbook’s Redlock', async () => {
    const list = await broken((world) => world.textbook())
    console.log(`the textbook’s Redlock breaks:\n${list.map((one) => `  ${one}`).join('\n')}`)
    expect(list).toEqual(Object.keys(PROMISES))
  })
})
