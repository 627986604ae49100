import { access, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { describe } from 'vitest'
import { parseAddress } from '../../../src/cluster/observe.js'
import {
  ClosedError,
  ConfigurationError,
  LocalServerError,
  ServerNotFoundError,
} from '../../../src/errors.js'
import { findServer } from '../../../src/local/find.js'
import { freePorts } from '../../../src/local/ports.js'
import { processInfo } from '../../../src/local/process.js'
import { lostItsPort, startServer } from '../../../src/local/server.js'
import { WireClient } from '../../../src/redis/wire.js'
import { startBareServers } from '../../support/bare-servers.js'
import { ask, it } from '../../support/local-test.js'

const ownFolders = async () =>
  (await readdir(tmpdir())).filter((name) => /^slotwise-[A-Za-z0-9]{6}$/.test(name)).length

describe('startLocalCluster, alone on the machine', () => {
  it('is healthy within three seconds, every answer coming from its own processes', async ({
    expect,
    start,
  }) => {
    // Other tests share this machine: a second chance, but no more time.
    let started = performance.now()
    let cluster = await start()
    if (performance.now() - started > 3000) {
      await cluster.stop()
      started = performance.now()
      cluster = await start()
    }
    expect(performance.now() - started).toBeLessThan(3000)
    const roles = cluster.nodes.map(({ role }) => role)
    expect(roles).toEqual(['primary', 'primary', 'primary', 'replica', 'replica', 'replica'])
    expect(cluster.version).toMatch(/^\d+\.\d+\.\d+$/)
    expect(cluster.connectOptions.nodes).toHaveLength(6)
    for (const [index, { id, pid }] of cluster.nodes.entries()) {
      expect(await ask(cluster, index, ['CLUSTER', 'MYID'])).toBe(id)
      expect(await ask(cluster, index, ['INFO', 'server'])).toContain(`process_id:${pid}\r\n`)
      expect(await ask(cluster, index, ['CLUSTER', 'INFO'])).toContain('cluster_state:ok')
    }
  })

  it('shows what a server said that dies at its start, and leaves nothing', async ({ expect, start }) => {
    const before = await ownFolders()
    const attempt = start({ config: { 'no-such-setting': '1' } })
    await expect(attempt).rejects.toThrow(LocalServerError)
    await expect(attempt).rejects.toThrow(/no-such-setting/)
    expect(await ownFolders()).toBe(before)
  })

  it('can be given up, leaves nothing, and calls nothing of it a failure', async ({ expect, start }) => {
    const before = await ownFolders()
    const reason = new Error('enough')
    const controller = new AbortController()
    const failures: Error[] = []
    const attempt = start({
      signal: controller.signal,
      onProgress: (step) => step.startsWith('introducing') && controller.abort(reason),
      onError: (error) => failures.push(error),
    })
    await expect(attempt).rejects.toBe(reason)
    expect(failures).toEqual([])
    expect(await ownFolders()).toBe(before)
  })

  it('never takes a stranger on its port for its own', async ({ expect, folder }) => {
    await using stranger = await startBareServers(1)
    const { port } = parseAddress(stranger.nodes[0])
    const [busPort = 0] = await freePorts(1)
    const config = { dir: folder, port, busPort, persistent: false, nodeTimeoutMs: 2000, more: {} }
    const failure = await startServer(await findServer(), config, { timeoutMs: 2000 }, undefined).catch(
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(LocalServerError)
    // Which makes it try another port.
    expect(lostItsPort(failure)).toBe(true)
    expect(String(await stranger.clients[0]?.call(['PING']))).toBe('PONG')
  })

  it('says when the server named is none', async ({ expect, start }) => {
    const path = process.env['SLOTWISE_REDIS_SERVER']
    try {
      process.env['SLOTWISE_REDIS_SERVER'] = '/no/such/server'
      await expect(start()).rejects.toThrow(ServerNotFoundError)
      await expect(start()).rejects.toThrow(/SLOTWISE_REDIS_SERVER.*no such file/)
      process.env['SLOTWISE_REDIS_SERVER'] = process.execPath
      await expect(start()).rejects.toThrow(/does not say which version/)
    } finally {
      if (path === undefined) delete process.env['SLOTWISE_REDIS_SERVER']
      else process.env['SLOTWISE_REDIS_SERVER'] = path
    }
  })

  it.for([
    [{ primaries: 2 }, /primaries/],
    [{ username: 'x' }, /username needs a password/],
    [{ version: 'new' }, /version must be like 7.2/],
    [{ basePort: 70_000 }, /basePort/],
    [{ config: { port: '1' } }, /set by startLocalCluster itself/],
    [{ config: { save: '1\nport 1' } }, /one line of text/],
  ] as const)('refuses %j', async ([options, words], { expect, start }) => {
    await expect(start(options)).rejects.toThrow(ConfigurationError)
    await expect(start(options)).rejects.toThrow(words)
  })
})

describe.concurrent('startLocalCluster', () => {
  it('ends every server and removes its files when stopped, however often', async ({ expect, start }) => {
    const cluster = await start()
    const pids = cluster.nodes.map(({ pid }) => pid)
    const [folder = ''] =
      /[^ ]+(?=\/node-0\/redis\.conf$)/.exec(processInfo(pids[0] ?? 0)?.command ?? '') ?? []
    await access(folder)
    await cluster.pause(1)
    await cluster.kill(2)
    await Promise.all([cluster.stop(), cluster.stop()])
    await cluster[Symbol.asyncDispose]()
    expect(pids.filter((pid) => processInfo(pid) !== undefined)).toEqual([])
    await expect(access(folder)).rejects.toThrow('ENOENT')
    await expect(cluster.kill(0)).rejects.toThrow(ClosedError)
  })

  it('asks for name and password, and speaks TLS with a certificate of its own', async ({
    expect,
    start,
  }) => {
    const password = 'a "quoted" \\ pass phrase é'
    const cluster = await start({ username: 'app', password, tls: true })
    expect(cluster.connectOptions).toMatchObject({ username: 'app', password })
    expect(await ask(cluster, 0, ['ACL', 'WHOAMI'])).toBe('app')

    const { tls } = cluster.connectOptions
    const address = parseAddress(cluster.connectOptions.nodes[0])
    const connect = async (more: object) => {
      const client = await WireClient.connect({ ...address, timeoutMs: 2000, username: 'app', ...more })
      client.close()
    }
    await connect({ tls, password, host: 'localhost' })
    await expect(connect({ tls, password: 'x' })).rejects.toThrow(ConfigurationError)
    await expect(connect({ tls })).rejects.toThrow(/set password/)
    await expect(connect({ password })).rejects.toThrow(/if it expects TLS, set tls/)
    await expect(connect({ password, tls: true })).rejects.toThrow(/signed by tls.ca/)
  })

  it('asks for a password alone, and passes settings on', async ({ expect, start }) => {
    const config = { 'maxmemory-policy': 'allkeys-lru' }
    const cluster = await start({ replicasPerPrimary: 0, password: 'secret', config })
    expect(await ask(cluster, 0, ['ACL', 'WHOAMI'])).toBe('default')
    expect(String(await ask(cluster, 0, ['CONFIG', 'GET', 'maxmemory-policy']))).toContain('allkeys-lru')
    const address = parseAddress(cluster.connectOptions.nodes[0])
    await expect(WireClient.connect({ ...address, timeoutMs: 2000 })).rejects.toThrow(/asks for a password/)
  })

  it('moves on from ports that are taken', async ({ expect, start, take }) => {
    const [base = 0] = await freePorts(1)
    await take([base])
    const cluster = await start({ basePort: base, replicasPerPrimary: 0 })
    expect(cluster.nodes.filter(({ port }) => port <= base)).toEqual([])
  })
})
