import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { LoadContext } from '../../../src/cache/index.js'
import { LoadTimeoutError, OriginBusyError, RedisUnavailableError } from '../../../src/errors.js'
import { withoutHearing } from '../../support/port-with.js'
import { refuse, testBed } from './caches.js'
import { gate, heldLoad } from './gate.js'
import { watched } from './watched-port.js'

const bed = testBed('slow-loads')
const ids = (count: number): string[] => Array.from({ length: count }, () => randomUUID())
const upper = (all: readonly string[]): string[] => all.map((id) => id.toUpperCase())

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
