import { createServer } from 'node:net'
import { Cluster, Redis } from 'ioredis'
import { describe, expect, inject } from 'vitest'
import { ConfigurationError, RedisUnavailableError, UnexpectedReplyError } from '../../../src/errors.js'
import { SteadyConnector } from '../../../src/ioredis/connector.js'
import { connect, fromIoredis } from '../../../src/ioredis/index.js'
import { keyOf } from '../../../src/redis/index.js'
import { it } from '../../support/local-test.js'
import { conformance } from './conformance.js'

conformance('ioredis', connect)

const key = keyOf({ namespace: '', pattern: 'test', name: 'foreign' }, 'a')
const fit = { enableOfflineQueue: false, autoResendUnfulfilledCommands: false, lazyConnect: true }

describe('a client of the user', () => {
  const first = () => {
    const [host = '', port = ''] = (inject('clusterNodes')[0] ?? '').split(':')
    return { host, port: Number(port) }
  }

  it('lends its servers if its settings fit, and stays open', async () => {
    const client = new Cluster([first()], { enableOfflineQueue: false, redisOptions: fit, lazyConnect: true })
    const port = await fromIoredis(client, { namespace: 'shop' })
    expect(port.namespace).toBe('shop')
    expect(await port.call({ key, command: ['SET', key, 1] })).toBe('OK')
    await port.close()
    expect(client.status).toBe('wait')
    client.disconnect()
  })

  it.for([
    ['keyPrefix', { keyPrefix: 'x:' }],
    ['enableOfflineQueue', { enableOfflineQueue: true }],
    ['autoResendUnfulfilledCommands', { autoResendUnfulfilledCommands: true }],
    ['enableAutoPipelining', { enableAutoPipelining: true }],
    ['readOnly', { readOnly: true }],
    ['db', { db: 1 }],
  ] as const)('with %s is refused by that name', async ([name, settings]) => {
    const client = new Redis({ ...first(), ...fit, ...settings })
    const error: unknown = await fromIoredis(client).catch((thrown: unknown) => thrown)
    expect.assert(error instanceof ConfigurationError)
    expect(error.message).toContain(name)
    client.disconnect()
  })

  it('that reads from replicas is refused, or duplicated with settings of ours', async () => {
    const client = new Cluster([first()], { scaleReads: 'slave', redisOptions: fit, lazyConnect: true })
    await expect(fromIoredis(client)).rejects.toThrow(/scaleReads/)
    const port = await fromIoredis(client, { incompatible: 'duplicate' })
    expect(await port.call({ key, command: ['SET', key, 2] })).toBe('OK')
    await port.close()
    client.disconnect()
  })
})

describe('connecting', () => {
  const connectTimeoutMs = 1000
  const failure = async (options: Parameters<typeof connect>[0]): Promise<Error> => {
    const from = performance.now()
    const error: unknown = await connect(options).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(performance.now() - from).toBeLessThan(connectTimeoutMs + 500)
    expect.assert(error instanceof Error)
    return error
  }

  it('names the nodes when nobody can be reached', async () => {
    const error = await failure({ nodes: ['127.0.0.1:1', '127.0.0.1:2'], connectTimeoutMs })
    expect(error).toBeInstanceOf(RedisUnavailableError)
    expect(error.message).toMatch(/127\.0\.0\.1:1 .*ECONNREFUSED.*127\.0\.0\.1:2/)
  })

  it('tells a stranger from a server', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy()).end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    expect.assert(typeof address === 'object' && address !== null)
    const error = await failure({ nodes: [`127.0.0.1:${address.port}`], connectTimeoutMs })
    expect(error).toBeInstanceOf(UnexpectedReplyError)
    server.close()
  })

  it('points at TLS when a server without it is asked for it', async () => {
    const error = await failure({ nodes: inject('clusterNodes'), tls: true, connectTimeoutMs })
    expect(error.message).toMatch(/`tls`/)
  })

  it('knows what is wrong with a password, a certificate or a lack of either', async ({ start }) => {
    const cluster = await start({ primaries: 3, replicasPerPrimary: 0, password: 'right', tls: true })
    const { nodes, tls } = cluster.connectOptions
    const given = { nodes, connectTimeoutMs, ...(tls === undefined ? {} : { tls }) }
    const wrong = await failure({ ...given, password: 'wrong' })
    expect(wrong).toBeInstanceOf(ConfigurationError)
    expect(wrong.message).toMatch(/refuses the user name or password/)
    expect((await failure(given)).message).toMatch(/wants a password/)
    expect((await failure({ ...given, tls: true, password: 'right' })).message).toMatch(
      /certificate .* not trusted/,
    )
    expect((await failure({ nodes, password: 'right', connectTimeoutMs })).message).toMatch(/`tls`/)
    const port = await connect({ ...cluster.connectOptions })
    expect(await port.call({ key, command: ['SET', key, 1] })).toBe('OK')
    await port.close()
  })
})

it('lets no second failure of a socket end the process', async () => {
  const stream = await new SteadyConnector({ host: '127.0.0.1', port: 1 }).connect()
  stream.once('error', () => {})
  for (const nth of ['first', 'second']) expect(stream.emit('error', new Error(nth))).toBe(true)
  stream.destroy()
})
