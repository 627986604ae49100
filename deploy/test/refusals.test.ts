import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DEPLOY } from './support/compose.js'
import { Stack } from './support/stack.js'

const run = promisify(execFile)

describe('the cluster for caches', () => {
  let stack: Stack
  beforeEach(async () => {
    stack = await Stack.open({ profiles: ['cache'], environment: { REDIS_NODE_TIMEOUT_MS: '1000' } })
    await stack.start('cache-')
  }, 60_000)
  afterEach(() => stack[Symbol.asyncDispose]())

  const configOf = async (name: string, setting: string) => {
    const client = await stack.client(name, 'ops')
    const [, value] = (await client.call(['CONFIG', 'GET', setting])) as readonly Buffer[]
    client.close()
    return String(value)
  }

  it('is finished where its making stopped half-way', async () => {
    const first = await stack.client('cache-1', 'ops')
    await first.call(['CLUSTER', 'ADDSLOTSRANGE', 0, 99])
    await first.call(['CLUSTER', 'MEET', stack.hostOf('cache-2'), stack.portOf('cache-2')])
    first.close()
    const { code, output } = await stack.run('cache-init')
    expect([code, output]).toEqual([0, expect.stringMatching(/The cluster is made\b/)])
    const again = await stack.client('cache-1', 'ops')
    const nodes = String(await again.call(['CLUSTER', 'NODES']))
      .trim()
      .split('\n')
    expect(nodes).toHaveLength(3)
    expect(nodes.find((line) => line.includes('myself'))).toMatch(/connected 0-/)
    again.close()
    // And evicts what is used least, keeps nothing, and goes on with a part missing.
    expect(await configOf('cache-2', 'maxmemory-policy')).toBe('allkeys-lfu')
    expect(await configOf('cache-2', 'appendonly')).toBe('no')
    expect(await configOf('cache-2', 'cluster-require-full-coverage')).toBe('no')
  })

  it('is not made of nodes that belong elsewhere, and the foreign ones are left alone', async () => {
    await stack.start('redis-1')
    const first = await stack.client('cache-1', 'ops')
    await first.call(['CLUSTER', 'MEET', stack.hostOf('redis-1'), stack.portOf('redis-1')])
    await expect
      .poll(async () =>
        String(await first.call(['CLUSTER', 'NODES']))
          .trim()
          .split('\n'),
      )
      .toHaveLength(2)
    await expect.poll(async () => String(await first.call(['CLUSTER', 'NODES']))).not.toContain('handshake')
    const { code, output } = await stack.run('cache-init')
    expect(code).not.toBe(0)
    expect(output).toMatch(/not among the nodes given.*Nothing was changed/)
    expect(String(await first.call(['CLUSTER', 'INFO']))).toContain('cluster_slots_assigned:0')
    first.close()
  })

  it('is not made of nodes that hold data', async () => {
    const first = await stack.client('cache-1', 'ops')
    await first.call(['CLUSTER', 'ADDSLOTSRANGE', 0, 16_383])
    await expect
      .poll(async () => String(await first.call(['CLUSTER', 'INFO'])), { timeout: 8000 })
      .toContain('cluster_state:ok')
    await first.call(['SET', 'comments:a', 'b'])
    await first.call(['CLUSTER', 'DELSLOTSRANGE', 0, 16_383])
    first.close()
    const { code, output } = await stack.run('cache-init')
    expect([code === 0, output]).toEqual([false, expect.stringContaining('holds 1 key')])
  })
})

describe('the entrypoint', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slotwise-entrypoint-'))
    await run('sh', [join(DEPLOY, 'make-secrets.sh'), join(folder, 'secrets')])
    // What would start if nothing stopped it.
    await writeFile(join(folder, 'redis-server'), '#!/bin/sh\necho started\n', { mode: 0o755 })
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const start = (more: Readonly<Record<string, string>> = {}) =>
    run('sh', [join(DEPLOY, 'redis/entrypoint.sh')], {
      env: {
        PATH: `${folder}:${process.env['PATH']}`,
        REDIS_CONFIG: join(DEPLOY, 'redis'),
        REDIS_RUN: join(folder, 'run'),
        REDIS_DATA: join(folder, 'data'),
        REDIS_SECRETS: join(folder, 'secrets'),
        NODE_PORT: '7000',
        NODE_IP: '10.0.0.1',
        ...more,
      },
    }).then(
      ({ stdout }) => stdout,
      (error: { code: number; stderr: string }) => `${error.code} ${error.stderr}`,
    )

  it('starts the server with what it was told', async () => {
    expect(await start()).toBe('started\n')
    expect((await readdir(join(folder, 'run'))).toSorted()).toEqual(['redis.conf', 'users.acl'])
  })

  it.each([
    ['a bus port above the highest', { NODE_PORT: '60000' }, /^64 .*bus port 70000 is above 65535/],
    ['a certificate that is not there', { REDIS_TLS: '/nowhere' }, /^64 .*cert\.pem is missing/],
    ['secrets that are not there', { REDIS_SECRETS: '/nowhere' }, /^64 .*secret redis_app is missing/],
    ['no address', { NODE_IP: '' }, /NODE_IP/],
  ])('does not start with %s', async (_, more, said) => {
    expect(await start(more)).toMatch(said)
  })

  it.each([
    ['that is short', 'guess', /at least 16 characters/],
    ['that would end its line', 'aaaaaaaaaaaaaaaaaaaa\nrequirepass x', /letters, digits/],
    ['that would be run', '$(touch /tmp/x)aaaaaaaaaaaaaaa', /letters, digits/],
  ])('does not start with a secret %s', async (_, secret, said) => {
    const secrets = await mkdtemp(join(folder, 'secrets-'))
    for (const user of ['app', 'ops', 'repl', 'monitor'])
      await writeFile(join(secrets, `redis_${user}`), secret)
    expect(await start({ REDIS_SECRETS: secrets })).toMatch(said)
  })
})
