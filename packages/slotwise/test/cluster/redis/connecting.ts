import { createServer } from 'node:net'
import { describe, expect, inject } from 'vitest'
import { ConfigurationError, RedisUnavailableError, UnexpectedReplyError } from '../../../src/errors.js'
import type { ConnectOptions } from '../../../src/redis/connect-options.js'
import { keyOf } from '../../../src/redis/index.js'
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
}
