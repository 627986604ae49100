import { describe, expect, it } from 'vitest'
import { Locks, Once, ReadWriteLock, Semaphore } from '../../src/lock/index.js'
import type { CallOptions } from '../../src/options.js'
import { fixedWindow, RateLimiter } from '../../src/ratelimit/index.js'
import type { RedisPort } from '../../src/redis/index.js'
import { MemoryRedis } from '../../src/testing/index.js'
import { WriteBehind } from '../../src/writebehind/index.js'
import { portWith } from '../support/port-with.js'

const ttlMs = 5000
const limited = (port: RedisPort) =>
  new RateLimiter(port, {
    name: 'n',
    tiers: { all: fixedWindow({ limit: 10, windowMs: 60_000 }) },
    whenUnavailable: 'deny',
    deadlineMs: 60_000,
  })
const written = (port: RedisPort) =>
  new WriteBehind<object>(port, {
    name: 'n',
    writeBatch: () => Promise.resolve(),
    load: () => Promise.resolve({}),
  })

/** The first that is ever asked of an instance. */
const firsts: Record<string, (port: RedisPort, call: CallOptions) => Promise<unknown>> = {
  'Locks.acquire': (port, call) => new Locks(port, { name: 'n' }).acquire('a', { ttlMs, ...call }),
  'Locks.tryAcquire': (port, call) => new Locks(port, { name: 'n' }).tryAcquire('a', { ttlMs, ...call }),
  'Locks.redlock': (port, call) =>
    Locks.redlock([port, new MemoryRedis().connect(), new MemoryRedis().connect()], { name: 'n' }).acquire(
      'a',
      {
        ttlMs,
        ...call,
      },
    ),
  'Semaphore.acquire': (port, call) =>
    new Semaphore(port, { name: 'n', permits: 2 }).acquire('a', { ttlMs, ...call }),
  'ReadWriteLock.read': (port, call) => new ReadWriteLock(port, { name: 'n' }).read('a', { ttlMs, ...call }),
  'Once.run': (port, call) =>
    new Once(port, { name: 'n', ttlMs, resultTtlMs: ttlMs }).run('a', call, () => Promise.resolve(1)),
  'RateLimiter.consume': (port, call) => limited(port).consume('a', call),
  'RateLimiter.peek': (port, call) => limited(port).peek('a', call),
  'RateLimiter.penalize': (port, call) => limited(port).penalize('a', { cost: 1, ...call }),
  'RateLimiter.block': (port, call) => limited(port).block('a', { forMs: 1000, ...call }),
  'WriteBehind.write': (port, call) => written(port).write('a', {}, call),
  'WriteBehind.delete': (port, call) => written(port).delete('a', call),
  'WriteBehind.increment': (port, call) => written(port).increment('a', 'n', 1, call),
  'WriteBehind.read': (port, call) => written(port).read('a', call),
  'WriteBehind.readMany': (port, call) => written(port).readMany(['a'], call),
  'WriteBehind.deadLetters': (port, call) => written(port).deadLetters(call),
  'WriteBehind.replay': (port, call) => written(port).replay(undefined, call),
  'WriteBehind.discard': (port, call) => written(port).discard(undefined, call),
}

/** Servers that say nothing of what is looked at before the first operation. */
const silent = () =>
  portWith(new MemoryRedis().connect(), { onEachPrimary: () => new Promise<never>(() => {}) })

/** The same instance, asked again and again. */
const patterns: Record<string, (port: RedisPort) => (call: CallOptions) => Promise<unknown>> = {
  Locks: (port) => {
    const locks = new Locks(port, { name: 'n', quarantine: false })
    return (call) => locks.acquire('a', { ttlMs, ...call })
  },
  RateLimiter: (port) => {
    const limiter = limited(port)
    return async (call) => {
      const { allowed } = await limiter.consume('a', call)
      return allowed || undefined
    }
  },
  WriteBehind: (port) => {
    const writes = written(port)
    return (call) => writes.write('a', {}, call)
  },
}

/** Servers that tell what is looked at when they are let, to whom has not given it up. */
function gated() {
  const port = new MemoryRedis().connect()
  let answer = () => {}
  const gate = new Promise<void>((resolve) => {
    answer = resolve
  })
  const onEachPrimary = async (...[command, options]: Parameters<RedisPort['onEachPrimary']>) => {
    await gate
    options?.signal?.throwIfAborted()
    return await port.onEachPrimary(command, options)
  }
  return { port: portWith(port, { onEachPrimary }), answer }
}

describe('servers are silent when the first operation looks at them', () => {
  it.each(Object.entries(firsts))('%s ends when its caller gives up', async (_, first) => {
    const giving = new AbortController()
    const ending = first(silent(), { signal: giving.signal })
    const reason = new Error('given up')
    giving.abort(reason)
    await expect(ending).rejects.toBe(reason)
  })

  it.each(Object.entries(firsts))('%s ends at its deadline', async (_, first) => {
    const ending = first(silent(), { deadlineMs: 20 }).catch((error: unknown) => error)
    expect(await ending).toSatisfy((end) => /UNAVAILABLE|unavailable/.test(JSON.stringify(end)))
  })

  it.each(Object.entries(patterns))('%s goes on for others who wait for the same look', async (_, make) => {
    const { port, answer } = gated()
    const ask = make(port)
    const giving = new AbortController()
    const given = ask({ signal: giving.signal })
    const other = ask({})
    giving.abort(new Error('given up'))
    await expect(given).rejects.toThrow('given up')
    answer()
    await expect(other).resolves.toBeDefined()
  })
})
