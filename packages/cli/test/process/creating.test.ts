import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BareServers, startBareServers } from '../../../slotwise/test/support/bare-servers.js'
import { json, slotwise, start } from '../support/slotwise.js'

let servers: BareServers
beforeAll(async () => {
  servers = await startBareServers(3, { 'cluster-node-timeout': '1000' })
}, 60_000)
afterAll(() => servers[Symbol.asyncDispose]())

describe('making a cluster', () => {
  it('waits for nodes that do not answer yet, and can be stopped', async () => {
    const nodes = [...servers.nodes.slice(0, 2), '127.0.0.1:1']
    const none = await slotwise(['create', ...nodes, '--replicas', '0'])
    expect(none).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('nothing listens there') as string,
    })
    const waiting = start(['create', ...nodes, '--replicas', '0', '--wait', '60'])
    await waiting.until('waiting for 127.0.0.1:1, at most')
    // Several attempts later.
    await waiting.until(/, at most 5[0-7] s more/)
    waiting.child.kill('SIGINT')
    const { code, stderr } = await waiting.ended
    expect(code).toBe(130)
    // A line for each step, and one every five seconds, whatever is tried how often meanwhile.
    expect(stderr.trimEnd().split('\n')).toEqual([
      'connecting to 3 nodes',
      expect.stringMatching(/^waiting for 127.0.0.1:1, at most \d+ s more$/),
      expect.stringMatching(/^waiting for 127.0.0.1:1, at most \d+ s more$/),
      expect.stringMatching(/Stopped between two steps/),
    ])
  })

  it('makes it as soon as they answer, and leaves a whole one as it is', async () => {
    const held = servers.pids[2] ?? 0
    process.kill(held, 'SIGSTOP')
    const making = start(['create', ...servers.nodes, '-r', '0', '--wait', '60', '--json'])
    try {
      await making.until('waiting for')
    } finally {
      process.kill(held, 'SIGCONT')
    }
    const { code, stdout } = await making.ended
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      command: 'create',
      changed: true,
      done: { slotsAssigned: 16_384 },
    })
    const again = await slotwise(['create', ...servers.nodes, '-r', '0'])
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('The cluster was whole already.') as string,
    })
  })

  it('has --timeout for all of it, also for nodes that answer and never agree', async () => {
    // Others are sent to a bus that is not there.
    await using deaf = await startBareServers(3, { 'cluster-announce-bus-port': '1' })
    const began = performance.now()
    const ran = await slotwise(['create', ...deaf.nodes, '-r', '0', '--timeout', '1200'])
    expect(ran).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/did not become one cluster in time.*bus port/) as string,
    })
    expect(performance.now() - began).toBeLessThan(8000)
  })

  it('is refused where the nodes are another cluster, which ends with 1', async () => {
    const other = await startBareServers(1)
    try {
      const nodes = [...servers.nodes.slice(0, 2), other.nodes[0] ?? '']
      const { code, stderr } = await slotwise(['create', ...nodes, '-r', '0'])
      expect({ code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^slotwise: 127.*Nothing was changed/m) as string,
      })
    } finally {
      await other[Symbol.asyncDispose]()
    }
  })
})

describe('a cluster that is not well', () => {
  it('is degraded without replicas, which ends with 1, and is found out by the doctor', async () => {
    const health = await json(['health', ...servers.nodes])
    expect(health).toMatchObject({ code: 1, document: { status: 'degraded' } })
    const doctor = await slotwise(['doctor', ...servers.nodes, '--usage', 'cache'])
    expect(doctor.code).toBe(1)
    expect(doctor.stdout).toMatch(/^warning primary-without-replica at 127[^\n]*\n {2}.*\n {2}→ .*\n/m)
    expect(
      (await slotwise(['doctor', ...servers.nodes, '--usage', 'cache', '--fail-on', 'critical'])).code,
    ).toBe(0)
  })

  it('is down when a primary hangs, which ends with 4; ping marks the node, and ends with 1', async () => {
    const held = servers.pids[0] ?? 0
    process.kill(held, 'SIGSTOP')
    try {
      const reach = servers.nodes.slice(1)
      const short = [...reach, '--timeout', '600']
      const [health, doctor, ping, info] = await Promise.all([
        slotwise(['health', ...short]),
        json(['doctor', ...short]),
        slotwise(['ping', ...short, '--count', '1']),
        slotwise(['info', ...short]),
      ])
      expect(health).toMatchObject({
        code: 4,
        stdout: expect.stringMatching(/^down: .*not served: /) as string,
      })
      expect(doctor).toMatchObject({ code: 4, document: { worst: 'critical' } })
      expect(ping.code).toBe(1)
      expect(ping.stdout).toMatch(new RegExp(`${servers.nodes[0]} +primary +0/1 `))
      // What there is is told, whatever it is.
      expect(info).toMatchObject({ code: 0, stdout: expect.stringContaining('silent') as string })
    } finally {
      process.kill(held, 'SIGCONT')
    }
  })
})
