import { stat } from 'node:fs/promises'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { RedisUnavailableError, ReplyError } from '../../../src/errors.js'
import { Locks, Semaphore } from '../../../src/lock/index.js'
import { Markers, markerOf, PLACES, tagOf } from '../../../src/lock/markers.js'
import { Others } from '../../../src/lock/others.js'
import type { CallOptions } from '../../../src/options.js'
import { keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'
import { portWith } from '../../support/port-with.js'
import { VirtualTime } from '../../support/virtual-clocks.js'

let clock: TestClock
let redis: MemoryRedis
let locks: Locks
beforeEach(() => {
  clock = new TestClock()
  redis = new MemoryRedis({ clock })
  locks = new Locks(redis.connect(), { name: 'q', maxTtlMs: 10_000 })
})

const tried = (resource: string, from: Locks = locks) => from.tryAcquire(resource, { ttlMs: 5000 })

describe('a slot without a marker', () => {
  const keyOfLock = keyOf({ namespace: '', pattern: 'lock', name: 'q' }, 'a')
  const slot = slotOf(keyOfLock)
  const marker = markerOf('', slot)
  const told = (port = redis.connect()) =>
    vi.waitFor(async () => {
      const when = await port.call({ key: marker, command: ['HGET', marker, 'n'] })
      if (when === null) throw new Error('others have not been told')
      return Number(when)
    })
  /** As if its server had been started empty, and another kept what others know. */
  const lose = async () => {
    const port = redis.connect()
    await port.pipeline([marker, keyOfLock].map((key) => ({ key, command: ['DEL', key] })))
  }
  type Call = Parameters<RedisPort['call']>[0]
  const nameOf = (call: Call) => ('command' in call ? call.command[0] : call.script.name)
  const ownerOf = (one: number) => redis.connect().topology().ownerOf(one)?.id
  const keysOf = (call: Call) => ('command' in call ? [call.key] : call.keys)
  const isElsewhere = (call: Call) => keysOf(call).every((key) => ownerOf(slotOf(key)) !== ownerOf(slot))
  /** Whose calls may fail, unless they are of some use, or be answered by somebody else. */
  const among = (instead: (name: string, call: Call, nth: number) => Error | number | undefined) => {
    const port = redis.connect()
    const counts = new Map<string, number>()
    const through = async (call: Call, options?: CallOptions) => {
      const name = nameOf(call)
      const nth = counts.get(name) ?? 0
      counts.set(name, nth + 1)
      const answer = instead(name, call, nth)
      if (answer instanceof Error) throw answer
      return answer ?? (await port.call(call, options))
    }
    const reported: unknown[] = []
    const onError = (error: unknown) => reported.push(error)
    const pipeline = (calls: readonly Call[], options?: CallOptions) =>
      Promise.allSettled(calls.map((call) => through(call, options)))
    const from = new Locks(portWith(port, { call: through, pipeline }), {
      name: 'q',
      maxTtlMs: 10_000,
      onError,
    })
    return { from, reported, counts }
  }
  const away = new RedisUnavailableError('it is away')
  const forbidden = new ReplyError('NOPERM this user has no permissions')

  it('is in quarantine where others know that it had locks, however long its server is up', async () => {
    const held = await tried('a')
    await told()
    await lose()
    expect(await tried('a')).toEqual({ acquired: false, reason: 'quarantined', retryAfterMs: 10_000 })
    clock.advance(10_000)
    const next = await tried('a')
    expect.assert(held.acquired && next.acquired)
    expect(next.lock.token).toBeGreaterThan(held.lock.token)
    await told()
    await lose()
    expect(await tried('a')).toMatchObject({ reason: 'quarantined' })
  })

  it('is had at once where it never had a lock, by one of those who want it at once', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => tried('a', i % 2 ? locks : among(() => undefined).from)),
    )
    expect(outcomes.filter(({ acquired }) => acquired)).toHaveLength(1)
    expect(outcomes.filter((one) => !one.acquired && one.reason !== 'busy')).toEqual([])
  })

  it('is asked about before its first lock only, and told of by that one, and once an hour after it', async () => {
    const { from, counts } = among(() => undefined)
    const often = async () => {
      for (let i = 0; i < 5; i++) {
        const held = await from.acquire('a', { ttlMs: 5000 })
        await held.release()
        await told()
      }
      return [counts.get('GETBIT'), counts.get('SETBIT')]
    }
    const [asked = 0, saidTo] = await often()
    expect([asked, saidTo]).toEqual([8, 8])
    clock.advance(3_599_000)
    expect(await often()).toEqual([asked, 8])
    clock.advance(2000)
    const before = await told()
    await (await from.acquire('a', { ttlMs: 5000 })).release()
    await vi.waitFor(async () => expect(await told()).toBeGreaterThan(before))
    expect([counts.get('GETBIT'), counts.get('SETBIT')]).toEqual([asked, 16])
  })

  it('is told of by whoever has the next lock, where whoever had the first one did not come to it', async () => {
    const { from, reported } = among((name) => (name === 'SETBIT' ? away : undefined))
    await (await from.acquire('a', { ttlMs: 5000 })).release()
    await (await locks.acquire('a', { ttlMs: 5000 })).release()
    await told()
    await lose()
    expect(await tried('a')).toMatchObject({ reason: 'quarantined' })
    expect(reported).toEqual([])
  })

  it.each(['locks', 'permits'] as const)(
    'is told of too where the answer to whoever has the first of its %s was lost, and it asks again',
    async (kind) => {
      let lost = 0
      const port = redis.connect()
      const losing = portWith(port, {
        call: async (call: Call, options?: CallOptions) => {
          const answer = await port.call(call, options)
          // As a port does that sends again what may be sent again.
          if (!nameOf(call).endsWith('acquire') || !Array.isArray(answer) || answer[0] !== 1) return answer
          lost++
          return await port.call(call, options)
        },
      })
      const settings = { name: 'q', maxTtlMs: 10_000 }
      const from =
        kind === 'locks' ? new Locks(losing, settings) : new Semaphore(losing, { ...settings, permits: 2 })
      expect(await from.tryAcquire('a', { ttlMs: 5000 })).toMatchObject({ acquired: true })
      expect(lost).toBe(1)
      await told()
    },
  )

  it('is told of to those that were away when they are back, and only then counts as told', async () => {
    const time = new VirtualTime()
    const port = redis.connect()
    let isAway = true
    const heard: number[] = []
    const pipeline = async (calls: readonly Call[], options?: CallOptions) => {
      const isAbout = calls.some((call) => nameOf(call) === 'SETBIT')
      if (isAbout) heard.push(calls.length)
      const answers = await port.pipeline(calls, options)
      return isAbout && isAway
        ? answers.with(answers.length - 1, { status: 'rejected', reason: away })
        : answers
    }
    const through = portWith(port, { pipeline })
    const others = new Others(through, new Markers(''), time.clocks(), () => {})
    const isTold = () => port.call({ key: marker, command: ['HEXISTS', marker, 'n'] })
    for (const one of [slot, slot, slot + 1]) others.tell(one, clock.now())
    await time.advance(9999)
    expect(heard).toEqual([8, 8])
    isAway = false
    expect(await isTold()).toBe(0)
    await time.advance(1)
    expect(heard).toEqual([8, 8, 1, 1])
    expect(await isTold()).toBe(1)
    await time.advance(60_000)
    expect(heard).toHaveLength(4)
    others.close()
  })

  it('counts as told of only if all heard of it before, and not where they may have forgotten it meanwhile', async () => {
    const time = new VirtualTime()
    const port = redis.connect()
    let isAway = true
    const call = async (one: Call, options?: CallOptions) => {
      if (isAway) throw away
      return await port.call(one, options)
    }
    const others = new Others(portWith(port, { call }), new Markers(''), time.clocks(), () => {})
    others.tell(slot, clock.now())
    await time.advance(100)
    redis.restartEmpty()
    isAway = false
    await time.advance(10_000)
    const keys = PLACES.map((place) =>
      keyOf({ namespace: '', pattern: 'lock-marker', name: 'slots' }, tagOf(place)),
    )
    const bits = keys.map((key) => port.call({ key, command: ['GETBIT', key, slot] }))
    expect(await Promise.all(bits)).toEqual(PLACES.map(() => 1))
    others.close()
  })

  it.each(['port', 'locks'] as const)(
    'is told of by nobody any more once its %s is closed',
    async (which) => {
      const time = new VirtualTime()
      const port = redis.connect()
      let tries = 0
      const pipeline = async (calls: readonly Call[], options?: CallOptions) => {
        tries++
        return tries > 1
          ? await port.pipeline(calls, options)
          : calls.map(() => ({ status: 'rejected', reason: away }) as const)
      }
      const others = new Others(portWith(port, { pipeline }), new Markers(''), time.clocks(), () => {})
      others.tell(slot, clock.now())
      await time.advance(100)
      if (which === 'port') await port.close()
      else others.close()
      await time.advance(3_600_000)
      expect(tries).toBeLessThanOrEqual(2)
    },
  )

  it('is in quarantine where one knows of a lock, though as many as decide have not heard of it', async () => {
    const knows = (name: string, _: Call, nth: number) =>
      name === 'GETBIT' ? (nth === 7 ? 1 : 0) : undefined
    expect(await tried('a', among(knows).from)).toMatchObject({ reason: 'quarantined' })
    const own = (name: string, call: Call) => (name === 'GETBIT' && !isElsewhere(call) ? 1 : undefined)
    expect(await tried('b', among(own).from)).toMatchObject({ reason: 'quarantined' })
  })

  it('is had at once where some of the others are away, and in quarantine where all are', async () => {
    const one = among((name, _, nth) => (name === 'GETBIT' && nth > 0 && nth < 7 ? away : undefined))
    expect(await tried('a', one.from)).toMatchObject({ acquired: true })
    await lose()
    const all = among((name, call) => (name === 'GETBIT' && isElsewhere(call) ? away : undefined))
    expect(await tried('a', all.from)).toMatchObject({ reason: 'quarantined', retryAfterMs: 10_000 })
  })

  it('is had where others answer only when they are asked once more, as to whoever is far away or stood still', async () => {
    const { from, counts } = among((name, _, nth) => (name === 'GETBIT' && nth < 8 ? away : undefined))
    expect(await tried('a', from)).toMatchObject({ acquired: true })
    expect(counts.get('GETBIT')).toBe(16)
    expect(await tried('b')).toMatchObject({ acquired: true })
  })

  it('is in quarantine where one knows of a lock, and its answer came while this process stood still', async () => {
    const port = redis.connect()
    const standStill = () => {
      const until = performance.now() + 30
      while (performance.now() < until);
    }
    const call = async (one: Call, options?: CallOptions) => {
      if (nameOf(one) !== 'GETBIT') return await port.call(one, options)
      if (isElsewhere(one)) return 0
      // Comes as from a socket: read behind the timers that are due by then.
      await new Promise<void>((arrived) => {
        setImmediate(() => {
          void stat('.').then(() => arrived())
          standStill()
        })
      })
      return 1
    }
    const from = new Locks(portWith(port, { call }), { name: 'q', maxTtlMs: 10_000 })
    expect(await tried('a', from)).toMatchObject({ reason: 'quarantined' })
  })

  it('is left as it is by whoever has no time to ask', async () => {
    const { from } = among((name, call) => (name === 'GETBIT' && isElsewhere(call) ? away : undefined))
    const brief = await from.tryAcquire('a', { ttlMs: 100 })
    expect(brief).toMatchObject({ reason: 'unavailable', cause: { code: 'REDIS_UNAVAILABLE' } })
    expect(await tried('a')).toMatchObject({ acquired: true })
  })

  it('is not asked for any more once the time of the call is over, whatever took it', async () => {
    const port = redis.connect()
    let [isSlow, asked] = [false, 0]
    const call = (one: Call, options?: CallOptions) => {
      if (nameOf(one).endsWith('acquire')) asked++
      return port.call(one, options)
    }
    const pipeline = async (calls: readonly Call[], options?: CallOptions) => {
      if (isSlow) await new Promise((resolve) => setTimeout(resolve, 60))
      return await port.pipeline(calls, options)
    }
    const from = new Locks(portWith(port, { call, pipeline }), { name: 'q', maxTtlMs: 10_000 })
    await (await from.acquire('a', { ttlMs: 5000 })).release()
    redis.failOver()
    ;[isSlow, asked] = [true, 0]
    const outcome = await from.tryAcquire('a', { ttlMs: 5000, deadlineMs: 50 })
    expect(outcome).toMatchObject({ reason: 'unavailable' })
    expect(asked).toBe(1)
  })

  it('is asked about again where its server began anew meanwhile', async () => {
    const { from, counts } = among((name, _, nth) => {
      if (name === 'GETBIT' && nth === 0) {
        redis.restartEmpty()
        clock.advance(60_000)
      }
      return undefined
    })
    expect(await tried('a', from)).toMatchObject({ acquired: true })
    expect(counts.get('GETBIT')).toBe(16)
  })

  it('is had by nobody who may not ask others, and whoever may not tell them hears once what is missing', async () => {
    const asking = among((name) => (name === 'GETBIT' ? forbidden : undefined))
    const refused = await tried('a', asking.from)
    expect(refused).toMatchObject({
      reason: 'unavailable',
      cause: { code: 'CONFIGURATION', message: expect.stringContaining('allow the user') as string },
    })
    const telling = among((name) => (name === 'SETBIT' ? forbidden : undefined))
    for (const resource of ['a', 'b', 'c'])
      expect(await tried(resource, telling.from)).toMatchObject({ acquired: true })
    await vi.waitFor(() => expect(telling.reported).toMatchObject([{ code: 'CONFIGURATION' }]))
  })

  it('is as free for the next as if nobody had asked, where whoever asked first gave up', async () => {
    const given = new AbortController()
    const { from } = among((name) => {
      if (name === 'GETBIT') given.abort()
      return undefined
    })
    const asked = from.acquire('a', { ttlMs: 5000, signal: given.signal })
    await expect(asked).rejects.toThrow('aborted')
    await vi.waitFor(async () => expect(await tried('a')).toMatchObject({ acquired: true }))
  })
})
