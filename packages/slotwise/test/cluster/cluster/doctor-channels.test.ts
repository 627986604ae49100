import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { doctor } from '../../../src/cluster/index.js'
import { connect as connectIoredis } from '../../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../../src/local/index.js'
import { connect as connectNodeRedis } from '../../../src/node-redis/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { proxied } from '../../../src/testing/faults/index.js'
import { cycle, printed, said } from '../../support/cycle.js'
import { altered, at, everywhere, idsOf, nameOf } from '../../support/doctor.js'

let cluster: LocalCluster
beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
}, 60_000)
afterAll(() => cluster.stop())

const primaries = () => cluster.nodes.filter(({ role }) => role === 'primary').map(nameOf)
const LIMIT = { timeoutMs: 400, active: true }

describe.each([
  ['ioredis', connectIoredis],
  ['node-redis', connectNodeRedis],
])('sharded channels over %s', (_, connect) => {
  let port: RedisPort
  beforeAll(async () => {
    port = await connect(cluster.connectOptions)
  })
  afterAll(() => port.close())

  async function asUser(rules: readonly string[], act: (user: RedisPort) => Promise<void>): Promise<void> {
    await everywhere(port, cluster, 'ACL', 'SETUSER', 'caller', 'reset', 'on', '>c', '~*', '+@all', ...rules)
    const user = await connect({ ...cluster.connectOptions, username: 'caller', password: 'c' })
    try {
      await act(user)
    } finally {
      await user.close()
      await everywhere(port, cluster, 'ACL', 'DELUSER', 'caller')
    }
  }

  it('are heard on every primary of a fresh cluster, and leave nothing behind', async () => {
    expect(await doctor(port, { active: true })).toEqual([])
    for (const index of cluster.nodes.keys()) {
      await expect.poll(() => at(port, cluster, index, 'PUBSUB', 'SHARDCHANNELS')).toEqual([])
      expect(await at(port, cluster, index, 'DBSIZE')).toBe(0)
    }
  })

  it.each([
    ['to subscribe, for a user without channels', ['resetchannels'], 'subscribe at '],
    ['to publish, for a user without that command', ['allchannels', '-spublish'], 'publish at '],
  ])('channel-denied: %s, until the rights are given that the fix names', async (_case, rules, step) => {
    await asUser(['allchannels'], (user) =>
      cycle({
        through: () => user,
        operator: port,
        options: LIMIT,
        cause: async () => {
          await everywhere(port, cluster, 'ACL', 'SETUSER', 'caller', ...rules)
          expect(await doctor(user)).toEqual([])
        },
        seen: async (findings) => {
          expect(findings.map(({ id, severity }) => `${severity} ${id}`)).toEqual(
            primaries().map(() => 'critical channel-denied'),
          )
          expect(new Set(findings.map(({ node }) => node))).toEqual(new Set(primaries()))
          for (const { node, evidence, affects } of findings) {
            expect(evidence.startsWith(`${step}${node} (slot `)).toBe(true)
            expect(evidence).toContain('NOPERM')
            expect(affects).toEqual(['sessions', 'cache', 'channels', 'boards'])
          }
          expect(await doctor(user, { ...LIMIT, usage: ['locks', 'ratelimit', 'queue'] })).toEqual([])
          const cacheOnly = await doctor(user, { ...LIMIT, usage: ['cache'] })
          expect(cacheOnly[0]).toMatchObject({ severity: 'warning', id: 'channel-denied' })
        },
        remedies: { 'channel-denied': printed('ACL SETUSER caller &* +@pubsub') },
      }),
    )
  })

  it('channel-failed: a primary whose answers to subscriptions are lost on their way, until they are not', async () => {
    const [lost = ''] = primaries()
    await using nodes = await proxied(cluster.connectOptions)
    let behind = port
    try {
      await cycle({
        through: () => behind,
        options: LIMIT,
        cause: async () => {
          // Nobody else speaks RESP3 than a connection for subscriptions.
          const proxy = nodes.proxies.find(({ target }) => nameOf(target) === lost)
          proxy?.loseReplies(100_000, { command: 'HELLO' })
          behind = await connect(nodes.connectOptions)
          expect(await doctor(behind)).toEqual([])
        },
        seen: (findings) => {
          expect(findings).toMatchObject([{ id: 'channel-failed', severity: 'critical', node: lost }])
          expect(findings[0]?.evidence).toMatch(/^subscribe at .* could not be subscribed within \d+ ms/)
        },
        remedies: { 'channel-failed': said('look at what is between', () => nodes.heal()) },
      })
    } finally {
      if (behind !== port) await behind.close()
    }
  })

  it('channel-failed: what is published and never heard', async () => {
    const deaf: RedisPort = {
      ...altered(port, (_command, reply) => reply),
      subscribe: (channel, _listener, options) => port.subscribe(channel, { message: () => {} }, options),
    }
    const findings = await doctor(deaf, LIMIT)
    expect(idsOf(findings)).toEqual(primaries().map(() => 'channel-failed'))
    expect(findings[0]?.evidence).toMatch(/^hear at .* published [1-3] times and not heard$/)
    expect(await doctor(port, LIMIT)).toEqual([])
  })
})
