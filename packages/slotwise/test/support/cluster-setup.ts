import type { TestProject } from 'vitest/node'
import { startLocalCluster } from '../../src/local/index.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** `host:port` of every node of the cluster that all tests of the project share. */
    clusterNodes: readonly string[]
  }
}

/** One cluster for all tests that leave its nodes alone: three primaries, a replica each. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await startLocalCluster({ onProgress: (step) => console.error(`cluster: ${step}`) })
  project.provide('clusterNodes', cluster.connectOptions.nodes)
  return () => cluster.stop()
}
