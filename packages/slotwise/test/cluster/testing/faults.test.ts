import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { parseAddress } from '../../../src/cluster/observe.js'
import {
  ClosedError,
  ConfigurationError,
  LocalServerError,
  OutcomeUnknownError,
  RedisUnavailableError,
} from '../../../src/errors.js'
import { connect as connectIoredis } from '../../../src/ioredis/index.js'
import { connect as connectNodeRedis } from '../../../src/node-redis/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { WireClient } from '../../../src/redis/wire.js'
import { FaultProxy, type ProxiedNodes, proxied } from '../../../src/testing/faults/index.js'
import { type BareServers, startBareServers } from '../../support/bare-servers.js'

const freshKey = (): Key => keyOf({ namespace: 'faults', pattern: 'test', name: 'key' }, randomUUID())

describe('a proxy before one server', () => {
  let servers: BareServers
  let proxy: FaultProxy
  let client: WireClient
  let direct: WireClient
  const open = (timeoutMs = 2000) => WireClient.connect({ host: proxy.host, port: proxy.port, timeoutMs })
  const timed = async (work: Promise<unknown>) => {
    const from = performance.now()
    await work
    return performance.now() - from
  }
  /** How often the server has executed PING. */
  const runs = async () => {
    const stats = String(await direct.call(['INFO', 'commandstats']))
    return Number(/cmdstat_ping:calls=(\d+)/.exec(stats)?.[1] ?? 0)
  }

  // One that nobody else pings.
  beforeAll(async () => {
    servers = await startBareServers(1)
  })
  afterAll(() => servers[Symbol.asyncDispose]())
  beforeEach(async () => {
    const target = parseAddress(servers.nodes[0])
    proxy = await FaultProxy.open(target)
    client = await open()
    direct = await WireClient.connect({ ...target, timeoutMs: 2000 })
  })
  afterEach(async () => {
    client.close()
    direct.close()
    await proxy.close()
  })

  it('passes everything on, in order and whole, and counts it', async () => {
    const before = proxy.stats()
    expect(before).toMatchObject({ connections: 1, openConnections: 1, bytesDropped: 0, repliesLost: 0 })
    const big = Buffer.alloc(3_000_000, 'x')
    const replies = await client.pipeline([
      ['ECHO', 'first'],
      ['ECHO', big],
      ['ECHO', 'last'],
    ])
    expect(replies.map((reply) => String(reply).length)).toEqual([5, big.length, 4])
    const { bytesToServer, bytesToClient } = proxy.stats()
    expect(bytesToServer - before.bytesToServer).toBeGreaterThan(big.length)
    expect(bytesToClient - before.bytesToClient).toBeGreaterThan(big.length)
    client.close()
    await expect.poll(() => proxy.stats().openConnections).toBe(0)
    expect(proxy.stats()).toMatchObject({ connections: 1, bytesToServer, bytesToClient })
  })

  it('delays each direction by as much as it is told, in order, and heals', async () => {
    proxy.delay(150)
    expect(await timed(client.call(['PING']))).toBeGreaterThanOrEqual(300)
    proxy.delay(0, 'toClient')
    const one = await timed(client.call(['PING']))
    expect(one).toBeGreaterThanOrEqual(150)
    expect(one).toBeLessThan(300)
    // The delay ends while bytes are on their way: what comes later does not overtake them.
    const first = client.call(['ECHO', 'first'])
    const second = proxy.heal().then(() => client.call(['ECHO', 'second']))
    expect([String(await first), String(await second)]).toEqual(['first', 'second'])
    expect(await timed(client.call(['PING']))).toBeLessThan(150)
  })

  it('delays no connection that is made after it healed', async () => {
    proxy.delay(500)
    await proxy.heal()
    client = await open()
    expect(await timed(client.call(['PING']))).toBeLessThan(200)
  })

  it('is a black hole: what is sent never arrives, the connection stays, and is of no use afterwards', async () => {
    const before = await runs()
    proxy.drop()
    await expect(client.call(['PING'], 100)).rejects.toThrow(/did not answer/)
    expect(await runs()).toBe(before)
    await expect(open(100)).rejects.toBeInstanceOf(RedisUnavailableError)
    expect(proxy.stats().bytesDropped).toBeGreaterThan(0)
    await proxy.heal()
    await expect(client.call(['PING'])).rejects.toThrow(/closed the connection/)
    client = await open()
    expect(await client.call(['PING'])).toBe('PONG')
  })

  it('keeps the end of a connection from the other side while it is a black hole', async () => {
    const id = String(await client.call(['CLIENT', 'ID']))
    const known = async () => String(await direct.call(['CLIENT', 'LIST', 'ID', id])) !== ''
    proxy.drop()
    client.close()
    await sleep(50)
    expect(await known()).toBe(true)
    await proxy.heal()
    await expect.poll(known).toBe(false)
  })

  it('loses one direction only: the server runs the command, and nobody hears of it', async () => {
    const before = await runs()
    proxy.drop('toClient')
    await expect(client.call(['PING'], 100)).rejects.toBeInstanceOf(OutcomeUnknownError)
    expect(await runs()).toBe(before + 1)
    await proxy.heal()
    client = await open()
    proxy.drop('toServer')
    const after = await runs()
    await expect(client.call(['PING'], 100)).rejects.toBeInstanceOf(OutcomeUnknownError)
    expect(await runs()).toBe(after)
  })

  it('holds bytes and delivers them when it heals, to the same connection', async () => {
    const before = await runs()
    proxy.hold()
    const ping = client.call(['PING'], 5000)
    await expect(Promise.race([ping, sleep(50, 'silence')])).resolves.toBe('silence')
    expect(await runs()).toBe(before)
    const late = open(5000)
    await sleep(50)
    await proxy.heal()
    expect(await ping).toBe('PONG')
    expect(await (await late).call(['PING'])).toBe('PONG')
    expect(proxy.stats().bytesDropped).toBe(0)
    ;(await late).close()
  })

  it('holds what was sent before it was told to, if that had not passed yet', async () => {
    const before = await runs()
    proxy.delay(30)
    const ping = client.call(['PING'])
    await sleep(10)
    proxy.hold('toServer')
    await sleep(60)
    expect(await runs()).toBe(before)
    await proxy.heal()
    expect(await ping).toBe('PONG')
  })

  it('refuses new connections as if nobody listened, leaves the others alone, and listens again', async () => {
    proxy.refuse()
    await expect(open()).rejects.toThrow(/nothing listens there/)
    expect(await client.call(['PING'])).toBe('PONG')
    await Promise.all([proxy.heal(), proxy.heal()])
    const again = await open()
    expect(await again.call(['PING'])).toBe('PONG')
    again.close()
  })

  it('says so when its port was taken while it refused', async () => {
    proxy.refuse()
    const thief = createServer().listen(proxy.port, proxy.host)
    await once(thief, 'listening')
    await expect(proxy.heal()).rejects.toThrow(LocalServerError)
    thief.close()
  })

  it('resets connections, on both sides, and takes new ones', async () => {
    const id = String(await client.call(['CLIENT', 'ID']))
    const call = client.call(['BLPOP', '{none}', 0])
    proxy.reset()
    await expect(call).rejects.toThrow(/ECONNRESET/)
    await expect.poll(async () => String(await direct.call(['CLIENT', 'LIST', 'ID', id]))).toBe('')
    client = await open()
    expect(await client.call(['PING'])).toBe('PONG')
  })

  it('loses replies to one command, as often as it is told, after it was executed', async () => {
    const before = await runs()
    proxy.loseReplies(2, { command: 'ping' })
    expect(String(await client.call(['ECHO', 'x']))).toBe('x')
    await expect(client.call(['PING'])).rejects.toBeInstanceOf(OutcomeUnknownError)
    expect(await runs()).toBe(before + 1)
    // WireClient's own first PING.
    await expect(open()).rejects.toBeInstanceOf(RedisUnavailableError)
    expect(await runs()).toBe(before + 2)
    client = await open()
    expect(await client.call(['PING'])).toBe('PONG')
    expect(proxy.stats().repliesLost).toBe(2)
  })

  it('finds the reply it is to lose among many on one connection', async () => {
    const slow = Buffer.alloc(100_000, 'x')
    proxy.loseReplies(1, { command: 'PING' })
    const calls = [client.call(['ECHO', slow]), client.call(['PING']), client.call(['ECHO', 'last'])]
    const [, ping, last] = await Promise.allSettled(calls)
    expect([ping?.status, last?.status]).toEqual(['rejected', 'rejected'])
    expect(proxy.stats().repliesLost).toBe(1)
  })

  it('takes back what is left of lost replies, and loses any reply if told no command', async () => {
    proxy.loseReplies(3)
    await expect(client.call(['ECHO', 'x'])).rejects.toBeInstanceOf(OutcomeUnknownError)
    await proxy.heal()
    client = await open()
    proxy.loseReplies(1)
    proxy.loseReplies(0)
    expect(await client.call(['PING'])).toBe('PONG')
  })

  it('passes on that a server has gone, and an end that is no error', async () => {
    const ended: Socket[] = []
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      ended.push(socket)
      socket.resume().on('end', () => socket.end('bye'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    expect.assert(typeof address === 'object' && address !== null)
    await using other = await FaultProxy.open({ host: '127.0.0.1', port: address.port })
    const socket = connectTcp({ port: other.port, host: other.host, allowHalfOpen: true })
    socket.end('hello')
    // The client has ended its side, and still gets what the server says after that.
    expect(String((await once(socket, 'data'))[0])).toBe('bye')
    await once(socket, 'close')
    await expect.poll(() => other.stats().openConnections).toBe(0)
    const left = connectTcp({ port: other.port, host: other.host })
    await expect.poll(() => ended.length).toBe(2)
    ended[1]?.resetAndDestroy()
    expect(await once(left, 'error')).toMatchObject([{ code: 'ECONNRESET' }])
    server.close()
    const nobody = connectTcp({ port: other.port, host: other.host })
    expect(await once(nobody, 'error')).toMatchObject([{ code: 'ECONNRESET' }])
  })

  it('closes any number of times, with connections and without, and is of no use afterwards', async () => {
    await Promise.all([proxy.close(), proxy.close()])
    await expect(client.call(['PING'])).rejects.toThrow(/closed the connection/)
    await expect(open()).rejects.toThrow(/nothing listens there/)
    expect(() => proxy.drop()).toThrow(ClosedError)
    await expect(proxy.heal()).rejects.toThrow(ClosedError)
    await expect.poll(() => proxy.stats().openConnections).toBe(0)
  })

  it('refuses what it does not know', () => {
    expect(() => proxy.delay(-1)).toThrow(ConfigurationError)
    expect(() => proxy.drop('sideways' as 'both')).toThrow(
      /direction must be one of toServer, toClient, both/,
    )
  })
})

describe.each([
  ['ioredis', connectIoredis],
  ['node-redis', connectNodeRedis],
] as const)('a port over %s whose nodes are behind proxies', (_, connect) => {
  let nodes: ProxiedNodes<{ nodes: readonly string[] }>
  let port: RedisPort
  let proxy: FaultProxy
  let key: Key

  beforeEach(async () => {
    nodes = await proxied({ nodes: inject('clusterNodes') })
    port = await connect({ ...nodes.connectOptions, commandTimeoutMs: 500 })
    key = freshKey()
    const owner = port.topology().ownerOf(slotOf(key))
    const found = nodes.proxies.find((one) => one.target.port === owner?.port)
    expect.assert(found !== undefined)
    proxy = found
  })
  afterEach(async () => {
    await port.close()
    await nodes.close()
  })

  it('reaches every node through its proxy, and none beside it', async () => {
    const before = nodes.proxies.map((one) => one.stats().bytesToServer)
    for (const { id } of port.topology().nodes) expect(await port.onNode(id, ['PING'])).toBe('PONG')
    for (const [index, one] of nodes.proxies.entries()) {
      expect(one.stats().connections).toBe(1)
      expect(one.stats().bytesToServer).toBeGreaterThan(before[index] ?? Infinity)
    }
  })

  it('when a reply is lost, an unsafe call has run once and says that nobody knows, a safe one is repeated', async () => {
    proxy.loseReplies(1, { command: 'INCR' })
    await expect(port.call({ key, command: ['INCR', key] })).rejects.toBeInstanceOf(OutcomeUnknownError)
    expect(proxy.stats().repliesLost).toBe(1)
    expect(await port.call({ key, command: ['GET', key], repeat: 'safe' })).toBe('1')
    proxy.loseReplies(1, { command: 'APPEND' })
    expect(await port.call({ key, command: ['APPEND', key, 'x'], repeat: 'safe' })).toBe(3)
    expect(proxy.stats().repliesLost).toBe(2)
  })

  it('a half-open connection costs its calls their deadline, the other nodes nothing, and is replaced', async () => {
    const others = Array.from({ length: 200 }, freshKey).filter(
      (other) => port.topology().ownerOf(slotOf(other))?.port !== proxy.target.port,
    )
    proxy.drop()
    const from = performance.now()
    const lost = port.call({ key, command: ['INCR', key] }, { deadlineMs: 1000 })
    const settled = await port.pipeline(
      others.map((other) => ({ key: other, command: ['SET', other, 'x', 'PX', 1000] })),
    )
    const othersMs = performance.now() - from
    expect(settled.filter(({ status }) => status === 'rejected')).toEqual([])
    await expect(lost).rejects.toBeInstanceOf(OutcomeUnknownError)
    expect(performance.now() - from).toBeLessThan(2000)
    expect(othersMs).toBeLessThan(900)
    // The node is known to be silent by now: nothing is risked on it, and nothing has been executed.
    const refused = port.call({ key, command: ['INCR', key] }, { deadlineMs: 300 })
    await expect(refused).rejects.toBeInstanceOf(RedisUnavailableError)
    await nodes.heal()
    expect(await port.call({ key, command: ['INCR', key] }, { deadlineMs: 3000 })).toBe(1)
  })

  it('a late request is executed when the network delivers it, and its caller was not told otherwise', async () => {
    proxy.hold('toServer')
    const call = port.call({ key, command: ['INCR', key] }, { deadlineMs: 200 })
    await expect(call).rejects.toBeInstanceOf(OutcomeUnknownError)
    await nodes.heal()
    await expect
      .poll(() => port.call({ key, command: ['GET', key], repeat: 'safe' }, { deadlineMs: 3000 }))
      .toBe('1')
  })

  it('a slow network costs its delay and no error', async () => {
    proxy.delay(40)
    const from = performance.now()
    expect(await port.call({ key, command: ['SET', key, 'x', 'PX', 1000] })).toBe('OK')
    expect(performance.now() - from).toBeGreaterThanOrEqual(80)
  })
})
