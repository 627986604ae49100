import { expect, it } from 'vitest'
import { keyOf } from '../../../src/redis/index.js'
import { ADAPTERS } from '../../support/adapters.js'
import { type Answer, ScriptedCluster, type ScriptedNode } from '../../support/scripted-cluster.js'

const key = keyOf({ namespace: '', pattern: 'test', name: 'sentinel' }, 'a')

const at = ({ port }: ScriptedNode, flags: string): Answer =>
  `ip 127.0.0.1 port ${port} flags ${flags} config-epoch 1 down-after-milliseconds 5000`.split(' ')

it.each(ADAPTERS)(
  'over %s, the sentinel that leads a failover is believed whom it has promoted, though it lists the primary of before with the new epoch',
  async (_, connect) => {
    await using scripted = await ScriptedCluster.start('none', 'none', 'none', 'none')
    const [leader, old, promoted, other] = scripted.nodes
    expect.assert(leader !== undefined && old !== undefined && promoted !== undefined && other !== undefined)
    // What a leader of Redis 7.0 was seen to answer for a second, until the other replica had followed.
    let isOver = false
    leader.instead = (line) => {
      if (/^sentinel master /i.test(line)) {
        return isOver ? at(promoted, 'master') : at(old, 's_down,o_down,master,failover_in_progress')
      }
      if (/^sentinel get-master-addr-by-name /i.test(line)) return ['127.0.0.1', String(promoted.port)]
      if (!/^sentinel replicas /i.test(line)) return undefined
      return isOver
        ? [at(old, 's_down,slave'), at(other, 'slave')]
        : [at(other, 'slave,reconf_sent'), at(promoted, 'slave,promoted')]
    }
    for (const [name, node] of Object.entries({ old, promoted, other })) {
      node.instead = (line) => (/^get /i.test(line) ? name : undefined)
    }
    await using port = await connect({
      nodes: [`127.0.0.1:${leader.port}`],
      sentinel: { primaryName: 'main' },
      topologyRefreshMs: 100,
    })
    const listed = () => port.topology().nodes.map((node) => [node.port, node.role])
    const asked = () => leader.asked('SENTINEL MASTER')
    const expected = [
      [promoted.port, 'primary'],
      [other.port, 'replica'],
    ]
    expect(listed()).toEqual(expected)
    expect(await port.call({ key, command: ['GET', key] })).toBe('promoted')
    isOver = true
    const before = asked()
    await expect.poll(asked).toBeGreaterThan(before + 1)
    expect(listed()).toEqual(expected)
  },
)
