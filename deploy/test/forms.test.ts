import { randomInt } from 'node:crypto'
import { connect } from 'slotwise/ioredis'
import { keyOf, type RedisPort, slotOf } from 'slotwise/redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readEnvironment } from './support/compose.js'
import { Stack } from './support/stack.js'

const open = async (stack: Stack): Promise<RedisPort> =>
  await connect({
    nodes: stack.nodes(),
    namespace: 'comments',
    username: 'app',
    password: await stack.password('app'),
    nodeTimeoutMs: 5000,
  })
const key = keyOf({ namespace: 'comments', pattern: 'kept', name: 'forms' }, 'one')

describe('the durable form', () => {
  let stack: Stack
  let app: RedisPort
  beforeAll(async () => {
    stack = await Stack.open({ profiles: ['durable'], environment: readEnvironment('durable.env') })
    await stack.start()
    const { code, output } = await stack.run('cluster-init')
    expect([code, output]).toEqual([0, expect.stringMatching(/The cluster is made\b/)])
    app = await open(stack)
  }, 120_000)
  afterAll(async () => {
    await app.close()
    await stack[Symbol.asyncDispose]()
  })

  it('has two replicas of each primary, both of which have a write that waits for them', async () => {
    const { nodes } = app.topology()
    const primaries = nodes.filter(({ role }) => role === 'primary')
    expect(primaries).toHaveLength(3)
    for (const { id } of primaries) expect(nodes.filter(({ primary }) => primary === id)).toHaveLength(2)
    const written = await app.writeThenWait({ key, command: ['SET', key, 'v'] }, { replicas: 2 })
    expect(written).toEqual({ reply: 'OK', acknowledgedBy: 2, fsynced: false })
  })

  it('takes writes with one replica away, and refuses them with none', async () => {
    const { nodes } = app.topology()
    const [primary] = nodes.filter(({ role }) => role === 'primary')
    const nameOf = (at?: { readonly host: string; readonly port: number }) =>
      Array.from({ length: 9 }, (_, i) => `redis-${i + 1}`).find((name) => {
        return stack.hostOf(name) === at?.host && stack.portOf(name) === at.port
      }) ?? expect.fail()
    const [one, two] = nodes.filter((node) => node.primary === primary?.id).map(nameOf)
    const client = await stack.client(nameOf(primary), 'app')
    try {
      const slot = Array.from({ length: 1000 }, (_, i) => `comments:{${i}}`).find((name) => {
        return app.topology().ownerOf(slotOf(name))?.id === primary?.id
      })
      const write = async () => String((await client.pipeline([['SET', slot ?? '', 'v']]))[0])
      const good = async () =>
        /min_slaves_good_slaves:(\d)/.exec(String(await client.call(['INFO', 'replication'])))?.[1]
      await stack.stop(one)
      await expect.poll(good).toBe('1')
      expect(await write()).toBe('OK')
      await stack.stop(two)
      await expect.poll(good).toBe('0')
      expect(await write()).toMatch(/NOREPLICAS/)
    } finally {
      client.close()
    }
  })
})

describe('the form in the network of the host', () => {
  let stack: Stack
  // Another address of this machine, where a system has several.
  const host = process.platform === 'linux' ? `127.${randomInt(16, 250)}.${randomInt(1, 250)}.1` : '127.0.0.1'
  beforeAll(async () => {
    stack = await Stack.open({ over: ['compose.hostnet.yaml'], environment: { HOST_IP: host } })
    await stack.start()
  }, 120_000)
  afterAll(() => stack[Symbol.asyncDispose]())

  it('is one cluster whose nodes name the address of the host, to each other and to clients', async () => {
    const { code, output } = await stack.run('cluster-init')
    expect([code, output]).toEqual([0, expect.stringMatching(/The cluster is made\b/)])
    expect(stack.nodes().every((node) => node.startsWith(`${host}:`))).toBe(true)
    await using app = await open(stack)
    expect(
      app
        .topology()
        .nodes.map((node) => `${node.host}:${node.port}`)
        .toSorted(),
    ).toEqual(stack.nodes().toSorted())
    expect(await app.call({ key, command: ['SET', key, 'v'] })).toBe('OK')
    expect(await stack.run('cluster-init')).toMatchObject({
      code: 0,
      output: expect.stringContaining('The cluster was whole already') as string,
    })
  })

  it('listens nowhere else', async () => {
    const client = await stack.client('redis-1', 'ops')
    expect(await client.call(['CONFIG', 'GET', 'bind'])).toEqual([Buffer.from('bind'), Buffer.from(host)])
    client.close()
    expect(await stack.check('redis-1')).toEqual({ code: 0, output: '' })
  })
})
