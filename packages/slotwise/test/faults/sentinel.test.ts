import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError, OutcomeUnknownError, SlotwiseError } from '../../src/errors.js'
import { keyOf, type RedisPort } from '../../src/redis/index.js'
import { ADAPTERS } from '../support/adapters.js'
import { startWatched, type Watched } from '../support/sentinels.js'

const key = keyOf({ namespace: '', pattern: 'test', name: 'sentinel' }, 'a')

let watched: Watched
beforeAll(async () => {
  // Two replicas: the sentinel that leads a failover lists the primary of before for as long as the other has to follow.
  watched = await startWatched(500, 2)
}, 60_000)
afterAll(() => watched[Symbol.asyncDispose]())

describe.each(ADAPTERS)('behind sentinels, over %s', (_, connect) => {
  it('finds the primary and its replicas, every slot at the one', async () => {
    await using port = await connect({ nodes: watched.sentinels, sentinel: { primaryName: 'main' } })
    const roles = () => port.topology().nodes.map(({ role }) => role)
    // On a busy machine a sentinel may take the replica for dead, until it answers in time again.
    await expect
      .poll(() => roles().toSorted(), { timeout: 10_000 })
      .toEqual(['primary', 'replica', 'replica'])
    expect(await port.call({ key, command: ['SET', key, 'v'] })).toBe('OK')
    const waited = await port.writeThenWait({ key, command: ['SET', key, 'v'] }, { replicas: 1 })
    expect(waited.acknowledgedBy).toBeGreaterThan(0)
  })

  it.each([
    ['the name of a primary that nobody watches', { primaryName: 'other' }, /watches no primary named other/],
  ])('refuses %s', async (_case, sentinel, message) => {
    const error: unknown = await connect({ nodes: watched.sentinels, sentinel }).catch(
      (thrown: unknown) => thrown,
    )
    expect.assert(error instanceof ConfigurationError)
    expect(error.message).toMatch(message)
  })

  it('refuses sentinels in the place of servers, and says how sentinels are given', async () => {
    const refused: unknown = await connect({ nodes: watched.sentinels }).catch((thrown: unknown) => thrown)
    expect.assert(refused instanceof ConfigurationError)
    expect(refused.message).toMatch(/does not know CLUSTER: .*sentinel: { primaryName }/)
    expect(refused.message).toContain(watched.sentinels[0])
  })

  it('refuses servers in the place of sentinels', async () => {
    const nodes = watched.servers.map(({ port }) => `127.0.0.1:${port}`)
    const refused = connect({ nodes, sentinel: { primaryName: 'main' } })
    await expect(refused).rejects.toThrow(/is no sentinel/)
  })
})

it.each(ADAPTERS)(
  'over %s, a primary that was replaced is not believed on a connection of its own, though it takes itself for one still',
  async (_, connect) => {
    const options = { nodes: watched.sentinels, sentinel: { primaryName: 'main' }, commandTimeoutMs: 20_000 }
    await using port = await connect(options)
    await watched.whole()
    await expect.poll(() => port.topology().nodes.length, { timeout: 20_000 }).toBe(3)
    const before = port.topology().ownerOf(0)
    const hung = watched.servers.find((server) => server.port === before?.port)
    expect.assert(hung !== undefined)
    await port.writeThenWait({ key, command: ['SET', key, 'old'] }, { replicas: 1 })
    await port.borrow({ key }, async (connection) => {
      expect(await connection.call(['GET', key])).toBe('old')
      process.kill(hung.process.pid, 'SIGSTOP')
      try {
        // It lies in the socket.
        const late = connection.call(['GET', key]).catch((error: unknown) => error)
        const shared = port.call({ key, command: ['GET', key], repeat: 'safe' })
        await expect.poll(() => port.topology().ownerOf(0)?.port, { timeout: 20_000 }).not.toBe(before?.port)
        expect(await port.call({ key, command: ['SET', key, 'new'], repeat: 'safe' })).toBe('OK')
        process.kill(hung.process.pid, 'SIGCONT')
        expect(await late).toBeInstanceOf(OutcomeUnknownError)
        // What may be repeated is, though that server is listed no more.
        expect(await shared).toBe('new')
      } finally {
        process.kill(hung.process.pid, 'SIGCONT')
      }
    })
  },
)

it('over both adapters, the sentinels are followed when the primary hangs and is replaced, and it is believed no more', async () => {
  await watched.whole()
  const options = { nodes: watched.sentinels, sentinel: { primaryName: 'main' }, commandTimeoutMs: 500 }
  const ports = await Promise.all(ADAPTERS.map(([, connect]) => connect(options)))
  const [first] = ports
  const before = first?.topology().ownerOf(0)
  const hung = watched.servers.find((server) => server.port === before?.port)
  expect.assert(first !== undefined && hung !== undefined)
  await first.call({ key, command: ['SET', key, 'old'] })
  process.kill(hung.process.pid, 'SIGSTOP')
  const errors: unknown[] = []
  try {
    for (const port of ports) {
      const set = { key, command: ['SET', key, 'new'], repeat: 'safe' } as const
      const tried = () => port.call(set).catch((error: unknown) => void errors.push(error))
      await expect.poll(tried, { timeout: 20_000 }).toBe('OK')
      expect(port.topology().ownerOf(0)?.port).not.toBe(before?.port)
    }
  } finally {
    process.kill(hung.process.pid, 'SIGCONT')
  }
  const got = async (port: RedisPort) => {
    for (let i = 0; i < 200; i++) expect(await port.call({ key, command: ['GET', key] })).toBe('new')
  }
  await Promise.all(ports.map(got))
  expect(errors.filter((error) => !(error instanceof SlotwiseError))).toEqual([])
  await Promise.all(ports.map((port) => port.close()))
})
