import { createClient, createCluster } from 'redis'
import { describe, expect, inject, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import { connect, fromNodeRedis } from '../../../src/node-redis/index.js'
import { keyOf } from '../../../src/redis/index.js'
import { startBareServers } from '../../support/bare-servers.js'
import { connecting } from './connecting.js'

connecting('node-redis', connect)

const key = keyOf({ namespace: '', pattern: 'test', name: 'foreign-node-redis' }, 'a')

describe('a client of the user', () => {
  const socket = () => {
    const [host = '', port = ''] = (inject('clusterNodes')[0] ?? '').split(':')
    return { host, port: Number(port) }
  }

  /** Version 5.1 shows nobody what a cluster was made with; refusing it is all that is left. */
  const isHidden = (client: object) => !('_options' in client)

  it('lends its servers if its settings fit, and is not touched', async () => {
    const client = createCluster({
      rootNodes: [{ socket: socket() }],
      defaults: { disableOfflineQueue: true },
    })
    if (isHidden(client)) return await expect(fromNodeRedis(client)).rejects.toThrow(/hides the settings/)
    const port = await fromNodeRedis(client, { namespace: 'shop' })
    expect(port.namespace).toBe('shop')
    expect(port.topology().nodes).toHaveLength(6)
    expect(await port.call({ key, command: ['SET', key, 1] })).toBe('OK')
    await port.close()
    expect(client.isOpen).toBe(false)
  })

  it('lends the name and password in its URL', async () => {
    await using server = await startBareServers(1, { 'cluster-enabled': 'no' })
    await server.clients[0]?.call(['ACL', 'SETUSER', 'app', 'on', '>p:w', '~*', '+@all'])
    const url = `redis://app:${encodeURIComponent('p:w')}@${server.nodes[0]}`
    const port = await fromNodeRedis(createClient({ url, disableOfflineQueue: true }))
    expect(await port.call({ key, command: ['ACL', 'WHOAMI'] })).toBe('app')
    await port.close()
  })

  it('lends whom it asks for credentials', async () => {
    await using server = await startBareServers(1, { 'cluster-enabled': 'no' })
    await server.clients[0]?.call(['ACL', 'SETUSER', 'rotating', 'on', '>now', '~*', '+@all'])
    const [host = '', at = ''] = (server.nodes[0] ?? '').split(':')
    const credentialsProvider = {
      type: 'async-credentials-provider' as const,
      credentials: async () => ({ username: 'rotating', password: 'now' }),
    }
    const client = createClient({
      socket: { host, port: Number(at) },
      credentialsProvider,
      disableOfflineQueue: true,
    })
    const port = await fromNodeRedis(client)
    expect(await port.call({ key, command: ['ACL', 'WHOAMI'] })).toBe('rotating')
    await port.close()
  })

  it.for([
    ['disableOfflineQueue', {}],
    ['database', { database: 1, disableOfflineQueue: true }],
    ['readonly', { readonly: true, disableOfflineQueue: true }],
  ] as const)('with %s is refused by that name', async ([name, settings]) => {
    const error: unknown = await fromNodeRedis(createClient({ socket: socket(), ...settings })).catch(
      (thrown: unknown) => thrown,
    )
    expect.assert(error instanceof ConfigurationError)
    expect(error.message).toContain(name)
  })

  it('that reads from replicas is refused, or duplicated with settings of ours', async () => {
    const client = createCluster({
      rootNodes: [{ socket: socket() }],
      useReplicas: true,
      defaults: { disableOfflineQueue: true },
    })
    if (isHidden(client)) return await expect(fromNodeRedis(client)).rejects.toThrow(/hides the settings/)
    await expect(fromNodeRedis(client)).rejects.toThrow(/useReplicas/)
    const port = await fromNodeRedis(client, { incompatible: 'duplicate' })
    expect(await port.call({ key, command: ['SET', key, 2] })).toBe('OK')
    await port.close()
  })
})
