import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError, SlotwiseError } from '../../src/errors.js'
import { connect as connectIoredis } from '../../src/ioredis/index.js'
import { connect as connectNodeRedis } from '../../src/node-redis/index.js'
import { keyOf } from '../../src/redis/index.js'
import { startWatched, type Watched } from '../support/sentinels.js'

const key = keyOf({ namespace: '', pattern: 'test', name: 'sentinel' }, 'a')

let watched: Watched
beforeAll(async () => {
  watched = await startWatched(500)
}, 40_000)
afterAll(() => watched[Symbol.asyncDispose]())

describe.each([
  ['ioredis', connectIoredis],
  ['node-redis', connectNodeRedis],
] as const)('behind sentinels, over %s', (_, connect) => {
  it('finds the primary and its replica, every slot at the one', async () => {
    await using port = await connect({ nodes: watched.sentinels, sentinel: { primaryName: 'main' } })
    expect(
      port
        .topology()
        .nodes.map(({ role }) => role)
        .toSorted(),
    ).toEqual(['primary', 'replica'])
    expect(await port.call({ key, command: ['SET', key, 'v'] })).toBe('OK')
    expect(
      (await port.writeThenWait({ key, command: ['SET', key, 'v'] }, { replicas: 1 })).acknowledgedBy,
    ).toBe(1)
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

  it('refuses servers in the place of sentinels', async () => {
    const nodes = watched.servers.map(({ port }) => `127.0.0.1:${port}`)
    const refused = connect({ nodes, sentinel: { primaryName: 'main' } })
    await expect(refused).rejects.toThrow(/is no sentinel/)
  })
})

it('follows the sentinels when the primary hangs and is replaced, and believes it no more', async () => {
  await using port = await connectIoredis({
    nodes: watched.sentinels,
    sentinel: { primaryName: 'main' },
    commandTimeoutMs: 500,
  })
  const before = port.topology().ownerOf(0)
  const hung = watched.servers.find((server) => server.port === before?.port)
  expect.assert(hung !== undefined)
  await port.call({ key, command: ['SET', key, 'old'] })
  process.kill(hung.process.pid, 'SIGSTOP')
  const errors: unknown[] = []
  try {
    await expect
      .poll(
        async () => {
          const set = { key, command: ['SET', key, 'new'], repeat: 'safe' } as const
          return await port.call(set).catch((error: unknown) => void errors.push(error))
        },
        { timeout: 20_000 },
      )
      .toBe('OK')
    expect(port.topology().ownerOf(0)?.port).not.toBe(before?.port)
  } finally {
    process.kill(hung.process.pid, 'SIGCONT')
  }
  for (let i = 0; i < 200; i++) expect(await port.call({ key, command: ['GET', key] })).toBe('new')
  expect(errors.filter((error) => !(error instanceof SlotwiseError))).toEqual([])
})
