import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { LoadManyContext } from '../../../src/cache/index.js'
import { ConfigurationError, UncacheableValueError } from '../../../src/errors.js'
import { slotOf } from '../../../src/redis/index.js'
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
