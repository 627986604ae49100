import type { RedisPort, Topology } from '../../src/redis/index.js'
import { portWith } from './port-with.js'

/** The port as of one that asks sentinels, which count failovers like this. */
export function behindSentinels(port: RedisPort, epoch: () => number): RedisPort {
  const topology = (): Topology => {
    const known = port.topology()
    return {
      version: known.version,
      nodes: known.nodes,
      isBySentinels: true,
      ownerOf: (slot) => {
        const owner = known.ownerOf(slot)
        return owner && { ...owner, epoch: epoch() }
      },
      replicasOf: (primary) => known.replicasOf(primary),
    }
  }
  return portWith(port, { topology })
}
