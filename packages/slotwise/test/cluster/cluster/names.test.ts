import { expect, it } from 'vitest'
import { createCluster } from '../../../src/cluster/index.js'
import { startBareServers } from '../../support/bare-servers.js'
import { leading } from '../../support/leading-names.js'

it('servers that are given by names of several addresses meet at those that they were reached at', async () => {
  await using servers = await startBareServers(3)
  // Nobody listens at the first one.
  using _ = leading('several.test', ['127.0.0.2', '127.0.0.1'])
  const nodes = servers.addresses.map(({ port }) => `several.test:${port}`)
  await createCluster({ nodes, replicasPerPrimary: 0, timeoutMs: 10_000 })
  for (const client of servers.clients) {
    const told = String(await client.call(['CLUSTER', 'NODES']))
    for (const { port } of servers.addresses) expect(told).toContain(`127.0.0.1:${port}@`)
  }
})
