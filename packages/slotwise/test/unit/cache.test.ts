import { randomBytes } from 'node:crypto'
import * as messagePack from '@msgpack/msgpack'
import fc from 'fast-check'
import * as msgpackr from 'msgpackr'
import { SuperJSON } from 'superjson'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Budget } from '../../src/cache/budget.js'
import { Codec, type CodecOptions, type Decoded, versionOf } from '../../src/cache/entry.js'
import { Cache, type CacheOptions, json, msgpack, superjson } from '../../src/cache/index.js'
import { Origin } from '../../src/cache/origin.js'
import { Pace } from '../../src/cache/pace.js'
import { newToken } from '../../src/cache/scripts.js'
import { ConfigurationError, OriginBusyError, RedisUnavailableError } from '../../src/errors.js'
import type { RedisPort } from '../../src/redis/index.js'
import { gate, turns } from '../cluster/cache/gate.js'

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
    ...['staleMs', 'staleRetryMs', 'softTimeoutMs', 'keepInvalidatedMs', 'replicas'].flatMap((name) =>
      [-1, 1.5, Number.NaN, '1'].map((value) => [name as keyof CacheOptions, value] as const),
    ),
    ...[0, -1, 'x'].flatMap((value) => [
      ['negativeTtlMs', value] as const,
      ['hardTimeoutMs', value] as const,
      ['maxValueBytes', value] as const,
      ['budgetMs', { min: value, max: 100 }] as const,
      ['origin', { maxConcurrent: value }] as const,
    ]),
    ...[-1, Number.NaN].map((value) => ['earlyRefresh', value] as const),
    ['budgetMs', { min: 200, max: 100 }],
    ['compressOverBytes', -1],
    ['version', 1.5],
    ['serializer', { ...json, id: 0 }],
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
    await expect(cache.set('id', 'value', { ttlMs })).rejects.toThrow(ConfigurationError)
    await expect(cache.setMany([{ id: 'id', value: 'value' }], { ttlMs })).rejects.toThrow(ConfigurationError)
    await expect(cache.getOrLoadMany(['id'], { ttlMs }, () => ['value'])).rejects.toThrow(ConfigurationError)
  })

  it.each([0, -1, Number.NaN, '5'])('are refused, wherever they are given: deadlineMs %s', async (wrong) => {
    const cache = new Cache<string>(nowhere, { name: 'test', ttlMs: 60_000 })
    const deadlineMs = wrong as number
    const calls = [
      () => cache.get('id', { deadlineMs }),
      () => cache.getMany(['id'], { deadlineMs }),
      () => cache.read('id', { deadlineMs }),
      () => cache.getOrLoad('id', { deadlineMs }, () => 'value'),
      () => cache.getOrLoadMany(['id'], { deadlineMs }, () => ['value']),
      () => cache.set('id', 'value', { deadlineMs }),
      () => cache.writeThrough('id', { deadlineMs }, () => 'value'),
      () => cache.mutate({ ids: ['id'], deadlineMs }, () => 'value'),
      () => cache.invalidate('id', { deadlineMs }),
      () => cache.invalidateMany(['id'], { deadlineMs }),
      () => cache.invalidateAll({ deadlineMs }),
    ]
    for (const call of calls) await expect(call()).rejects.toThrow(ConfigurationError)
  })

  it.each([
    ['softTimeoutMs', -1],
    ['hardTimeoutMs', Number.NaN],
    ['hardTimeoutMs', 2 ** 31],
  ])('are refused for one read: %s %s', async (name, value) => {
    const cache = new Cache<string>(nowhere, { name: 'test', ttlMs: 60_000 })
    await expect(cache.getOrLoad('id', { [name]: value }, () => 'value')).rejects.toThrow(name)
  })

  // A timer that is told to wait for longer than it can does not wait at all.
  it.each([
    ['intentMs', 0],
    ['intentMs', 2 ** 31],
    ['replicaLagMs', -1],
  ])('are refused for one change: %s %s', async (name, value) => {
    const cache = new Cache<string>(nowhere, { name: 'test', ttlMs: 60_000 })
    await expect(cache.mutate({ ids: ['id'], [name]: value }, () => 'value')).rejects.toThrow(name)
  })

  it.each(['batchSize', 'concurrency'])('are refused for a warm-up: %s 0', async (name) => {
    const cache = new Cache<string>(nowhere, { name: 'test', ttlMs: 60_000 })
    await expect(cache.warm(['id'], { [name]: 0 }, () => ['value'])).rejects.toThrow(name)
  })

  it.each([[[]], [[{}]], [[['nested']]], [null], [7], [[1.5]]])('name ids that are none: %j', async (id) => {
    const cache = new Cache<string>(nowhere, { name: 'test', ttlMs: 60_000 })
    await expect(cache.invalidate(id as unknown as string)).rejects.toThrow(ConfigurationError)
  })
})

const codecOf = (options: Partial<CodecOptions> = {}): Codec =>
  new Codec({
    serializer: json,
    schema: undefined,
    compressOverBytes: Infinity,
    maxValueBytes: 1_000_000,
    ...options,
  })
const times = { freshMs: 60_000, keptMs: 90_000, loadMs: 12 }
const stored = (codec: Codec, value: unknown): Buffer => {
  const entry = codec.wrapped(codec.payload(value), times)
  if (entry === undefined) throw new Error('too large')
  return entry
}

describe('a stored entry', () => {
  it.each([
    ['plain', {}],
    ['compressed', { compressOverBytes: 0 }],
  ])('gives back what JSON gives back, and its times: %s', (_, options) => {
    const codec = codecOf(options)
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const expected = JSON.parse(JSON.stringify(value)) as unknown
        expect(codec.read(stored(codec, value))).toEqual({ value: expected, header: times, stamps: [] })
      }),
    )
  })

  it('of any bytes whatever is read or taken for absent', () => {
    const codec = codecOf()
    const like = stored(codec, 'value')
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(40), (bytes, ours) => {
        const entry = Buffer.concat([like.subarray(0, ours), Buffer.from(bytes)])
        const decoded = codec.read(entry)
        if (decoded === undefined) return
        expect(JSON.stringify((decoded as Decoded).value)).toBeTypeOf('string')
      }),
    )
  })

  it('of a format that is not known yet is absent, and so is one of another serializer', () => {
    const entry = stored(codecOf(), 'value')
    expect(codecOf({ serializer: { ...json, id: 200 } }).read(entry)).toBeUndefined()
    entry[0] = 9
    expect(codecOf().read(entry)).toBeUndefined()
  })

  it('with a longer header, as a later version may write it, is read all the same', () => {
    const entry = stored(codecOf(), 'value')
    const longer = Buffer.concat([entry.subarray(0, 29), Buffer.from('tags'), entry.subarray(29)])
    longer.writeUInt16BE(33, 3)
    expect(codecOf().read(longer)).toMatchObject({ value: 'value' })
  })

  it('gives back the tags that it bears, and is no entry for whoever does not check them', () => {
    const stamp = fc.record({
      path: fc.string({ minLength: 1, maxLength: 512, unit: 'grapheme' }),
      version: fc
        .uint8Array({ minLength: 8, maxLength: 8 })
        .map((bytes) => Buffer.from(bytes).toString('latin1')),
    })
    for (const options of [{}, { compressOverBytes: 0 }]) {
      const codec = codecOf(options)
      fc.assert(
        fc.property(fc.jsonValue(), fc.array(stamp, { minLength: 1, maxLength: 64 }), (value, stamps) => {
          const entry = codec.wrapped(codec.payload(value), times, stamps)
          const expected = JSON.parse(JSON.stringify(value)) as unknown
          expect(entry && codec.read(entry)).toEqual({ value: expected, header: times, stamps })
          // The format of entries without tags is all that earlier versions know.
          expect(entry?.[0]).not.toBe(stored(codec, value)[0])
        }),
      )
    }
  })

  it('whose tags are broken is absent', () => {
    const codec = codecOf()
    const stamps = [{ path: 'org:7', version: 'versio\u00ff1' }]
    const entry = codec.wrapped(codec.payload('value'), times, stamps) ?? Buffer.alloc(0)
    for (const [at, to] of [
      [29, 200],
      [30, 255],
      [31, 255],
    ] as const) {
      const broken = Buffer.from(entry)
      broken[at] = to
      expect(codec.read(broken)).toBeUndefined()
    }
  })

  it('is compressed only where that makes it smaller', () => {
    const large = 'slot '.repeat(1000)
    const [plain, small] = [codecOf(), codecOf({ compressOverBytes: 100 })]
    expect(stored(small, large).length).toBeLessThan(stored(plain, large).length / 10)
    expect(stored(small, 'x'.repeat(3)).length).toBe(stored(plain, 'x'.repeat(3)).length)
    const noise = randomBytes(500).toString('base64')
    expect(stored(small, noise).length).toBeLessThanOrEqual(stored(plain, noise).length)
    expect(plain.read(stored(small, large))).toMatchObject({ value: large })
  })

  it('does not become larger in memory than anything that may be stored', () => {
    const bomb = stored(codecOf({ compressOverBytes: 0, maxValueBytes: 10_000_000 }), 'x'.repeat(5_000_000))
    expect(bomb.length).toBeLessThan(50_000)
    expect(codecOf({ maxValueBytes: 1_000_000 }).read(bomb)).toBeUndefined()
  })

  it('is not made of what is too large', () => {
    const codec = codecOf({ maxValueBytes: 10 })
    expect(codec.wrapped(codec.payload('12345678'), times)).toBeDefined()
    expect(codec.wrapped(codec.payload('123456789'), times)).toBeUndefined()
  })

  it('has a version that no other has', () => {
    const codec = codecOf()
    const versions = Array.from({ length: 1000 }, () => versionOf(stored(codec, 'v')).toString('hex'))
    expect(new Set(versions).size).toBe(1000)
  })

  it('that the schema does not let pass is absent, whether it answers at once or later', async () => {
    const number = z.object({ n: z.coerce.number() })
    const later = z.object({ n: z.string().refine(async (text) => text !== 'bad') })
    const codec = codecOf({ schema: number })
    expect(await codec.read(stored(codecOf(), { n: '7' }))).toEqual({
      value: { n: 7 },
      header: times,
      stamps: [],
    })
    expect(await codec.read(stored(codecOf(), { n: 'seven' }))).toBeUndefined()
    const slow = codecOf({ schema: later })
    expect(await slow.read(stored(codecOf(), { n: 'good' }))).toMatchObject({ value: { n: 'good' } })
    expect(await slow.read(stored(codecOf(), { n: 'bad' }))).toBeUndefined()
  })

  it('keeps what the libraries keep that JSON does not', async () => {
    const value = { at: new Date(5), bytes: new Uint8Array([1, 2]) }
    for (const library of [msgpackr, messagePack]) {
      const codec = codecOf({ serializer: msgpack(library) })
      const read = (await codec.read(stored(codec, value))) as Decoded
      expect(read.value).toMatchObject({ at: new Date(5) })
    }
    const codec = codecOf({ serializer: superjson(SuperJSON) })
    const rich = { at: new Date(5), all: new Set([1n]), nothing: undefined }
    expect(codec.read(stored(codec, rich))).toMatchObject({ value: rich })
  })
})

it.each([
  ['msgpackr', msgpackr],
  ['@msgpack/msgpack', messagePack],
])('bytes within a value of %s are its receiver’s own, as all of it is', async (_, library) => {
  const codec = codecOf({ serializer: msgpack(library) })
  const value = { bytes: new Uint8Array([1, 2, 3]) }
  const [payload, entry] = [codec.payload(value), stored(codec, value)]
  const reads = [
    () => codec.reread(payload),
    async () => (await (codec.read(entry) as Decoded | Promise<Decoded>)).value,
  ]
  for (const read of reads) {
    const [one, other] = [(await read()) as typeof value, (await read()) as typeof value]
    one.bytes[0] = 9
    expect([...other.bytes]).toEqual([1, 2, 3])
    expect(await read()).toMatchObject({ bytes: expect.objectContaining({ 0: 1 }) })
  }
})

describe('the budget of a read', () => {
  it('follows what answers take, within its bounds', () => {
    const pace = new Pace({ min: 25, max: 100 })
    expect(pace.budgetMs).toBe(100)
    for (let i = 0; i < 64; i++) pace.record(1)
    expect(pace.budgetMs).toBe(25)
    for (let i = 0; i < 128; i++) pace.record(15)
    expect(pace.budgetMs).toBe(60)
    for (let i = 0; i < 128; i++) pace.record(500)
    expect(pace.budgetMs).toBe(100)
  })

  it('does not shrink so far that nothing is in time any more', () => {
    const pace = new Pace({ min: 25, max: 100 })
    for (let i = 0; i < 64; i++) pace.record(1)
    pace.missed()
    expect(pace.budgetMs).toBe(50)
    pace.missed()
    pace.missed()
    expect(pace.budgetMs).toBe(100)
  })
})

describe('an origin', () => {
  const never = new AbortController().signal

  it('runs as many loads as it is allowed, the others in their order', async () => {
    const origin = new Origin({ maxConcurrent: 2 })
    const order: number[] = []
    const gates = [gate(), gate(), gate(), gate()]
    const all = gates.map(({ passed }, i) =>
      origin.run(async () => {
        order.push(i)
        await passed
      }, never),
    )
    await turns()
    expect(order).toEqual([0, 1])
    gates[1]?.open()
    await turns()
    expect(order).toEqual([0, 1, 2])
    for (const { open } of gates) open()
    await Promise.all(all)
    expect(order).toEqual([0, 1, 2, 3])
  })

  it('lets nobody wait longer than it is told, nor one who has given up', async () => {
    const origin = new Origin({ maxConcurrent: 1, maxWaitMs: 20 })
    const first = gate()
    const running = origin.run(() => first.passed, never)
    const called: string[] = []
    await expect(origin.run(() => void called.push('late'), never)).rejects.toThrow(OriginBusyError)
    const gone = new AbortController()
    const given = origin.run(() => void called.push('gone'), gone.signal)
    gone.abort(new Error('gone'))
    await expect(given).rejects.toThrow('gone')
    first.open()
    await running
    await origin.run(() => void called.push('next'), never)
    expect(called).toEqual(['next'])
  })

  it('has room again after a load that failed', async () => {
    const origin = new Origin({ maxConcurrent: 1, maxWaitMs: 1000 })
    await expect(origin.run(() => Promise.reject(new Error('down')), never)).rejects.toThrow('down')
    expect(await origin.run(() => 'up', never)).toBe('up')
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
