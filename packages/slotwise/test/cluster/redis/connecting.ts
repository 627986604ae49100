import { createServer, type Socket } from 'node:net'
import { describe, expect, inject } from 'vitest'
import {
  ConfigurationError,
  RedisUnavailableError,
  SlotwiseError,
  UnexpectedReplyError,
} from '../../../src/errors.js'
import type { ConnectOptions } from '../../../src/redis/connect-options.js'
import { keyOf, slotOf } from '../../../src/redis/index.js'
import { startBareServers } from '../../support/bare-servers.js'
import { leading } from '../../support/leading-names.js'
import { it } from '../../support/local-test.js'
import type { Connect } from './conformance.js'

const key = keyOf({ namespace: '', pattern: 'test', name: 'connecting' }, 'a')

/** What is said when there is no way in. */
export function connecting(adapter: string, connect: Connect): void {
  describe(`connecting over ${adapter}`, () => {
    const connectTimeoutMs = 1000
    const failure = async (options: Partial<ConnectOptions>): Promise<Error> => {
      const from = performance.now()
      const error: unknown = await connect({ nodes: [], ...options }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      expect(performance.now() - from).toBeLessThan(connectTimeoutMs + 1500)
      expect.assert(error instanceof SlotwiseError)
      const { nodes = [] } = options
      expect(nodes.some((node) => error.message.includes(node))).toBe(true)
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
      expect(error.message).toMatch(/is not a Redis server, or wants TLS: check the port, or set `tls`/)
      server.close()
    })

    it('waits for no server that takes connections and says nothing', async () => {
      const sockets: Socket[] = []
      const server = createServer((socket) => void sockets.push(socket))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      expect.assert(typeof address === 'object' && address !== null)
      const error = await failure({ nodes: [`127.0.0.1:${address.port}`], connectTimeoutMs })
      expect(error).toBeInstanceOf(RedisUnavailableError)
      expect(error.message).toMatch(/does not answer/)
      for (const socket of sockets) socket.destroy()
      server.close()
    })

    it('logs in anew on connections that are open, before what they were opened with runs out', async ({
      start,
    }) => {
      const cluster = await start({ replicasPerPrimary: 0, password: 'root' })
      const { nodes } = cluster.connectOptions
      await using control = await connect({ nodes, password: 'root' })
      for (const name of ['first', 'second'])
        await control.onEachPrimary(['ACL', 'SETUSER', name, 'on', '>pw', '~*', '&*', '+@all'])
      let asked = 0
      await using port = await connect({
        nodes,
        credentials: async () => ({
          username: ++asked === 1 ? 'first' : 'second',
          password: 'pw',
          validForMs: asked === 1 ? 300 : 60_000,
        }),
      })
      const node = port.topology().ownerOf(slotOf(key))?.id ?? ''
      const whoAndWhere = async () => [
        await port.onNode(node, ['ACL', 'WHOAMI']),
        await port.onNode(node, ['CLIENT', 'ID']),
      ]
      const [who, where] = await whoAndWhere()
      expect(who).toBe('first')
      await expect.poll(whoAndWhere).toEqual(['second', where])
      expect(asked).toBe(2)
    })

    it('says so when the addresses belong to different clusters, instead of choosing one by chance', async ({
      start,
    }) => {
      const other = await start({ replicasPerPrimary: 0 })
      const [mine = ''] = inject('clusterNodes')
      const [theirs = ''] = other.connectOptions.nodes
      const error = await failure({ nodes: [mine, theirs], connectTimeoutMs })
      expect(error).toBeInstanceOf(ConfigurationError)
      expect(error.message).toMatch(/different clusters/)
      expect(error.message).toContain(mine)
      expect(error.message).toContain(theirs)
    })

    it('passes over an address whose node was taken out of the cluster', async () => {
      await using stray = await startBareServers(1)
      const [mine = ''] = inject('clusterNodes')
      const port = await connect({ nodes: [...stray.nodes, mine] })
      expect(port.topology().nodes).toHaveLength(6)
      await port.close()
    })

    it('takes a cluster with a slot that nobody serves, and names the slot to those who need it', async ({
      start,
    }) => {
      const cluster = await start({
        replicasPerPrimary: 0,
        config: { 'cluster-require-full-coverage': 'no' },
      })
      const port = await connect({ ...cluster.connectOptions })
      const slot = slotOf(key)
      const owner = port.topology().ownerOf(slot)
      const call = { key, command: ['SET', key, 1] } as const
      // Whoever does not own it has to forget it too, and may be told of it once more.
      await expect
        .poll(
          async () => {
            await port.onEachPrimary(['CLUSTER', 'DELSLOTS', slot])
            return port.topology().ownerOf(slot)
          },
          { timeout: 5000 },
        )
        .toBeUndefined()
      await expect(port.call(call, { deadlineMs: 100 })).rejects.toThrow(
        `no primary serves slot ${slot}; \`slotwise doctor\` says why, and what to do`,
      )
      expect(port.breaker(key)).toMatchObject({ state: 'open' })
      await port.onNode(owner?.id ?? '', ['CLUSTER', 'ADDSLOTS', slot])
      expect(await port.call(call)).toBe('OK')
      await port.close()
    })

    it('knows a standalone server from a cluster, and refuses the one that was not meant', async () => {
      await using single = await startBareServers(1, { 'cluster-enabled': 'no' })
      const { nodes } = single
      const refused = await failure({ nodes, mode: 'cluster', connectTimeoutMs })
      expect(refused).toBeInstanceOf(ConfigurationError)
      expect(refused.message).toContain(nodes[0])
      const other = await failure({ nodes: inject('clusterNodes'), mode: 'standalone', connectTimeoutMs })
      expect(other.message).toMatch(/node of a cluster/)
      for (const mode of ['auto', 'standalone'] as const) {
        const port = await connect({ nodes, mode })
        expect(await port.call({ key, command: ['SET', key, mode] })).toBe('OK')
        expect(await port.borrow({ key }, (own) => own.call(['GET', key]))).toBe(mode)
        expect(port.topology().nodes).toHaveLength(1)
        await port.close()
      }
    })

    it('reaches a host by any of its addresses', async () => {
      const ports = inject('clusterNodes').map((node) => Number(node.split(':')[1]))
      // The servers listen at the last one alone.
      using _ = leading('several.test', ['::1', '127.0.0.2', '127.0.0.1'])
      const nodes = [`several.test:${ports[0]}`]
      const port = await connect({ nodes })
      expect(await port.borrow({ node: `several.test:${ports[0]}` }, (own) => own.call(['PING']))).toBe(
        'PONG',
      )
      expect(port.topology().nodes).toHaveLength(6)
      await port.close()
      await failure({ nodes: ['[::1]:1'], connectTimeoutMs })
    })

    it('logs in with credentials that change, on connections that are open as well', async ({ start }) => {
      const cluster = await start({ replicasPerPrimary: 0, password: 'first' })
      const { nodes } = cluster.connectOptions
      const control = await connect({ nodes, password: 'first' })
      let asked = 0
      let password = 'first'
      const port = await connect({
        nodes,
        topologyRefreshMs: 100,
        credentials: async () => ({ password, validForMs: ++asked === 1 ? 300 : 60_000 }),
      })
      try {
        const call = { key, command: ['SET', key, 1], repeat: 'safe' } as const
        expect(await port.call(call)).toBe('OK')
        expect(asked).toBe(1)
        // Both hold for a while, as whoever rotates does it; then the older one does not.
        await control.onEachPrimary(['ACL', 'SETUSER', 'default', '>second'])
        password = 'second'
        await expect.poll(() => asked).toBe(2)
        await control.onEachPrimary(['ACL', 'SETUSER', 'default', '<first'])
        await control.onEachPrimary(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
        expect(await port.call(call)).toBe('OK')
        expect(await port.borrow({ key }, (own) => own.call(['PING']))).toBe('PONG')
        expect(asked).toBe(2)
        // Without a warning: whoever is refused asks anew.
        await control.onEachPrimary(['ACL', 'SETUSER', 'default', 'resetpass', '>third'])
        password = 'third'
        await control.onEachPrimary(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
        expect(await port.call(call)).toBe('OK')
        expect(asked).toBe(3)
      } finally {
        await port.close()
        await control.close()
      }
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
}
