import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { LoadContext, LoadManyContext, Warmed } from '../../../src/cache/index.js'
import {
  ConfigurationError,
  LoadTimeoutError,
  OriginBusyError,
  RedisUnavailableError,
  UncacheableValueError,
} from '../../../src/errors.js'
import { slotOf } from '../../../src/redis/index.js'
import { withoutHearing } from '../../support/port-with.js'
import { refuse, testBed } from './caches.js'
import { roundTripping } from './counted-port.js'
import { gate, heldLoad, turns } from './gate.js'
import { type Call, nameOf, watched } from './watched-port.js'

const bed = testBed('many')
const ids = (count: number): string[] => Array.from({ length: count }, () => randomUUID())
const keyOfCall = (call: Call) => ('script' in call ? call.keys[0] : call.key)
const upper = (all: readonly string[]): string[] => all.map((id) => id.toUpperCase())

describe('many entries at once', () => {
  it('are read in one round trip, wherever their slots are, in the order asked for', async () => {
    const all = ids(100)
    const watching = watched(bed.port)
    const cache = bed.cache<string>({}, watching)
    expect(new Set(all.map((id) => slotOf(bed.key(id)) % 3)).size).toBe(3)
    await cache.setMany(all.slice(0, 60).map((id) => ({ id, value: id.toUpperCase() })))
    watching.sent.length = 0
    expect(await cache.getMany(all)).toEqual([...upper(all.slice(0, 60)), ...Array(40).fill(undefined)])
    expect(watching.sent).toEqual(Array(100).fill('HGET'))
    await cache.deleteMany(all)
    expect(await cache.getMany(all)).toEqual(Array(100).fill(undefined))
  })

  it('cost as many round trips as one, whatever is done to them', async () => {
    const all = ids(60)
    const { port, roundTrips } = roundTripping(bed.port)
    const cache = bed.cache<string>({}, port)
    const values = all.map((id) => ({ id, value: id }))
    let beforeTheLoad = 0
    const loaded = async (): Promise<void> => {
      const before = roundTrips()
      await cache.getOrLoadMany(all, (missing) => {
        beforeTheLoad = roundTrips() - before
        return upper(missing)
      })
      await expect.poll(() => cache.getMany(all)).not.toContain(undefined)
    }
    const costs = async (act: () => Promise<unknown>): Promise<number> => {
      const before = roundTrips()
      await act()
      return roundTrips() - before
    }
    expect(await costs(() => cache.setMany(values))).toBe(1)
    expect(await costs(() => cache.getMany(all))).toBe(1)
    expect(await costs(() => cache.getOrLoadMany(all, refuse))).toBe(1)
    expect(await costs(() => cache.invalidateMany(all))).toBe(1)
    await loaded()
    expect(beforeTheLoad).toBe(2)
    expect(await costs(() => cache.mutate({ ids: all }, () => 'done'))).toBe(2)
  })

  it('are loaded by one call for those that are missing', async () => {
    const all = ids(50)
    const cache = bed.cache<string>()
    await cache.setMany(all.slice(0, 20).map((id) => ({ id, value: 'stored' })))
    const calls: (readonly string[])[] = []
    const results = await cache.getOrLoadMany(all, async (missing) => {
      calls.push(missing)
      return upper(missing)
    })
    expect(calls.map((missing) => missing.toSorted())).toEqual([all.slice(20).toSorted()])
    expect(results).toEqual(
      [...Array(20).fill('stored'), ...upper(all.slice(20))].map((value) => ({ status: 'fulfilled', value })),
    )
    await expect.poll(() => cache.getMany(all)).not.toContain(undefined)
    expect(await cache.getOrLoadMany(all, refuse)).toEqual(results)
  })

  it('are loaded once by five processes, in whatever share each has', async () => {
    const all = ids(40)
    const loaded: string[] = []
    const processes = Array.from({ length: 5 }, () => bed.cache<string>())
    const results = await Promise.all(
      processes.map((cache) =>
        cache.getOrLoadMany(all, async (missing) => {
          loaded.push(...missing)
          await turns(20)
          return upper(missing)
        }),
      ),
    )
    for (const result of results) {
      expect(result).toEqual(upper(all).map((value) => ({ status: 'fulfilled', value })))
    }
    expect(loaded.toSorted()).toEqual(all.toSorted())
  })

  it('are loaded by one call for those that are missing and those that are stale, whichever node is slower', async () => {
    const [last, ...others] = ids(30)
    const all = [last ?? '', ...others]
    const stale = all.slice(0, 20)
    const terms = { staleMs: 60_000 }
    await bed.cache<string>(terms).setMany(stale.map((id) => ({ id, value: 'old' })))
    await Promise.all(stale.map((id) => bed.age(id, 61_000)))
    const slower = gate()
    const isLast = (call: Call) => nameOf(call) === 'acquire' && keyOfCall(call) === bed.key(all[0] ?? '')
    const watching = watched(
      bed.port,
      () => {},
      (call) => (isLast(call) ? slower.passed : undefined),
    )
    const cache = bed.cache<string>(terms, watching)
    const calls: (readonly string[])[] = []
    const reading = cache.getOrLoadMany(all, (missing) => {
      calls.push(missing)
      return upper(missing)
    })
    await expect.poll(() => watching.sent.filter((name) => name === 'acquire')).toHaveLength(30)
    await turns(20)
    slower.open()
    expect((await reading).map((one) => one.status === 'fulfilled' && one.value)).toEqual([
      ...Array(20).fill('old'),
      ...upper(all.slice(20)),
    ])
    await expect.poll(() => cache.getMany(all)).toEqual(upper(all))
    expect(calls.map((missing) => missing.toSorted())).toEqual([all.toSorted()])
  })

  it('fail each by itself, and nothing of a failure is stored', async () => {
    const [good = '', bad = ''] = ids(2)
    const cache = bed.cache<string>()
    const results = await cache.getOrLoadMany([good, bad], (missing) =>
      missing.map((id) => (id === bad ? new Error('no such row') : id)),
    )
    expect(results).toMatchObject([
      { status: 'fulfilled', value: good },
      { status: 'rejected', reason: { message: 'no such row' } },
    ])
    expect(await cache.getOrLoad(bad, () => 'now')).toBe('now')
  })

  it('that cannot be stored fail each by itself', async () => {
    const [good = '', bad = '', circular = ''] = ids(3)
    const knot: Record<string, unknown> = {}
    knot['self'] = knot
    const values = new Map<string, unknown>([
      [good, 'value'],
      [circular, knot],
    ])
    const results = await bed
      .cache<unknown>()
      .getOrLoadMany([good, bad, circular], (missing) => missing.map((id) => values.get(id)))
    expect(results).toMatchObject([
      { status: 'fulfilled', value: 'value' },
      { status: 'rejected', reason: { code: 'UNCACHEABLE_VALUE' } },
      { status: 'rejected', reason: { code: 'UNCACHEABLE_VALUE' } },
    ])
  })

  it('fail all with a loader that throws or brings too few', async () => {
    const cache = bed.cache<string>()
    const down = new Error('down')
    const thrown = await cache.getOrLoadMany(ids(3), () => Promise.reject(down))
    for (const result of thrown) expect(result).toEqual({ status: 'rejected', reason: down })
    const few = await cache.getOrLoadMany(ids(3), () => ['one'])
    for (const result of few) expect(result).toMatchObject({ reason: expect.any(UncacheableValueError) })
  })

  it('are given up by one caller without harm to who waits for one of them, and aborted when nobody waits', async () => {
    const [shared = '', alone = ''] = ids(2)
    const watching = watched(bed.port)
    const cache = bed.cache<string>({}, watching)
    const [called, finished, impatient] = [gate(), gate(), new AbortController()]
    const signals: AbortSignal[] = []
    const loadMany = async (missing: readonly string[], { signal }: LoadManyContext): Promise<string[]> => {
      signals.push(signal)
      called.open()
      await finished.passed
      return upper(missing)
    }
    const gone = cache.getOrLoadMany([shared, alone], { signal: impatient.signal }, loadMany)
    await called.passed
    const patient = cache.getOrLoad(shared, refuse)
    await watching.idle()
    const enough = new Error('enough')
    impatient.abort(enough)
    expect(await gone).toEqual([1, 2].map(() => ({ status: 'rejected', reason: enough })))
    expect(signals.map(({ aborted }) => aborted)).toEqual([false])
    finished.open()
    expect(await patient).toBe(shared.toUpperCase())

    const [other, all] = [new AbortController(), ids(2)]
    const left = cache.getOrLoadMany(all, { signal: other.signal }, async (_, { signal }) => {
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      return []
    })
    await expect.poll(() => cache.stats().loads).toBe(4)
    await watching.idle()
    other.abort(enough)
    expect(await left).toEqual(all.map(() => ({ status: 'rejected', reason: enough })))
    expect(await cache.getOrLoadMany(all, upper)).toMatchObject(all.map(() => ({ status: 'fulfilled' })))
  })

  it('may name one entry twice, or none', async () => {
    const [id = ''] = ids(1)
    const cache = bed.cache<string>()
    const calls: (readonly string[])[] = []
    const results = await cache.getOrLoadMany([id, id], (missing) => {
      calls.push(missing)
      return upper(missing)
    })
    expect(results.map((result) => result.status === 'fulfilled' && result.value)).toEqual(upper([id, id]))
    expect(calls).toEqual([[id]])
    expect(await cache.getOrLoadMany([], refuse)).toEqual([])
    expect(await cache.getMany([])).toEqual([])
    expect(await cache.setMany([])).toEqual([])
  })

  it('of a loader that asks for a time that is none fail, and nothing is stored', async () => {
    const all = ids(2)
    const cache = bed.cache<string>()
    const results = await cache.getOrLoadMany(all, (missing, { setTtlMs }) => {
      setTtlMs(0, 1)
      return upper(missing)
    })
    for (const result of results) expect(result).toMatchObject({ reason: expect.any(ConfigurationError) })
    expect(await cache.getOrLoadMany(all, upper)).toMatchObject(all.map(() => ({ status: 'fulfilled' })))
  })

  it('may each have a time of their own, and need not be stored', async () => {
    const [short = '', never = '', usual = ''] = ids(3)
    const watching = watched(bed.port)
    const cache = bed.cache<string>({}, watching)
    await cache.getOrLoadMany([short, never, usual], (missing, { setTtlMs, skipStore }) => {
      setTtlMs(1000, missing.indexOf(short))
      skipStore(missing.indexOf(never))
      return upper(missing)
    })
    await watching.idle()
    const left = await Promise.all(
      [short, never, usual].map((id) => bed.port.call({ key: bed.key(id), command: ['PTTL', bed.key(id)] })),
    )
    expect(Number(left[0])).toBeLessThanOrEqual(1000)
    expect(Number(left[0])).toBeGreaterThan(0)
    expect(left[1]).toBe(-2)
    expect(Number(left[2])).toBeGreaterThan(50_000)
  })
})

describe('a function that is wrapped', () => {
  it('reads through the cache, by its arguments', async () => {
    const cache = bed.cache<string>()
    const calls: unknown[] = []
    const salt = randomUUID()
    const price = cache.wrap(async (product: string, size: number) => {
      calls.push([product, size])
      return `${product}/${size}`
    })
    expect(await price(salt, 7)).toBe(`${salt}/7`)
    await expect.poll(() => cache.get([salt, 7])).toBeDefined()
    expect(await price(salt, 7)).toBe(`${salt}/7`)
    expect(await price(salt, 8)).toBe(`${salt}/8`)
    expect(calls).toEqual([
      [salt, 7],
      [salt, 8],
    ])
  })

  it('may say what its arguments are called', async () => {
    const cache = bed.cache<string>()
    const user = cache.wrap(
      async ({ id }: { id: string }) => id.toUpperCase(),
      ({ id }) => ['user', id],
    )
    const id = randomUUID()
    expect(await user({ id })).toBe(id.toUpperCase())
    await expect.poll(() => cache.get(['user', id])).toBe(id.toUpperCase())
  })
})

describe('warming', () => {
  it('loads what is not there, and says how far it has come', async () => {
    const all = ids(25)
    const cache = bed.cache<string>()
    await cache.setMany(all.slice(0, 5).map((id) => ({ id, value: 'there' })))
    const progress: number[] = []
    async function* source(): AsyncGenerator<string> {
      yield* all
    }
    const warmed = await cache.warm(
      source(),
      { batchSize: 10, onProgress: ({ done }) => progress.push(done) },
      (missing) => missing.map((id) => (id === all[24] ? new Error('bad row') : id)),
    )
    expect(warmed).toEqual({ done: 25, failed: 1, present: 5 })
    expect(progress.at(-1)).toBe(25)
    await expect.poll(() => cache.getMany(all.slice(0, 24))).not.toContain(undefined)
    expect(cache.stats().errors).toBe(1)
  })

  it('says so after each batch', async () => {
    const cache = bed.cache<string>()
    const told: Warmed[] = []
    const options = {
      batchSize: 10,
      concurrency: 1,
      onProgress: (progress: Warmed) => void told.push(progress),
    }
    await cache.warm(ids(25), options, (missing) => [...missing])
    expect(told).toEqual([10, 20, 25].map((done) => ({ done, failed: 0, present: 0 })))
  })

  it('fills entries that bear tags, so that a change of one takes them away', async () => {
    const all = ids(20)
    const cache = bed.cache<string>()
    const [tag, watching] = [randomUUID(), watched(bed.port)]
    await bed.cache<string>({}, watching).warm(all, { tags: [tag] }, upper)
    await watching.idle()
    expect(await cache.getMany(all)).toEqual(upper(all))
    await cache.invalidateTags([tag])
    expect(await cache.getMany(all)).toEqual(Array(20).fill(undefined))
  })

  it('can be stopped, and then calls no loader any more', async () => {
    const stop = new AbortController()
    const cache = bed.cache<string>()
    let calls = 0
    const warming = cache.warm(ids(30), { batchSize: 10, concurrency: 1, signal: stop.signal }, (missing) => {
      calls++
      stop.abort(new Error('enough'))
      return [...missing]
    })
    await expect(warming).rejects.toThrow('enough')
    expect(calls).toBe(1)
  })
})

describe('everything', () => {
  it('of a tenant, or of all, is found on every primary and removed', async () => {
    const all = ids(60)
    const name = `all-${randomUUID().slice(0, 8)}`
    const [cache, other] = [bed.cache<string>({ name }), bed.cache<string>({ name: `${name}-2` })]
    const acme = cache.forTenant('a[c]m*e?')
    for (const view of [cache, acme, other]) await view.setMany(all.map((id) => ({ id, value: id })))
    expect(await acme.invalidateAll()).toBe(60)
    expect(await acme.getMany(all)).toEqual(Array(60).fill(undefined))
    expect(await cache.getMany(all)).toEqual(all)
    expect(await cache.invalidateAll()).toBe(60)
    expect(await cache.getMany(all)).toEqual(Array(60).fill(undefined))
    expect(await other.getMany(all)).toEqual(all)
  })

  it('that is being loaded loses its right to be stored', async () => {
    const [id = ''] = ids(1)
    const cache = bed.cache<string>({ name: `all-${id}` })
    const slow = heldLoad<string>()
    const loading = cache.getOrLoad(id, slow.load)
    await slow.called
    expect(await cache.invalidateAll()).toBe(1)
    slow.finish('old')
    expect(await loading).toBe('old')
    await expect.poll(() => cache.stats().refusedFills).toBe(1)
    expect(await cache.get(id)).toBeUndefined()
  })
})

describe('a slow load', () => {
  it.each([
    ['the cache', { hardTimeoutMs: 20 }, {}],
    ['the call', {}, { hardTimeoutMs: 20 }],
  ])(
    'costs a caller no more than the hard time-out of %s, goes on, and is stored',
    async (_, own, options) => {
      const [id = ''] = ids(1)
      const cache = bed.cache<string>(own)
      const slow = heldLoad<string>()
      let signal: AbortSignal | undefined
      const load = (context: LoadContext): Promise<string> => {
        signal = context.signal
        return slow.load()
      }
      await expect(cache.getOrLoad(id, options, load)).rejects.toThrow(LoadTimeoutError)
      expect(signal?.aborted).toBe(false)
      slow.finish('value')
      await expect.poll(() => cache.get(id)).toBe('value')
    },
  )

  it('is not held up by the cap of its origin beyond the wait allowed, nor are others called', async () => {
    const all = ids(3)
    const cache = bed.cache<string>({ origin: { maxConcurrent: 1, maxWaitMs: 30 } })
    const first = gate<string>()
    const running = cache.getOrLoad(all[0] ?? '', () => first.passed)
    await expect.poll(() => cache.stats().loads).toBe(1)
    await expect(cache.getOrLoad(all[1] ?? '', refuse)).rejects.toThrow(OriginBusyError)
    first.open('value')
    expect(await running).toBe('value')
    expect(await cache.getOrLoad(all[2] ?? '', () => 'free')).toBe('free')
  })

  it('of many is one load for the origin', async () => {
    const cache = bed.cache<string>({ origin: { maxConcurrent: 1, maxWaitMs: 0 } })
    const finished = gate()
    let calls = 0
    const reading = cache.getOrLoadMany(ids(20), async (missing) => {
      calls++
      await finished.passed
      return upper(missing)
    })
    await expect.poll(() => calls).toBe(1)
    // Long enough for whoever would have to wait to be sent away.
    await new Promise((resolve) => setTimeout(resolve, 20))
    finished.open()
    expect((await reading).every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(calls).toBe(1)
  })

  it('does not become many at a time when Redis is away: the origin bears what it is told to', async () => {
    const away = watched(bed.port, () => {
      throw new RedisUnavailableError('away')
    })
    const cache = bed.cache<string>({ origin: { maxConcurrent: 2, maxWaitMs: 60 } }, away)
    const held = gate()
    let [running, most] = [0, 0]
    const load = async (): Promise<string> => {
      most = Math.max(most, ++running)
      await held.passed
      running--
      return 'loaded'
    }
    const reading = Promise.allSettled(ids(50).map((id) => cache.fetch(id, load)))
    await expect.poll(() => running).toBe(2)
    setTimeout(held.open, 120)
    const results = await reading
    const loaded = results.filter(({ status }) => status === 'fulfilled')
    expect(loaded).toMatchObject([1, 2].map(() => ({ value: { value: 'loaded', how: 'bypass' } })))
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(OriginBusyError)
    }
    expect([most, loaded.length]).toEqual([2, 2])
    expect(await cache.getOrLoad(ids(1)[0] ?? '', () => 'free again')).toBe('free again')
  })

  it('of many is one call when Redis is away as well', async () => {
    const away = watched(bed.port, () => {
      throw new RedisUnavailableError('away')
    })
    const all = ids(30)
    const calls: (readonly string[])[] = []
    const results = await bed.cache<string>({}, away).getOrLoadMany(all, (missing) => {
      calls.push(missing)
      return upper(missing)
    })
    expect(results.map((one) => one.status === 'fulfilled' && one.value)).toEqual(upper(all))
    expect(calls).toEqual([all])
  })

  it('of another process wakes who waits for it, without being asked all the time', async () => {
    const [id = ''] = ids(1)
    const loading = bed.cache<string>()
    const slow = heldLoad<string>()
    const first = loading.getOrLoad(id, slow.load)
    await slow.called
    const watching = watched(bed.port)
    const waiting = bed.cache<string>({}, watching)
    const from = performance.now()
    const second = waiting.fetch(id, refuse)
    await new Promise((resolve) => setTimeout(resolve, 400))
    const asked = watching.sent.filter((name) => name === 'acquire').length
    expect(asked).toBeLessThan(7)
    slow.finish('value')
    const finished = performance.now()
    expect(await second).toMatchObject({ value: 'value', how: 'wait' })
    expect(await first).toBe('value')
    // Long before it would have asked again by itself.
    expect(performance.now() - finished).toBeLessThan(150)
    expect(performance.now() - from).toBeGreaterThan(390)
  })

  it('of another process is waited for by asking alone where nobody may subscribe, and that is told', async () => {
    const [id = ''] = ids(1)
    const slow = heldLoad<string>()
    const first = bed.cache<string>().getOrLoad(id, slow.load)
    await slow.called
    const errors: string[] = []
    const forbidden = withoutHearing(bed.port)
    const waiting = bed.cache<string>({ onError: ({ message }) => errors.push(message) }, forbidden)
    const second = waiting.fetch(id, refuse)
    await expect.poll(() => errors).toEqual(['nothing is heard'])
    slow.finish('value')
    expect([await first, (await second).value, (await second).how]).toEqual(['value', 'value', 'wait'])
  })

  it('that fails wakes who waits for it, to load it', async () => {
    const [id = ''] = ids(1)
    const loading = bed.cache<string>()
    const down = gate<string>()
    const first = loading.getOrLoad(id, () => down.passed.then(() => Promise.reject(new Error('down'))))
    await expect.poll(() => loading.stats().loads).toBe(1)
    const waiting = bed.cache<string>()
    const second = waiting.fetch(id, () => 'mine')
    await new Promise((resolve) => setTimeout(resolve, 100))
    down.open('')
    await expect(first).rejects.toThrow('down')
    expect(await second).toMatchObject({ value: 'mine', how: 'load' })
  })
})
