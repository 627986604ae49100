import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { OutcomeUnknownError } from '../../src/errors.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { ADAPTERS } from '../support/adapters.js'
import { promotion } from '../support/port-traffic.js'

let cluster: LocalCluster

beforeAll(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
}, 60_000)
afterAll(() => cluster.stop())
beforeEach(() => cluster.whenHealthy())

/** Keys of one primary, and which of the servers that is. */
function keysOfOnePrimary(port: RedisPort): {
  readonly keys: readonly [Key, ...Key[]]
  readonly index: number
} {
  const space = { namespace: '', pattern: 'doubt', name: 'keys' }
  const first = keyOf(space, 'first')
  const owner = port.topology().ownerOf(slotOf(first))
  const more = Array.from({ length: 300 }, (_, i) => keyOf(space, [i]))
  const same = more.filter((key) => port.topology().ownerOf(slotOf(key))?.id === owner?.id)
  return { keys: [first, ...same], index: cluster.nodes.findIndex((node) => node.port === owner?.port) }
}

/**
 * One primary hangs, is replaced and wakes up. Gives whether it served what it held to a client that believes it, without which
 * little is shown: it may notice first that it is alone, and refuses everything then.
 */
async function wakeUp(connect: (typeof ADAPTERS)[number][1]): Promise<boolean> {
  const control = await connect({ ...cluster.connectOptions })
  const waiting = await connect({ ...cluster.connectOptions, commandTimeoutMs: 20_000 })
  // It does not hear of the election, as it has nothing to ask.
  const idle = await connect({
    ...cluster.connectOptions,
    commandTimeoutMs: 20_000,
    topologyRefreshMs: 60_000,
  })
  const { keys, index } = keysOfOnePrimary(control)
  const plain = new Redis(cluster.nodes[index]?.port ?? 0, '127.0.0.1')
  const setAll = async (value: string) => {
    const calls = keys.map((key) => ({ key, command: ['SET', key, value], repeat: 'safe' }) as const)
    for (const { status } of await control.pipeline(calls, { deadlineMs: 5000 }))
      expect(status).toBe('fulfilled')
  }
  const getAll = (port: RedisPort) =>
    Promise.all(keys.map((key) => port.call({ key, command: ['GET', key], repeat: 'safe' })))
  try {
    await setAll('old')
    await plain.ping()
    await cluster.pause(index)
    const plainly = Promise.all(keys.map((key) => plain.get(key).catch(String)))
    const gets = getAll(waiting)
    const lengths = keys.map((key) => waiting.call({ key, command: ['LLEN', key], repeat: 'safe' }))
    const appends = keys.map((key) => waiting.call({ key, command: ['APPEND', `${key}+` as Key, 'x'] }))
    const all = Promise.allSettled([gets, ...lengths, ...appends])
    await promotion(cluster, control, index)
    await setAll('new')
    const late = getAll(idle)
    await cluster.resume(index)
    const served = await plainly
    expect(new Set(await late)).toEqual(new Set(['new']))
    expect(new Set(await gets)).toEqual(new Set(['new']))
    await all
    if (!served.includes('old')) return false
    for (const append of await Promise.allSettled(appends)) {
      expect(append).toEqual({ status: 'rejected', reason: expect.any(OutcomeUnknownError) as unknown })
    }
    for (const length of await Promise.allSettled(lengths)) {
      expect(length).toMatchObject({ status: 'rejected', reason: { replyCode: 'WRONGTYPE' } })
    }
    return true
  } finally {
    await cluster.resume(index)
    plain.disconnect()
    for (const port of [control, waiting, idle]) await port.close()
  }
}

it.each(ADAPTERS)(
  'over %s, a primary that wakes up after it was replaced is believed by nobody, whether a call waited for it or not',
  async (_, connect) => {
    for (let round = 1; !(await wakeUp(connect)); round++) {
      expect(round).toBeLessThan(5)
      await cluster.whenHealthy()
    }
  },
)

it.each(ADAPTERS)(
  'over %s, a call that waits for an election is finished even if the port is closed meanwhile',
  async (_, connect) => {
    const port = await connect({ ...cluster.connectOptions, topologyRefreshMs: 60_000 })
    const { keys, index } = keysOfOnePrimary(port)
    const [key] = keys
    await cluster.kill(index)
    const call = port.call({ key, command: ['SET', key, 'v'], repeat: 'safe' }, { deadlineMs: 10_000 })
    const closed = port.close()
    expect(await call).toBe('OK')
    await closed
    await cluster.restart(index)
  },
)
