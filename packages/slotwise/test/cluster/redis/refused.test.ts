import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OutcomeUnknownError } from '../../../src/errors.js'
import { keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { ADAPTERS } from '../../support/adapters.js'
import { ScriptedCluster, type ScriptedNode } from '../../support/scripted-cluster.js'

const key = keyOf({ namespace: '', pattern: 'test', name: 'refused' }, 'a')
/** More than lost calls are repeated. */
const TIMES = 6

describe.each(ADAPTERS)('over %s, a server of made-up answers', (_, connect) => {
  let cluster: ScriptedCluster
  let port: RedisPort
  let owner: ScriptedNode
  beforeEach(async () => {
    cluster = await ScriptedCluster.start('none', 'none', 'none')
    port = await connect({ nodes: cluster.addresses, retryBackoffMs: { min: 1, max: 4 } })
    const known = cluster.nodes.find((node) => node.owned.has(slotOf(key)))
    expect.assert(known !== undefined)
    owner = known
  })
  afterEach(async () => {
    await port.close()
    await cluster[Symbol.asyncDispose]()
  })
  /** What INCR is answered with, time after time. */
  const answers = (answer: (time: number) => Error | number) => {
    let time = 0
    owner.instead = (line) => (line.startsWith('INCR') ? answer(++time) : undefined)
  }

  describe.each([{}, { dedicated: true }])('that executed nothing, asked with %j', (options) => {
    it.each([
      'LOADING Redis is loading the dataset in memory',
      'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
      "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
      "READONLY You can't write against a read only replica.",
      'CLUSTERDOWN Hash slot not served',
      'CLUSTERDOWN The cluster is down',
      'TRYAGAIN Multiple keys request during rehashing of slot',
    ])('is asked again whatever may not run twice, however often it says %s', async (refusal) => {
      answers((time) => (time <= TIMES ? new Error(refusal) : 1))
      expect(await port.call({ key, command: ['INCR', key] }, options)).toBe(1)
      expect(owner.asked('INCR')).toBe(TIMES + 1)
    })

    it('is not asked again after any other error', async () => {
      answers(() => new Error('OOM command not allowed'))
      await expect(port.call({ key, command: ['INCR', key] }, options)).rejects.toThrow(/^OOM/)
      expect(owner.asked('INCR')).toBe(1)
    })
  })

  describe.each([{}, { dedicated: true }])('that breaks the connection, asked with %j', (options) => {
    const breaking = (times: number) =>
      answers((time) => {
        if (time <= times) owner.cutConnections()
        return 1
      })

    it('has been asked once by what may not run twice', async () => {
      breaking(Infinity)
      const call = port.call({ key, command: ['INCR', key] }, options)
      await expect(call).rejects.toThrow(OutcomeUnknownError)
      expect(owner.asked('INCR')).toBe(1)
    })

    it('is asked three times more by what may, and then nobody knows', async () => {
      breaking(3)
      const call = { key, command: ['INCR', key], repeat: 'safe' } as const
      expect(await port.call(call, options)).toBe(1)
      expect(owner.asked('INCR')).toBe(4)
      breaking(Infinity)
      await expect(port.call(call, options)).rejects.toThrow(OutcomeUnknownError)
      expect(owner.asked('INCR')).toBe(8)
    })
  })

  it('is asked for a sign of life every quarter of the node timeout, if that is less than the time between two looks', async () => {
    await using quick = await connect({
      nodes: cluster.addresses,
      topologyRefreshMs: 60_000,
      nodeTimeoutMs: 200,
    })
    expect(quick.topology().nodes).toHaveLength(3)
    // The port that the other tests use asks once a second.
    const before = owner.asked('PING')
    let ticks = 0
    const ticking = setInterval(() => ticks++, 50)
    await expect.poll(() => ticks, { timeout: 10_000 }).toBeGreaterThanOrEqual(30)
    clearInterval(ticking)
    const pings = owner.asked('PING') - before
    expect(pings).toBeGreaterThan(ticks * 0.7)
    expect(pings).toBeLessThan(ticks * 1.4)
  })
})
