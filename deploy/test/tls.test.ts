import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { doctor } from 'slotwise/cluster'
import { connect } from 'slotwise/ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startService } from '../../apps/comments/src/compose.js'
import { loadConfig } from '../../apps/comments/src/config.js'
import { WireClient } from '../../packages/slotwise/src/redis/wire.js'
import { startPostgres } from '../../scripts/postgres.js'
import { Stack } from './support/stack.js'

describe('the deployment with TLS', () => {
  let stack: Stack
  let ca = ''
  beforeAll(async () => {
    stack = await Stack.open({ over: ['compose.tls.yaml'] })
    expect(await stack.run('certificates')).toEqual({ code: 0, output: 'a certificate was made\n' })
    await stack.start()
    const { code, output } = await stack.run('cluster-init', { FAIL_ON: 'warning' })
    expect([code, output]).toEqual([0, expect.stringMatching(/The cluster is made\b/)])
    const { at } = await stack.container('redis-1')
    ca = await readFile(at('/run/tls/ca.pem'), 'utf8')
  }, 120_000)
  afterAll(() => stack[Symbol.asyncDispose]())

  it('keeps its certificate for as long as it is good, and its key to its user', async () => {
    const { at } = await stack.container('certificates')
    const folder = at('/run/tls')
    const before = await readFile(join(folder, 'cert.pem'), 'utf8')
    expect(await stack.run('certificates')).toEqual({ code: 0, output: 'the certificate is kept\n' })
    expect(await readFile(join(folder, 'cert.pem'), 'utf8')).toBe(before)
    expect(((await stat(join(folder, 'key.pem'))).mode & 0o777).toString(8)).toBe('600')
  })

  it('answers nobody in plain text', async () => {
    const at = { host: stack.hostOf('redis-1'), port: stack.portOf('redis-1'), timeoutMs: 1000 }
    const login = { username: 'ops', password: await stack.password('ops') }
    await expect(WireClient.connect({ ...at, ...login })).rejects.toThrow(
      /closed the connection|did not answer/,
    )
    const client = await stack.client('redis-1', 'ops', { tls: { ca } })
    expect(await client.call(['CONFIG', 'GET', 'port'])).toEqual([Buffer.from('port'), Buffer.from('0')])
    client.close()
    expect((await stack.check('redis-1')).code).toBe(0)
  })

  it('leaves the doctor nothing to say that it could have avoided', async () => {
    await using port = await connect({
      nodes: stack.nodes(),
      username: 'ops',
      password: await stack.password('ops'),
      tls: { ca },
    })
    const findings = await doctor(port, { usage: ['locks', 'queue'], active: true })
    const machine = new Set(['huge-pages', 'fork-slow', 'node-timeout-tight'])
    expect(findings.filter(({ id }) => !machine.has(id))).toEqual([])
  })

  it('hands a primary over', async () => {
    const roles = await Promise.all(
      [1, 2, 3, 4, 5, 6].map(async (n) => {
        const client = await stack.client(`redis-${n}`, 'ops', { tls: { ca } })
        const info = String(await client.call(['INFO', 'replication']))
        client.close()
        return [`redis-${n}`, /role:(\w+)/.exec(info)?.[1]] as const
      }),
    )
    const [primary = ''] = roles.find(([, role]) => role === 'master') ?? []
    const { output } = await stack.script(primary, 'hand-over.sh')
    expect(output).toMatch(/is to take over\n$/)
  })

  it('is what the service runs on, with what compose.yaml gives it', async () => {
    await using postgres = await startPostgres()
    const owner = new pg.Client({ connectionString: postgres.url })
    await owner.connect()
    const password = await readFile(join(stack.folder, 'secrets/postgres'), 'utf8')
    await owner.query(`create role comments login password '${password}'`)
    await owner.query('create database comments owner comments')
    await owner.end()
    const { environment } = await stack.container('comments')
    const config = loadConfig({
      ...environment,
      HOST: '127.0.0.1',
      PORT: '0',
      DATABASE_URL: `postgres://comments@127.0.0.1:${postgres.port}/comments`,
    })
    await using service = await startService(config, { logger: pino({ level: 'silent' }) })
    const ready = await fetch(`${service.url}/readyz`)
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { redis: 'up', postgres: 'up', draining: false, unwritten: { changes: 0, oldestMs: 0 } },
    ])
  })
})
