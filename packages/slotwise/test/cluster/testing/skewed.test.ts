import { createHash, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import { connect } from '../../../src/ioredis/index.js'
import { RateLimiter, tokenBucket } from '../../../src/ratelimit/index.js'
import {
  type Key,
  keyOf,
  type RedisPort,
  type Reply,
  type ScriptSource,
  slotOf,
} from '../../../src/redis/index.js'
import { type SkewedServers, skewed } from '../../../src/testing/faults/index.js'

let real: RedisPort
let servers: SkewedServers
beforeAll(async () => {
  real = await connect({ nodes: inject('clusterNodes'), namespace: 'skewed' })
})
afterAll(() => real.close())
beforeEach(() => {
  servers = skewed(real)
})

const freshKey = (): Key => keyOf({ namespace: 'skewed', pattern: 'test', name: 'key' }, randomUUID())
const scriptOf = (source: string): ScriptSource => ({
  name: 'test/skewed',
  keys: ['key'],
  args: ['a', 'b'],
  sha1: createHash('sha1').update(source).digest('hex'),
  source,
})
const run = (port: RedisPort, script: ScriptSource, key: Key = freshKey()) =>
  port.call({ script, keys: [key], args: ['x', 'y'], repeat: 'safe' })

const time = scriptOf("local t = redis.call('TIME') return { t[1], t[2] }")
const inMs = (reply: Reply | undefined) => {
  const [seconds, micros] = reply as readonly string[]
  return Number(seconds) * 1000 + Number(micros) / 1000
}
/** Whether the clock that scripts see is ahead of the server's own by so much: by what it said before, and what it said after. */
async function isAhead(ms: number, look: () => Promise<Reply | undefined>, key?: Key): Promise<boolean> {
  const before = inMs(await run(real, time, key))
  const seen = inMs(await look())
  const after = inMs(await run(real, time, key))
  // All clocks are of one machine. Some looks count whole seconds.
  return seen - ms >= before - (Number.isInteger(seen / 1000) ? 1000 : 0) && seen - ms <= after
}

describe('servers whose clocks are off', () => {
  it.each([0, 5000, -5000, 0.5, 86_400_000, -86_400_000])(
    'are ahead by %s ms as scripts see them',
    async (ms) => {
      servers.skew(ms)
      expect(await isAhead(ms, () => run(servers.port, time))).toBe(true)
    },
  )

  it('can be set while they run, and are right again after', async () => {
    const key = freshKey()
    for (const ms of [60_000, -60_000, 0]) {
      servers.skew(ms)
      expect(await isAhead(ms, () => run(servers.port, time, key), key)).toBe(true)
    }
  })

  it('are off one by one', async () => {
    const first = freshKey()
    const { id, host, port } = real.topology().ownerOf(slotOf(first)) ?? { id: '', host: '', port: 0 }
    let other = freshKey()
    while (real.topology().ownerOf(slotOf(other))?.id === id) other = freshKey()
    servers.skew(-10_000)
    servers.skew(30_000, `${host}:${port}`)
    expect(await isAhead(30_000, () => run(servers.port, time, first), first)).toBe(true)
    expect(await isAhead(-10_000, () => run(servers.port, time, other), other)).toBe(true)
    servers.skew(40_000, id)
    expect(await isAhead(40_000, () => run(servers.port, time, first), first)).toBe(true)
    servers.skew(0)
    expect(await isAhead(0, () => run(servers.port, time, first), first)).toBe(true)
  })

  it('are off in pipelines and in writes that are waited for, too', async () => {
    servers.skew(60_000)
    const call = { script: time, keys: [freshKey()], args: ['x', 'y'] } as const
    const piped = async () => {
      const [answer] = await servers.port.pipeline([call])
      return answer?.status === 'fulfilled' ? answer.value : undefined
    }
    const waited = async () => (await servers.port.writeThenWait(call, { replicas: 1, waitMs: 1 })).reply
    expect(await isAhead(60_000, piped)).toBe(true)
    expect(await isAhead(60_000, waited)).toBe(true)
  })

  it('run scripts as they are otherwise: arguments, errors, what is called in small letters and by pcall', async () => {
    servers.skew(60_000)
    const source = `
      local t = redis.pcall('time')
      local bad = redis.pcall('NO_SUCH')
      return { #ARGV, ARGV[2], redis.sha1hex(''), bad.err and 1 or 0, t[1], redis.call('GET', KEYS[1]) or 'none' }`
    const look = async () => {
      const reply = await run(servers.port, scriptOf(source))
      const [count, last, hex, failed, seconds, value] = reply as readonly Reply[]
      expect([count, last, hex, failed, value]).toEqual([2, 'y', createHash('sha1').digest('hex'), 1, 'none'])
      return [String(seconds), '0']
    }
    expect(await isAhead(60_000, look)).toBe(true)
    await expect(run(servers.port, scriptOf("return redis.error_reply('ERR as it is')"))).rejects.toThrow(
      'as it is',
    )
  })

  it('change nothing for whoever uses the port that was given, nor commands that are no scripts', async () => {
    servers.skew(60_000)
    const key = freshKey()
    expect(await isAhead(0, () => run(real, time, key), key)).toBe(true)
    expect(await isAhead(0, () => servers.port.call({ key, command: ['TIME'] }), key)).toBe(true)
    expect(servers.port.namespace).toBe('skewed')
  })

  it('refill a bucket when they are set forward', async () => {
    const tiers = { minute: tokenBucket({ capacity: 1, refillPerSecond: 1 / 60 }) }
    const limiter = new RateLimiter(servers.port, {
      name: randomUUID().slice(0, 8),
      tiers,
      whenUnavailable: 'deny',
    })
    expect((await limiter.consume('ann')).allowed).toBe(true)
    expect((await limiter.consume('ann')).allowed).toBe(false)
    servers.skew(61_000)
    expect((await limiter.consume('ann')).allowed).toBe(true)
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 1e300])('cannot be off by %s ms', (ms) => {
    expect(() => servers.skew(ms)).toThrow(ConfigurationError)
  })

  it('are refused by names that no node has', () => {
    expect(() => servers.skew(1, '127.0.0.1:1')).toThrow(ConfigurationError)
  })
})
