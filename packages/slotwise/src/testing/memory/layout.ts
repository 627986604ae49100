import type { ClusterNode, Topology } from '../../redis/port.js'
import { SLOTS } from '../../slots.js'

/** Who serves what in a cluster in memory: slots in equal shares, for good. */
export class Layout implements Topology {
  readonly version = 1
  readonly nodes: readonly ClusterNode[]
  readonly replicasPerPrimary: number
  readonly #share: number

  constructor(primaries: number, replicasPerPrimary: number) {
    this.replicasPerPrimary = replicasPerPrimary
    this.#share = Math.ceil(SLOTS / primaries)
    const main = Array.from(
      { length: primaries },
      (_, i): ClusterNode => ({
        id: (i + 1).toString(16).padStart(40, '0'),
        host: 'memory',
        port: 7000 + i,
        role: 'primary',
        epoch: i + 1,
      }),
    )
    const replicas = Array.from({ length: primaries * replicasPerPrimary }, (_, i): ClusterNode => {
      const id = (primaries + i + 1).toString(16).padStart(40, '0')
      const primary = main[i % primaries]?.id
      return {
        id,
        host: 'memory',
        port: 7000 + primaries + i,
        role: 'replica',
        epoch: (i % primaries) + 1,
        primary,
      }
    })
    this.nodes = [...main, ...replicas]
  }

  ownerOf(slot: number): ClusterNode | undefined {
    return this.nodes[Math.floor(slot / this.#share)]
  }

  replicasOf(primary: string): readonly ClusterNode[] {
    return this.nodes.filter((node) => node.primary === primary)
  }

  /** By its id or `host:port`. */
  find(name: string): ClusterNode | undefined {
    return this.nodes.find(({ id, host, port }) => id === name || `${host}:${port}` === name)
  }

  /** As CLUSTER NODES of one of them tells it. */
  text(self: ClusterNode): string {
    return this.nodes
      .map((node, i) => {
        const role = node.role === 'primary' ? 'master' : 'slave'
        const flags = node === self ? `myself,${role}` : role
        const slots = `${i * this.#share}-${Math.min(SLOTS, (i + 1) * this.#share) - 1}`
        return `${node.id} ${node.host}:${node.port}@${node.port + 10_000} ${flags} ${node.primary ?? '-'} 0 0 ${node.epoch} connected${node.role === 'primary' ? ` ${slots}` : ''}\n`
      })
      .join('')
  }
}
