import { afterEach, describe, expect, it, vi } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import {
  ClosedError,
  ConfigurationError,
  CrossSlotError,
  LockBusyError,
  OutcomeUnknownError,
  RedisUnavailableError,
  ReplyError,
} from '../../../src/errors.js'
import { Locks } from '../../../src/lock/index.js'
import { RateLimiter, tokenBucket } from '../../../src/ratelimit/index.js'
import { defineScript, type Key, keyOf, type RedisPort, type ScriptSource } from '../../../src/redis/index.js'
import { MemoryRedis, memoryPort, scriptTwin, TestClock } from '../../../src/testing/index.js'

const keyFor = (id: string): Key => keyOf({ namespace: '', pattern: 'test', name: 'memory' }, id)
const key = keyFor('a')
const get = (port: RedisPort) => port.call({ key, command: ['GET', key], repeat: 'safe' })
const set = (port: RedisPort, value: string | Buffer) => port.call({ key, command: ['SET', key, value] })
const increase = (port: RedisPort, repeat: 'safe' | 'unsafe') =>
  port.call({ key, command: ['INCR', key], repeat })

describe('every pattern, by a clock that is turned', () => {
  it('an entry of a cache ends with its time', async () => {
    const clock = new TestClock()
    const cache = new Cache<string>(memoryPort({ clock }), { name: 'c', ttlMs: 60_000, jitter: 0 })
    await cache.set('id', 'value')
    clock.advance(59_999)
    expect(await cache.read('id')).toMatchObject({ found: true, ageMs: 59_999 })
    clock.advance(2)
    expect(await cache.read('id')).toMatchObject({ found: false })
  })

  it('a bucket fills', async () => {
    const clock = new TestClock()
    const tiers = { one: tokenBucket({ capacity: 1, refillPerSecond: 1 / 60 }) }
    const limiter = new RateLimiter(memoryPort({ clock }), { name: 'l', tiers, whenUnavailable: 'deny' })
    expect(await limiter.consume('a')).toMatchObject({ allowed: true })
    expect(await limiter.consume('a')).toMatchObject({ allowed: false, retryAfterMs: 60_000 })
    clock.advance(60_000)
    expect(await limiter.consume('a')).toMatchObject({ allowed: true })
  })

  it('a lock is free for others when its time is over, with a larger token', async () => {
    const clock = new TestClock()
    const redis = new MemoryRedis({ clock })
    const [one, two] = [redis.connect(), redis.connect()].map((port) => new Locks(port, { name: 'l' }))
    const held = await one?.acquire('it', { ttlMs: 5000 })
    await expect(two?.acquire('it', { ttlMs: 5000, waitMs: 0 })).rejects.toThrow(LockBusyError)
    clock.advance(5000)
    const next = await two?.acquire('it', { ttlMs: 5000, waitMs: 0 })
    expect(next?.token).toBeGreaterThan(held?.token ?? 0n)
  })
})

describe('fake timers', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('turn Redis and the pattern together where no other clock is given', async () => {
    vi.useFakeTimers()
    const cache = new Cache<string>(memoryPort(), { name: 'c', ttlMs: 60_000, jitter: 0 })
    const locks = new Locks(memoryPort(), { name: 'l' })
    expect(await cache.getOrLoad('id', () => 'value')).toBe('value')
    const lock = await locks.acquire('it', { ttlMs: 5000 })
    await vi.advanceTimersByTimeAsync(5000)
    expect(lock.signal.aborted).toBe(true)
    expect(await cache.get('id')).toBe('value')
    await vi.advanceTimersByTimeAsync(55_001)
    expect(await cache.get('id')).toBeUndefined()
  })
})

describe('what a port of a cluster does', () => {
  it('keeps bytes as they are, and text in any language', async () => {
    const port = memoryPort()
    const bytes = Buffer.from([0, 255, 128, 10])
    await set(port, bytes)
    expect(await port.call({ key, command: ['GET', key] }, { binary: true })).toEqual(bytes)
    await set(port, 'größer 中文 🎉')
    expect(await get(port)).toBe('größer 中文 🎉')
  })

  it('counts bits from the highest of the first byte, and tells what each was', async () => {
    const port = memoryPort()
    const sent = (...command: [string, ...(string | number)[]]) => port.call({ key, command })
    expect(await sent('SETBIT', key, 7, 1)).toBe(0)
    expect(await sent('SETBIT', key, 9, 1)).toBe(0)
    expect(await sent('SETBIT', key, 9, 1)).toBe(1)
    expect(await port.call({ key, command: ['GET', key] }, { binary: true })).toEqual(Buffer.from([1, 64]))
    expect(await sent('SETBIT', key, 7, 0)).toBe(1)
    expect(await Promise.all([7, 8, 9, 100].map((at) => sent('GETBIT', key, at)))).toEqual([0, 0, 1, 0])
    await expect(sent('SETBIT', key, -1, 1)).rejects.toThrow('bit offset')
    await expect(sent('SETBIT', key, 1, 2)).rejects.toThrow('bit is not')
  })

  it('keeps an error with its own call, and answers in the order of the calls', async () => {
    const port = memoryPort()
    await set(port, 'x')
    const results = await port.pipeline([
      { key, command: ['GET', key] },
      { key, command: ['HGET', key, 'f'] },
      { key, command: ['STRLEN', key] },
    ])
    expect(results).toMatchObject([{ value: 'x' }, { reason: { replyCode: 'WRONGTYPE' } }, { value: 1 }])
  })

  it('refuses a script over several slots, and names what it does not know', async () => {
    const port = memoryPort()
    const script: ScriptSource<'a' | 'b', never> = {
      name: 'two',
      keys: ['a', 'b'],
      args: [],
      sha1: 'none',
      source: 'return 1',
    }
    const call = (other: Key) => port.call({ script, keys: [key, other], args: [] })
    await expect(call(keyFor('b'))).rejects.toThrow(CrossSlotError)
    await expect(call(key)).rejects.toThrow(ConfigurationError)
    await expect(port.call({ key, command: ['ZADD', key, 1, 'm'] })).rejects.toThrow(
      'does not know the command ZADD',
    )
  })

  it('runs scripts of its user by their twins', async () => {
    const source: ScriptSource<'counter', 'by'> = {
      name: 'raise',
      keys: ['counter'],
      args: ['by'],
      sha1: 'raise',
      source: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
    }
    const raise = defineScript(source, { repeat: 'unsafe', decode: Number })
    const twin = scriptTwin(source, ({ KEYS, ARGV, call }) => call('INCRBY', KEYS.get(1), ARGV.get(1)))
    const port = memoryPort({ scripts: [twin] })
    expect(await raise.run(port, { counter: key }, { by: 2 })).toBe(2)
    expect(await raise.run(port, { counter: key }, { by: 3 })).toBe(5)
  })

  it('tells who owns what, and finds every key on its own node', async () => {
    const port = memoryPort({ primaries: 3 })
    const keys = Array.from({ length: 50 }, (_, i) => keyFor(String(i)))
    for (const one of keys) await port.call({ key: one, command: ['SET', one, 1] })
    const found: string[] = []
    for (const { id, role } of port.topology().nodes) {
      if (role !== 'primary') continue
      const [, some] = (await port.onNode(id, ['SCAN', 0, 'MATCH', 'test:memory:{*'])) as [string, string[]]
      expect(some.length).toBeGreaterThan(0)
      found.push(...some)
    }
    expect(found.toSorted()).toEqual([...keys].toSorted())
    const texts = await port.onEachPrimary(['CLUSTER', 'NODES'])
    expect(
      texts.map(
        ({ result }) => result.status === 'fulfilled' && String(result.value).includes('myself,master'),
      ),
    ).toEqual([true, true, true])
  })

  it('carries messages to other processes, and none once closed', async () => {
    const redis = new MemoryRedis()
    const [one, two] = [redis.connect(), redis.connect()]
    const heard: string[] = []
    await one.subscribe(key, { message: (payload) => heard.push(payload.toString()) })
    const publish = (message: string) => two.call({ key, command: ['SPUBLISH', key, message] })
    expect(await publish('a')).toBe(1)
    redis.loseMessages(1)
    await publish('b')
    await publish('c')
    expect(heard).toEqual(['a', 'c'])
    await one.close()
    expect(await publish('d')).toBe(0)
    await expect(get(one)).rejects.toThrow(ClosedError)
  })
})

describe('faults', () => {
  it('a lost answer leaves open what happened, unless it is harmless to ask again', async () => {
    const redis = new MemoryRedis()
    const port = redis.connect()
    redis.loseReplies(1, { command: 'INCR' })
    await expect(increase(port, 'unsafe')).rejects.toThrow(OutcomeUnknownError)
    expect(await get(port)).toBe('1')
    redis.loseReplies(1, { command: 'INCR' })
    expect(await increase(port, 'safe')).toBe(3)
  })

  it('a lost call has the same error, and did not happen', async () => {
    const redis = new MemoryRedis()
    const port = redis.connect()
    redis.loseCalls(1)
    await expect(increase(port, 'unsafe')).rejects.toThrow(OutcomeUnknownError)
    expect(await get(port)).toBe(null)
    redis.loseCalls(9)
    await expect(increase(port, 'safe')).rejects.toThrow(OutcomeUnknownError)
    redis.heal()
    expect(await get(port)).toBe(null)
  })

  it('nobody reaches it while it is stopped, and everything is there again afterwards', async () => {
    const redis = new MemoryRedis()
    const port = redis.connect()
    const told: string[] = []
    await port.subscribe(key, {
      message: () => {},
      interrupted: () => told.push('interrupted'),
      resumed: () => told.push('resumed'),
    })
    await set(port, 'kept')
    redis.stop()
    await expect(get(port)).rejects.toThrow(RedisUnavailableError)
    expect(port.breaker(key)).toMatchObject({ state: 'open' })
    await expect(port.subscribe(key, { message: () => {} })).rejects.toThrow(RedisUnavailableError)
    redis.start()
    expect(await get(port)).toBe('kept')
    expect(told).toEqual(['resumed', 'interrupted', 'resumed'])
  })

  it('a failover loses what the replicas had not received, and nothing else', async () => {
    const redis = new MemoryRedis()
    const port = redis.connect()
    const write = (value: string) =>
      port.writeThenWait({ key, command: ['SET', key, value] }, { replicas: 1 })
    expect(await write('replicated')).toMatchObject({ acknowledgedBy: 1 })
    redis.failOver()
    expect(await get(port)).toBe('replicated')
    redis.holdReplication()
    expect(await write('lost')).toMatchObject({ acknowledgedBy: 0 })
    expect(await get(port)).toBe('lost')
    redis.failOver()
    expect(await get(port)).toBe('replicated')
  })

  it.each([
    ['primaries', { primaries: 0 }],
    ['replicasPerPrimary', { replicasPerPrimary: -1 }],
  ])('a setting that makes no sense is refused by name: %s', (name, options) => {
    expect(() => new MemoryRedis(options)).toThrow(name)
  })

  it('a script that fails says so as a server does, and keeps what it has written', async () => {
    const port = memoryPort()
    await port.call({ key, command: ['HSET', key, 'f', 'text'] })
    await expect(port.call({ key, command: ['HINCRBY', key, 'f', 1] })).rejects.toThrow(ReplyError)
    expect(await port.call({ key, command: ['HGET', key, 'f'] })).toBe('text')
  })
})
