import { randomUUID } from 'node:crypto'
import { connect as connectTo } from 'node:net'
import { expect, inject, it } from 'vitest'
import { connect } from '../../../src/ioredis/index.js'
import {
  concurrency,
  fixedWindow,
  RateLimiter,
  slidingLog,
  slidingWindow,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import { type Argument, keyOf, type RedisPort } from '../../../src/redis/index.js'

/** A bucket and two sliding windows, and a subject with an id as databases give them. */
const subject = `u${Math.floor(Math.random() * 1e8)}`
const key = keyOf({ namespace: '', pattern: 'ratelimit', name: 'api' }, subject)
const limiterOf = (port: RedisPort) =>
  new RateLimiter(port, {
    name: 'api',
    tiers: {
      second: tokenBucket({ capacity: 100, refillPerSecond: 100 }),
      minute: slidingWindow({ limit: 10_000, windowMs: 60_000 }),
      day: slidingWindow({ limit: 5_000_000, windowMs: 86_400_000 }),
    },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
  })

it('takes at most 140 bytes of memory for a bucket and two sliding windows', async () => {
  await using port = await connect({ nodes: inject('clusterNodes') })
  await limiterOf(port).consume(subject)
  expect(Number(await port.call({ key, command: ['MEMORY', 'USAGE', key] }))).toBeLessThanOrEqual(140)
})

it('takes one command a decision, of at most 200 bytes', async () => {
  await using port = await connect({ nodes: inject('clusterNodes') })
  const sent: number[] = []
  const limiter = limiterOf({
    ...port,
    breaker: (of) => port.breaker(of),
    onEachPrimary: (...call) => port.onEachPrimary(...call),
    call: (call, options) => {
      if ('script' in call) sent.push(bytesOf(['EVALSHA', call.script.sha1, 1, ...call.keys, ...call.args]))
      return port.call(call, options)
    },
  })
  await limiter.consume(subject)
  await limiter.consume(subject, { cost: 3 })
  expect(sent).toHaveLength(2)
  expect(Math.max(...sent)).toBeLessThanOrEqual(200)
})

/** The same for a user, and a bucket and a window of its tenant, at two keys of one slot. */
const togetherOf = (port: RedisPort) =>
  new RateLimiter<'second' | 'minute' | 'tenant' | 'month', { tenant: string; user: string }>(port, {
    name: 'together',
    tiers: {
      second: tokenBucket({ capacity: 100, refillPerSecond: 100 }),
      minute: slidingWindow({ limit: 10_000, windowMs: 60_000 }),
      tenant: tokenBucket({ capacity: 2, refillPerSecond: 0.001, by: 'tenant' }),
      month: fixedWindow({ limit: 5_000_000, align: { period: 'month' }, by: 'tenant' }),
    },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
    together: true,
  })

it('is one command on one key, however many tiers it has and whatever comes of it: MONITOR', async () => {
  const own = `m${subject}`
  await using port = await connect({ nodes: inject('clusterNodes') })
  const limiter = new RateLimiter(port, {
    name: 'api',
    tiers: {
      second: tokenBucket({ capacity: 100, refillPerSecond: 100 }),
      steps: tokenBucket({ capacity: 100, refill: { tokens: 1, everyMs: 60_000 } }),
      minute: slidingWindow({ limit: 10_000, windowMs: 60_000 }),
      strict: slidingWindow({ limit: 100, windowMs: 60_000, mode: 'strict' }),
      log: slidingLog({ limit: 3, windowMs: 86_400_000 }),
      month: fixedWindow({ limit: 5_000_000, align: { period: 'month' } }),
      underWay: concurrency({ max: 10, ttlMs: 60_000 }),
    },
    whenUnavailable: 'deny',
    deadlineMs: 2000,
  })
  // Scripts are loaded by the first.
  expect(await limiter.consume(own)).toMatchObject({ allowed: true })
  const { asked, around } = await heardOf(port, own, async () => {
    expect(await limiter.consume(own)).toMatchObject({ allowed: true })
    expect(await limiter.consume(own, { idempotencyKey: 'a' })).toMatchObject({ allowed: true })
    expect(await limiter.consume(own, { idempotencyKey: 'a' })).toMatchObject({ allowed: true })
    expect(await limiter.consume(own)).toMatchObject({ violated: ['log'] })
    expect(await limiter.consume(own, { cost: 1000 })).toMatchObject({ reason: 'exceeds-capacity' })
  })
  // What can never be had asks nobody.
  expect(asked).toHaveLength(4)
  const at = keyOf({ namespace: '', pattern: 'ratelimit', name: 'api' }, own)
  for (const line of asked) expect(line).toMatch(new RegExp(` "evalsha" "[0-9a-f]{40}" "1" "${at}" `, 'i'))
  // Nor is anything asked beside them that names no key.
  for (const line of around) expect(line).not.toMatch(/\] "(?:multi|exec|watch|asking|script|time|eval)"/i)
})

it('is one command on two keys where both are decided together, also where one of them refuses: MONITOR', async () => {
  const caller = { tenant: `t${subject}`, user: 'ada' }
  await using port = await connect({ nodes: inject('clusterNodes') })
  const limiter = togetherOf(port)
  // Scripts are loaded by the first.
  expect(await limiter.consume(caller)).toMatchObject({ allowed: true })
  const { asked, inScripts } = await heardOf(port, caller.tenant, async () => {
    expect(await limiter.consume(caller)).toMatchObject({ allowed: true })
    expect(await limiter.consume(caller)).toMatchObject({ violated: ['tenant'] })
    await limiter.peek(caller)
  })
  expect(asked).toHaveLength(3)
  const tag = `ratelimit:together:{by:tenant:${caller.tenant}}`
  for (const line of asked)
    expect(line).toMatch(new RegExp(` "evalsha" "[0-9a-f]{40}" "2" "${tag}:[^"]+" "${tag}" `, 'i'))
  // What is refused is written nowhere, and neither is what is looked at.
  expect(inScripts.filter((line) => line.includes(' lua] "SET"'))).toHaveLength(2)
})

/** What the primaries heard of a word meanwhile: from clients, from scripts, and all that came over the same connections. */
async function heardOf(port: RedisPort, word: string, act: () => Promise<void>) {
  await using heard = await monitored(port)
  await act()
  const end = randomUUID()
  await port.onEachPrimary(['ECHO', end])
  await expect.poll(() => heard.lines.filter((line) => line.includes(end))).toHaveLength(heard.nodes)
  const ours = heard.lines.filter((line) => line.includes(word))
  const [inScripts, asked] = [true, false].map((is) => ours.filter((line) => line.includes(' lua] ') === is))
  const connections = new Set(asked?.map(connectionOf))
  const around = heard.lines.filter((line) => connections.has(connectionOf(line)))
  return { asked: asked ?? [], inScripts: inScripts ?? [], around }
}

/** `time [database address] "command" …` */
const connectionOf = (line: string): string | undefined => /\[\d+ (\S+)\]/.exec(line)?.[1]

async function monitored(port: RedisPort) {
  const lines: string[] = []
  const primaries = port.topology().nodes.filter(({ role }) => role === 'primary')
  const sockets = primaries.map(({ host, port: at }) => connectTo(at, host))
  for (const socket of sockets) {
    let rest = ''
    let isOn = false
    socket.on('data', (bytes) => {
      rest += bytes.toString('latin1')
      const parts = rest.split('\r\n')
      rest = parts.pop() ?? ''
      lines.push(...parts)
      isOn = true
    })
    socket.write('MONITOR\r\n')
    await expect.poll(() => isOn).toBe(true)
  }
  return {
    lines,
    nodes: sockets.length,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy()
      return Promise.resolve()
    },
  }
}

/** As a client writes it. */
function bytesOf(words: readonly Argument[]): number {
  const lengths = words.map((word) =>
    word instanceof Uint8Array ? word.length : Buffer.byteLength(String(word)),
  )
  const framed = lengths.map((length) => `$${length}\r\n`.length + length + 2)
  return framed.reduce((sum, length) => sum + length, `*${words.length}\r\n`.length)
}
