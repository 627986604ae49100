import { expect, inject, it } from 'vitest'
import { clusterInfo, doctor, healthCheck } from '../../../src/cluster/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { connect as connectNodeRedis } from '../../../src/node-redis/index.js'
import { startBareServers } from '../../support/bare-servers.js'
import { idsOf, remedy } from '../../support/doctor.js'

it('a server without a cluster is judged for itself: it serves all slots, and lacks nothing that it could not have', async () => {
  await using servers = await startBareServers(1, { 'cluster-enabled': 'no' })
  const redis = await connect({ nodes: servers.nodes })
  try {
    expect(await healthCheck(redis)).toMatchObject({
      status: 'ok',
      nodes: [{ node: servers.nodes[0], role: 'primary', state: 'answers' }],
      slots: { served: 16_384, unserved: [] },
      findings: [],
    })
    expect(await clusterInfo(redis)).toMatchObject({
      state: 'ok',
      slots: { assigned: 16_384 },
      nodes: [{ answered: true, role: 'primary', slots: [[0, 16_383]] }],
    })
    expect(await doctor(redis, { active: true })).toEqual([])
    await servers.all(['CONFIG', 'SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru'])
    const findings = await doctor(redis)
    expect(idsOf(findings)).toEqual(['policy-evicts'])
    for (const finding of findings) await remedy(redis, finding)
    expect(await doctor(redis)).toEqual([])
  } finally {
    await redis.close()
  }
})

it('over node-redis the nodes tell the same', async () => {
  const nodes = inject('clusterNodes')
  const [one, other] = [await connect({ nodes }), await connectNodeRedis({ nodes })]
  try {
    const shape = async (port: typeof one) =>
      (await clusterInfo(port)).nodes
        .map(({ id, address, role, primary, slots, configEpoch, link, answered }) =>
          JSON.stringify({ id, address, role, primary, slots, configEpoch, link, answered }),
        )
        .toSorted((a, b) => a.localeCompare(b))
    expect(await shape(other)).toEqual(await shape(one))
    const ids = idsOf(await doctor(other, { active: true, bigKeyBytes: 1 }))
    expect(ids).not.toContain('permission-missing')
    expect(ids).not.toContain('canary-failed')
  } finally {
    await one.close()
    await other.close()
  }
})
