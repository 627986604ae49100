import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RedisUnavailableError } from '../../../src/errors.js'
import { keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { ADAPTERS } from '../../support/adapters.js'
import { ScriptedCluster } from '../../support/scripted-cluster.js'

const key = keyOf({ namespace: '', pattern: 'test', name: 'disputed' }, 'a')
const deadlineMs = 1000

describe.each(ADAPTERS)('over %s, two nodes that each name the other for a slot', (_, connect) => {
  let cluster: ScriptedCluster
  let port: RedisPort
  let asked = 0
  beforeEach(async () => {
    cluster = await ScriptedCluster.start('none', 'none')
    port = await connect({ nodes: cluster.addresses, topologyRefreshMs: 60_000 })
    asked = 0
    const [one, other] = cluster.nodes
    expect.assert(one !== undefined && other !== undefined)
    const instead = (to: number) => (line: string) => {
      if (!/^(?:get|ssubscribe) /i.test(line)) return undefined
      asked++
      return new Error(`MOVED ${slotOf(key)} 127.0.0.1:${to}`)
    }
    one.instead = instead(other.port)
    other.instead = instead(one.port)
  })
  afterEach(async () => {
    await port.close()
    await cluster[Symbol.asyncDispose]()
  })

  // Each time six redirections are followed, then it waits; and a look, which may know better, ends the wait every 50 ms.
  it.each([
    ['a call', () => port.call({ key, command: ['GET', key], repeat: 'safe' }, { deadlineMs })],
    ['a subscription', () => port.subscribe(key, { message: () => {} }, { deadlineMs })],
  ])('are asked by %s with pauses, and not as fast as they answer', async (_what, ask) => {
    let told = 0
    port.onTopology(() => void told++)
    await expect(ask()).rejects.toThrow(RedisUnavailableError)
    expect(asked).toBeGreaterThan(5)
    expect(asked).toBeLessThan(400)
    expect(told).toBeLessThan(400)
  })
})
