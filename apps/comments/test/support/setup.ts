import type { TestProject } from 'vitest/node'
import { startLocalCluster } from '../../../../packages/slotwise/src/local/index.js'
import { startPostgres } from '../../../../scripts/postgres.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** `host:port` of every node of the cluster that all tests of the project share. */
    clusterNodes: readonly string[]
    /** Of a Postgres in which every test file makes a database of its own. */
    postgresUrl: string
  }
}

/** One cluster and one Postgres for all tests that leave them alone; `DATABASE_URL` if it is set. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const own = process.env['DATABASE_URL']
  const starting = [
    startLocalCluster({ onProgress: (step) => console.error(`cluster: ${step}`) }),
    own === undefined
      ? startPostgres({ onProgress: (step) => console.error(`postgres: ${step}`) })
      : Promise.resolve(undefined),
  ] as const
  const [cluster, postgres] = await Promise.allSettled(starting)
  const stop = async () => {
    if (cluster.status === 'fulfilled') await cluster.value.stop()
    if (postgres.status === 'fulfilled') await postgres.value?.stop()
  }
  if (cluster.status === 'rejected' || postgres.status === 'rejected') {
    await stop()
    throw cluster.status === 'rejected' ? cluster.reason : (postgres as PromiseRejectedResult).reason
  }
  project.provide('clusterNodes', cluster.value.connectOptions.nodes)
  project.provide('postgresUrl', own ?? postgres.value?.url ?? '')
  return stop
}
