import { describe, expect, it, vi } from 'vitest'
import { ConfigurationError, RedisUnavailableError, ReplyError } from '../../src/errors.js'
import type { CallOptions } from '../../src/options.js'
import { checkEviction } from '../../src/redis/eviction.js'
import type { RedisPort } from '../../src/redis/index.js'
import { Readiness } from '../../src/redis/readiness.js'

const away = new RedisUnavailableError('away')
const wrong = new ConfigurationError('wrong')

describe('what servers tell', () => {
  it('is asked for once by all who come at first, and again if that failed', async () => {
    const look = vi.fn<() => Promise<void>>().mockRejectedValueOnce(away).mockResolvedValue()
    const readiness = new Readiness(look, () => {})
    await expect(Promise.all([readiness.ready(), readiness.ready()])).rejects.toBe(away)
    await Promise.all([readiness.ready(), readiness.ready()])
    expect(look).toHaveBeenCalledTimes(2)
  })

  it('lets nobody who comes as it is known overtake those who waited for it', async () => {
    let know = () => {}
    const readiness = new Readiness(
      () => new Promise((resolve) => (know = resolve)),
      () => {},
    )
    const order: number[] = []
    const come = async (n: number, call: CallOptions) => {
      await readiness.ready(call)
      order.push(n)
    }
    const all = [{}, { deadlineMs: 5000 }, {}, { signal: new AbortController().signal }].map((call, n) =>
      come(n, call),
    )
    know()
    for (let n = all.length; n < 40; n++) {
      await Promise.resolve()
      all.push(come(n, {}))
    }
    await Promise.all(all)
    expect(order).toEqual(all.map((_, n) => n))
  })

  it('later stops nobody because a server is away, and the next call where something is wrong', async () => {
    const look = vi
      .fn<() => Promise<void>>()
      .mockResolvedValueOnce()
      .mockRejectedValueOnce(away)
      .mockRejectedValueOnce(wrong)
      .mockRejectedValueOnce(wrong)
      .mockResolvedValue()
    const heard: unknown[] = []
    const readiness = new Readiness(look, (error) => heard.push(error), 0)
    await readiness.ready()
    await vi.waitFor(() => expect(readiness.isOver).toBe(true))
    await readiness.ready()
    await vi.waitFor(() => expect(heard).toEqual([away]))
    await readiness.ready()
    await vi.waitFor(() => expect(heard).toEqual([away, wrong]))
    await expect(readiness.ready()).rejects.toBe(wrong)
    await readiness.ready()
  })
})

describe('a policy of eviction', () => {
  const heard: unknown[] = []
  const report = (error: unknown) => void heard.push(error)
  const refusing = { check: 'refuse', report } as const
  const policies = (...results: readonly (string | Error)[]): RedisPort => {
    const node = { id: 'a'.repeat(40), host: 'h', port: 7, role: 'primary', epoch: 1 } as const
    const each = results.map((one) => ({
      node,
      result:
        typeof one === 'string'
          ? ({ status: 'fulfilled', value: ['maxmemory-policy', one] } as const)
          : ({ status: 'rejected', reason: one } as const),
    }))
    return { onEachPrimary: () => Promise.resolve(each) } as unknown as RedisPort
  }

  it.each([
    ['noeviction', 'volatile-lru'],
    ['noeviction', away],
  ])('that leaves what has no end is let pass, and a server that is away: %s, %s', async (...given) => {
    await expect(checkEviction(policies(...given), 'journals', refusing)).resolves.toBeUndefined()
  })

  it.each([
    ['allkeys-lru', 'h:7 may evict journals (maxmemory-policy allkeys-lru)'],
    [new ReplyError('NOPERM no'), 'h:7 evicts journals is not known'],
  ])('that does not is refused, and one that is not told: %s', async (given, words) => {
    await expect(checkEviction(policies('noeviction', given), 'journals', refusing)).rejects.toThrow(words)
  })

  it('that leaves what has no end is refused for what has one', async () => {
    await expect(
      checkEviction(policies('volatile-ttl'), 'limits', { ...refusing, ends: true }),
    ).rejects.toThrow('h:7 may evict limits (maxmemory-policy volatile-ttl); set noeviction, or')
  })

  it('is only told of, or not looked at, where a user wants it so', async () => {
    heard.length = 0
    const evicting = policies('allkeys-lru')
    await checkEviction(evicting, 'locks', { check: 'off', report })
    expect(heard).toEqual([])
    await checkEviction(evicting, 'locks', { check: 'warn', report })
    expect(heard).toMatchObject([{ code: 'CONFIGURATION' }])
    const broken = { onEachPrimary: () => Promise.reject(away) } as unknown as RedisPort
    await expect(checkEviction(broken, 'locks', { check: 'warn', report })).rejects.toBe(away)
  })
})
