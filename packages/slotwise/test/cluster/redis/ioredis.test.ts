import { Cluster, Redis } from 'ioredis'
import { describe, expect, inject, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import { SteadyConnector } from '../../../src/ioredis/connector.js'
import { connect, fromIoredis } from '../../../src/ioredis/index.js'
import { keyOf } from '../../../src/redis/index.js'
import { connecting } from './connecting.js'

connecting('ioredis', connect)

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

it('lets no second failure of a socket end the process', async () => {
  const stream = await new SteadyConnector({ host: '127.0.0.1', port: 1 }).connect()
  stream.once('error', () => {})
  for (const nth of ['first', 'second']) expect(stream.emit('error', new Error(nth))).toBe(true)
  stream.destroy()
})
