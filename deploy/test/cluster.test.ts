import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cache } from 'slotwise/cache'
import { doctor } from 'slotwise/cluster'
import { connect } from 'slotwise/ioredis'
import { Locks } from 'slotwise/lock'
import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
import { keyOf, type RedisPort, slotOf } from 'slotwise/redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { processesWith } from '../../packages/slotwise/test/support/processes.js'
import { Stack, type User } from './support/stack.js'

/** What a deployment without TLS, or a machine that others set up, cannot avoid. */
const ALLOWED = new Set(['plaintext', 'huge-pages', 'fork-slow', 'node-timeout-tight'])

describe('the cluster that is deployed', () => {
  let stack: Stack
  let app: RedisPort
  const port = async (user: User) =>
    await connect({
      nodes: stack.nodes(),
      namespace: 'comments',
      username: user,
      password: await stack.password(user),
      nodeTimeoutMs: 5000,
    })
  const refusalOf = async (user: User, command: readonly [string, ...string[]]) => {
    const client = await stack.client('redis-1', user)
    try {
      return String((await client.pipeline([command]))[0])
    } finally {
      client.close()
    }
  }

  beforeAll(async () => {
    stack = await Stack.open()
    await stack.start()
    const { code, output } = await stack.run('cluster-init')
    expect(output).toMatch(/The cluster is made\b/)
    expect(code).toBe(0)
    app = await port('app')
  }, 120_000)
  afterAll(async () => {
    await app.close()
    await stack[Symbol.asyncDispose]()
  })

  it('is left as it is by every later start', async () => {
    const { code, output } = await stack.run('cluster-init')
    expect(output).toMatch(/The cluster was whole already\b/)
    expect(code).toBe(0)
  })

  it('has nothing that a doctor of any usage objects to and that the deployment could have avoided', async () => {
    await using ops = await port('ops')
    const findings = await doctor(ops, {
      usage: ['locks', 'ratelimit', 'sessions', 'queue', 'channels', 'boards'],
      active: true,
    })
    expect(findings.filter(({ id }) => !ALLOWED.has(id))).toEqual([])
    // The nodes are judged as what others can reach, or there would be no such finding.
    expect(findings.filter(({ id }) => id === 'plaintext')).toHaveLength(6)
  })

  it('serves a cache, a limiter, locks, channels and writes that wait, to a user who may do little else', async () => {
    const cache = new Cache<number>(app, { name: 'prices', ttlMs: 60_000 })
    expect(await cache.getOrLoad('book', async () => 42)).toBe(42)
    await cache.invalidate(['book'])
    expect(await cache.getOrLoad('book', async () => 43)).toBe(43)
    await cache.close()

    const limiter = new RateLimiter(app, {
      name: 'api',
      tiers: { burst: tokenBucket({ capacity: 2, refillPerSecond: 0.001 }) },
      whenUnavailable: 'deny',
      evictionCheck: 'off',
    })
    expect(await limiter.consume('tenant')).toMatchObject({ allowed: true, decidedBy: 'redis' })

    const locks = new Locks(app, { name: 'orders', maxTtlMs: 5000, evictionCheck: 'off' })
    expect(
      await locks.using(
        ['order', 1],
        { ttlMs: 5000, waitMs: 20_000 },
        async (lock) => lock.remainingMs() > 0,
      ),
    ).toBe(true)

    const channel = keyOf({ namespace: 'comments', pattern: 'channels', name: 'news' }, 'today')
    const heard: string[] = []
    const subscription = await app.subscribe(channel, {
      message: (payload) => void heard.push(payload.toString()),
    })
    await app.call({ key: channel, command: ['SPUBLISH', channel, 'hello'] })
    await expect.poll(() => heard).toEqual(['hello'])
    await subscription.close()

    const key = keyOf({ namespace: 'comments', pattern: 'kept', name: 'orders' }, 'one')
    const written = await app.writeThenWait({ key, command: ['SET', key, 'v'] }, { replicas: 1 })
    expect(written).toEqual({ reply: 'OK', acknowledgedBy: 1, fsynced: false })
  })

  it.each<readonly [string, ...string[]]>([
    ['CONFIG', 'SET', 'maxmemory', '1'],
    ['CONFIG', 'GET', 'masterauth'],
    ['FLUSHALL'],
    ['KEYS', '*'],
    ['DEBUG', 'SLEEP', '0'],
    ['SHUTDOWN', 'NOSAVE'],
    ['ACL', 'LIST'],
    ['CLUSTER', 'RESET'],
    ['CLUSTER', 'MEET', '127.0.0.1', '1'],
    ['MONITOR'],
    ['SCRIPT', 'FLUSH'],
    ['FUNCTION', 'FLUSH'],
    ['CLIENT', 'KILL', 'TYPE', 'normal'],
    ['MIGRATE', '127.0.0.1', '1', 'k', '0', '1'],
    ['REPLICAOF', 'NO', 'ONE'],
    ['GET', 'another:application'],
    ['SPUBLISH', 'another:application', 'm'],
  ])('refuses its user %s %s', async (name, ...args) => {
    expect(await refusalOf('app', [name, ...args])).toMatch(/NOPERM|command not allowed/)
  })

  it('keeps the users of replicas and of health checks to what they are for', async () => {
    for (const user of ['repl', 'monitor'] as const) {
      expect(await refusalOf(user, ['GET', 'comments:x'])).toMatch(/NOPERM/)
      expect(await refusalOf(user, ['CONFIG', 'GET', '*'])).toMatch(/NOPERM/)
    }
    expect(await refusalOf('monitor', ['INFO', 'memory'])).toMatch(/used_memory/)
    expect(await refusalOf('ops', ['CONFIG', 'SET', 'appendonly', 'no'])).toMatch(/NOPERM/)
    expect(await refusalOf('ops', ['FLUSHALL'])).toMatch(/NOPERM/)
  })

  it('knows no user without a password', async () => {
    const { WireClient } = await import('../../packages/slotwise/src/redis/wire.js')
    const at = { host: stack.hostOf('redis-1'), port: stack.portOf('redis-1'), timeoutMs: 2000 }
    await expect(WireClient.connect(at)).rejects.toThrow(/asks for a password/)
    await expect(WireClient.connect({ ...at, username: 'default', password: '' })).rejects.toThrow(/refuses/)
    await expect(WireClient.connect({ ...at, username: 'app', password: 'guess' })).rejects.toThrow(/refuses/)
  })

  it('shows no secret among the arguments or in the environment of a program, nor in a file for everybody', async () => {
    const users = ['app', 'ops', 'repl', 'monitor'] as const
    const secrets = await Promise.all(users.map((user) => stack.password(user)))
    const state = { over: false }
    const work = Promise.all([
      stack.run('cluster-init'),
      ...['redis-1', 'redis-2', 'redis-3'].map((name) => stack.check(name)),
      stack.script('redis-1', 'health.sh', ['synced']),
    ]).finally(() => {
      state.over = true
    })
    const shown: number[] = []
    do {
      for (const secret of secrets) shown.push(...processesWith(secret))
      await sleep(5)
    } while (!state.over)
    expect((await work).map(({ code }) => code)).toEqual([0, 0, 0, 0, 0])
    expect(shown).toEqual([])
    if (process.platform === 'linux') {
      const environment = readFileSync(`/proc/${stack.pidOf('redis-1')}/environ`, 'latin1')
      for (const secret of secrets) expect(environment).not.toContain(secret)
    }
    const { at } = await stack.container('redis-1')
    const made = at('/run/redis')
    expect((await readdir(made)).toSorted()).toEqual(['redis.conf', 'users.acl'])
    for (const name of await readdir(made)) {
      expect([name, ((await stat(join(made, name))).mode & 0o777).toString(8)]).toEqual([name, '600'])
    }
    const acl = await readFile(join(made, 'users.acl'), 'utf8')
    for (const secret of secrets) expect(acl).not.toContain(secret)
    const config = await readFile(join(made, 'redis.conf'), 'utf8')
    const kept = secrets.filter((secret) => config.includes(secret))
    // Redis takes the password with which a replica logs in as it is; the file is in memory, and its user's alone.
    expect(kept).toEqual([await stack.password('repl')])
    for (const log of readdirSync(stack.folder).filter((name) => name.endsWith('.log'))) {
      const text = readFileSync(join(stack.folder, log), 'utf8')
      for (const secret of secrets) expect(text).not.toContain(secret)
    }
  })

  it('says of each node whether it is well, and why not', async () => {
    expect(await stack.script('redis-1', 'health.sh', ['live'])).toEqual({ code: 0, output: '' })
    expect(await stack.script('redis-4', 'health.sh', ['synced'])).toEqual({ code: 0, output: '' })
    process.kill(stack.pidOf('redis-4'), 'SIGSTOP')
    try {
      const [live, up] = await Promise.all([
        stack.script('redis-4', 'health.sh', ['live']),
        stack.check('redis-4'),
      ])
      expect([live.code, up.code]).toEqual([1, 1])
      expect(live.output).toMatch(/no answer/)
    } finally {
      process.kill(stack.pidOf('redis-4'), 'SIGCONT')
    }
  })

  it('does not call a node unwell for the state of its cluster, which restarting it would not mend', async () => {
    await using ops = await port('ops')
    const owner = ops.topology().ownerOf(0)
    expect.assert(owner !== undefined)
    const name = `redis-${stack.nodes().findIndex((node) => node.endsWith(`:${owner.port}`)) + 1}`
    const state = async () => String(await ops.onNode(owner.id, ['CLUSTER', 'INFO']))
    await ops.onNode(owner.id, ['CLUSTER', 'DELSLOTS', 0])
    try {
      await expect.poll(state).toMatch(/^cluster_state:fail/)
      for (const check of ['live', 'up', 'synced'])
        expect(await stack.script(name, 'health.sh', [check])).toEqual({ code: 0, output: '' })
    } finally {
      await ops.onNode(owner.id, ['CLUSTER', 'ADDSLOTS', 0])
    }
    await expect.poll(state).toMatch(/^cluster_state:ok/)
  })

  it('hands a primary over to its replica before it is ended, without losing a write', async () => {
    const key = keyOf({ namespace: 'comments', pattern: 'kept', name: 'handed' }, 'over')
    await app.call({ key, command: ['SET', key, 'kept'] })
    const owner = () => app.topology().ownerOf(slotOf(key))
    const first = owner()
    const name = [1, 2, 3, 4, 5, 6]
      .map((n) => `redis-${n}`)
      .find((one) => stack.hostOf(one) === first?.host && stack.portOf(one) === first.port)
    expect.assert(name !== undefined)
    const { code, output } = await stack.script(name, 'hand-over.sh')
    expect([code, output]).toEqual([0, expect.stringMatching(/is to take over\n$/)])
    const client = await stack.client(name, 'ops')
    expect(String(await client.call(['INFO', 'replication']))).toContain('role:slave')
    client.close()
    await expect.poll(() => owner()?.id, { timeout: 5000 }).not.toBe(first?.id)
    expect(await app.call({ key, command: ['GET', key] })).toBe('kept')
    // A replica has nobody to hand over to.
    expect(await stack.script(name, 'hand-over.sh')).toEqual({ code: 0, output: '' })
  })

  it('is whole again, with its data, when all nodes come back with other addresses', async () => {
    const key = keyOf({ namespace: 'comments', pattern: 'kept', name: 'moved' }, 'house')
    await app.call({ key, command: ['SET', key, 'still here'] })
    const owners = () => [0, 6000, 12_000].map((slot) => app.topology().ownerOf(slot)?.id)
    const owned = owners()
    await app.close()
    const before = stack.nodes()
    await stack.stop()
    stack.readdress()
    await stack.start()
    if (process.platform === 'linux')
      expect(stack.nodes().filter((node) => before.includes(node))).toEqual([])
    expect(await stack.run('cluster-init')).toMatchObject({ code: 0 })
    app = await port('app')
    expect(owners()).toEqual(owned)
    expect(await app.call({ key, command: ['GET', key] })).toBe('still here')
  })

  it('comes back from a backup of its replicas', async () => {
    const key = keyOf({ namespace: 'comments', pattern: 'kept', name: 'backup' }, 'one')
    await app.writeThenWait({ key, command: ['SET', key, 'saved'] }, { replicas: 1 })
    const { nodes } = app.topology()
    const nameOf = (node?: { host: string; port: number }) =>
      ['redis-1', 'redis-2', 'redis-3', 'redis-4', 'redis-5', 'redis-6'].find(
        (name) => stack.hostOf(name) === node?.host && stack.portOf(name) === node.port,
      ) ?? expect.fail()
    const pairs = nodes
      .filter(({ role }) => role === 'replica')
      .map((replica) => ({
        replica: nameOf(replica),
        primary: nameOf(nodes.find(({ id }) => id === replica.primary)),
      }))
    for (const { replica } of pairs) {
      const client = await stack.client(replica, 'ops')
      await client.call(['BGSAVE'])
      const saving = async () => String(await client.call(['INFO', 'persistence']))
      await expect.poll(saving, { timeout: 5000 }).toContain('rdb_bgsave_in_progress:0')
      expect(await saving()).toContain('rdb_last_bgsave_status:ok')
      client.close()
    }
    await app.close()
    await stack.stop()
    const dumps = await Promise.all(
      pairs.map(({ replica }) => readFile(join(stack.dataOf(replica), 'dump.rdb'))),
    )
    for (const { primary, replica } of pairs) {
      for (const name of [primary, replica]) {
        await rm(join(stack.dataOf(name), 'appendonlydir'), { recursive: true })
        await rm(join(stack.dataOf(name), 'dump.rdb'), { force: true })
      }
    }
    await Promise.all(
      pairs.map(async ({ primary }, index) => {
        const log = join(stack.dataOf(primary), 'appendonlydir')
        await mkdir(log)
        await writeFile(join(log, 'appendonly.aof.1.base.rdb'), dumps[index] ?? '')
        await writeFile(join(log, 'appendonly.aof.manifest'), 'file appendonly.aof.1.base.rdb seq 1 type b\n')
      }),
    )
    await stack.start()
    expect(await stack.run('cluster-init')).toMatchObject({ code: 0 })
    app = await port('app')
    expect(await app.call({ key, command: ['GET', key] })).toBe('saved')
  })
})
