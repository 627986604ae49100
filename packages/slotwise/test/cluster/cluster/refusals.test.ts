import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCluster } from '../../../src/cluster/index.js'
import { ConfigurationError, RedisUnavailableError, UnexpectedReplyError } from '../../../src/errors.js'
import { freePorts } from '../../../src/local/ports.js'
import { type BareServers, startBareServers } from '../../support/bare-servers.js'

let servers: BareServers
beforeAll(async () => {
  servers = await startBareServers(3)
})
afterAll(() => servers[Symbol.asyncDispose]())

/** Two good nodes and a bad one. */
const withBad = (node: string, more: object = {}) =>
  createCluster({
    nodes: [...servers.nodes.slice(0, 2), node],
    replicasPerPrimary: 0,
    timeoutMs: 1500,
    ...more,
  })

describe('createCluster says which node is wrong and what to try', () => {
  it('when nobody listens', async () => {
    const [port] = await freePorts(1)
    const attempt = withBad(`127.0.0.1:${port}`)
    await expect(attempt).rejects.toThrow(RedisUnavailableError)
    await expect(attempt).rejects.toThrow(`cannot reach 127.0.0.1:${port}: nothing listens there`)
  })

  it('when there is no such host', async () => {
    await expect(withBad('no-such-host.invalid:7000')).rejects.toThrow(
      /no-such-host.invalid:7000.*no such host/,
    )
  })

  it('when it is not Redis', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const attempt = withBad(`127.0.0.1:${port}`)
    await expect(attempt).rejects.toThrow(UnexpectedReplyError)
    await expect(attempt).rejects.toThrow(`127.0.0.1:${port}`)
    server.close()
  })

  it('when a password is given and none is known, and the other way round', async () => {
    await expect(withBad(servers.nodes[2] ?? '', { password: 'x' })).rejects.toThrow(/knows no password/)
    await servers.all(['CONFIG', 'SET', 'requirepass', 'secret'])
    try {
      const attempt = withBad(servers.nodes[2] ?? '')
      await expect(attempt).rejects.toThrow(ConfigurationError)
      await expect(attempt).rejects.toThrow(/asks for a password: set password/)
      await expect(withBad(servers.nodes[2] ?? '', { password: 'wrong' })).rejects.toThrow(
        /refuses this name/,
      )
    } finally {
      await servers.all(['CONFIG', 'SET', 'requirepass', ''])
    }
  })

  it('when it stands still', async () => {
    const [, , pid = 0] = servers.pids
    process.kill(pid, 'SIGSTOP')
    try {
      const attempt = withBad(servers.nodes[2] ?? '')
      await expect(attempt).rejects.toThrow(RedisUnavailableError)
      await expect(attempt).rejects.toThrow(/did not answer PING.*hung or stopped/)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
  })

  it('when cluster mode is off', async () => {
    await using standalone = await startBareServers(1, { 'cluster-enabled': 'no' })
    const attempt = withBad(standalone.nodes[0] ?? '')
    await expect(attempt).rejects.toThrow(ConfigurationError)
    await expect(attempt).rejects.toThrow(
      `${standalone.nodes[0]} is a standalone server: start it with cluster-enabled yes`,
    )
  })

  it.each([
    [['127.0.0.1:7000', '127.0.0.1:7001'], /nodes must number 3/],
    [['127.0.0.1:7000', '127.0.0.1:7000', '127.0.0.1:7001'], /names 127.0.0.1:7000 twice/],
    [['127.0.0.1', '127.0.0.1:7001', '127.0.0.1:7002'], /host:port, got "127.0.0.1"/],
    [['127.0.0.1:0', '127.0.0.1:7001', '127.0.0.1:7002'], /host:port/],
    [['127.0.0.1:70000', '127.0.0.1:7001', '127.0.0.1:7002'], /host:port/],
  ])('when the list is wrong: %j', async (nodes, words) => {
    const attempt = createCluster({ nodes, replicasPerPrimary: 0 })
    await expect(attempt).rejects.toThrow(ConfigurationError)
    await expect(attempt).rejects.toThrow(words)
  })

  it('when two names are one node', async () => {
    const [a = '', b = ''] = servers.nodes
    const attempt = createCluster({
      nodes: [a, b, a.replace('127.0.0.1', 'localhost')],
      replicasPerPrimary: 0,
    })
    await expect(attempt).rejects.toThrow(/one and the same node/)
  })
})
