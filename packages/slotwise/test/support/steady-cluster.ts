import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'

/** Three primaries, of which one that is paused is neither replaced nor takes the others down with it. */
export const steadyCluster = (): Promise<LocalCluster> =>
  startLocalCluster({
    primaries: 3,
    replicasPerPrimary: 0,
    nodeTimeoutMs: 30_000,
    config: { 'cluster-require-full-coverage': 'no' },
  })
