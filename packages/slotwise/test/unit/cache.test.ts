import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Budget } from '../../src/cache/budget.js'
import { decode, encode } from '../../src/cache/entry.js'
import { Cache, type CacheOptions } from '../../src/cache/index.js'
import { newToken } from '../../src/cache/scripts.js'
import { ConfigurationError, RedisUnavailableError } from '../../src/errors.js'
import type { RedisPort } from '../../src/redis/index.js'

/** A port that nobody may use: what is tested here ends before the network. */
const nowhere = new Proxy({} as RedisPort, {
  get: (_, name) => {
    if (name === 'namespace') return 'unit'
    throw new Error(`nothing may be asked of Redis here, not even ${String(name)}`)
  },
})

describe('options of a cache', () => {
  const bad: readonly (readonly [keyof CacheOptions, unknown])[] = [
    ...[0, -1, 1.5, Number.NaN, Infinity, '60000', undefined].map((value) => ['ttlMs', value] as const),
    ...[0, -1, Number.NaN].flatMap((value) => [['leaseMs', value] as const, ['budgetMs', value] as const]),
    ...[-0.1, 1.1, Number.NaN, '0.5'].map((value) => ['jitter', value] as const),
    ...['', 'a b', '{a}', 'a:b', 'x'.repeat(65), 7].map((value) => ['name', value] as const),
  ]
  it.each(bad)('are refused when it is built: %s %j', (option, value) => {
    const options = { name: 'test', ttlMs: 60_000, [option]: value } as unknown as CacheOptions
    expect(() => new Cache(nowhere, options)).toThrow(ConfigurationError)
    expect(() => new Cache(nowhere, options)).toThrow(option)
  })

  it.each([0, -1, 1.5, Number.NaN])('are refused when it is read or written: ttlMs %s', async (ttlMs) => {
    const cache = new Cache<string>(nowhere, { name: 'test', ttlMs: 60_000 })
    await expect(cache.getOrLoad('id', { ttlMs }, () => 'value')).rejects.toThrow(ConfigurationError)
    await expect(cache.writeThrough('id', { ttlMs }, () => 'value')).rejects.toThrow(ConfigurationError)
  })

  it.each([[[]], [[{}]], [[['nested']]], [null], [7], [[1.5]]])('name ids that are none: %j', async (id) => {
    const cache = new Cache<string>(nowhere, { name: 'test', ttlMs: 60_000 })
    await expect(cache.invalidate(id as unknown as string)).rejects.toThrow(ConfigurationError)
  })
})

describe('a stored entry', () => {
  it('gives back what JSON gives back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(decode(encode(value))).toEqual({ value: JSON.parse(JSON.stringify(value)) })
      }),
    )
  })

  it('of any bytes whatever is read or taken for absent', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (bytes, ours) => {
        const entry = Buffer.from(bytes)
        if (ours && entry.length > 0) entry[0] = 1
        const decoded = decode(entry)
        if (decoded === undefined) return
        expect(entry[0]).toBe(1)
        expect(JSON.stringify(decoded.value)).toBeTypeOf('string')
      }),
    )
  })

  it('of a format that is not known yet is absent', () => {
    const entry = encode('value')
    entry[0] = 2
    expect(decode(entry)).toBeUndefined()
  })
})

it('no two loads have one token', () => {
  expect(new Set(Array.from({ length: 10_000 }, newToken)).size).toBe(10_000)
})

describe('a budget', () => {
  it('is spent by waiting, hands out what is left, and then refuses', async () => {
    const budget = new Budget(30)
    const given: number[] = []
    const wait = (ms: number) => (deadlineMs: number) => {
      given.push(deadlineMs)
      return new Promise((resolve) => setTimeout(resolve, ms))
    }
    await budget.spend(wait(10))
    await budget.spend(wait(30))
    await expect(budget.spend(wait(0))).rejects.toThrow(RedisUnavailableError)
    expect(given).toHaveLength(2)
    expect(given[0]).toBe(30)
    expect(given[1]).toBeLessThanOrEqual(21)
  })

  it('that ends before what is waited for gives something else instead', async () => {
    expect(await new Budget(5).await(new Promise(() => {}), 'late')).toBe('late')
    expect(await new Budget(1000).await(Promise.resolve('in time'), 'late')).toBe('in time')
  })
})
