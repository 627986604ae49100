import { type Found, found } from './finding.js'
import { listed, type NodeObservation, type Observed, ownersOf } from './observation.js'

/** Are the nodes one cluster: distinct epochs, one version? */
export function agreement(seen: Observed): Found[] {
  return seen.standalone ? [] : [...epochs(seen), ...versions(seen)]
}

/** Two primaries with one epoch cannot settle who owns a slot that both claim. */
function epochs(seen: Observed): Found[] {
  const byEpoch = new Map<number, NodeObservation[]>()
  for (const node of ownersOf(seen)) {
    const epoch = node.view.find(({ id }) => id === node.id)?.epoch
    if (epoch !== undefined) byEpoch.set(epoch, [...(byEpoch.get(epoch) ?? []), node])
  }
  return [...byEpoch].flatMap(([epoch, nodes]) => {
    const [, second] = nodes
    if (second === undefined) return []
    const names = listed(nodes.map(({ name }) => name))
    return [found('epoch-collision', second.name, `${names} have the same configuration epoch, ${epoch}`)]
  })
}

function versions({ nodes }: Observed): Found[] {
  const byVersion = new Map<string, string[]>()
  for (const { name, info } of nodes) {
    // Valkey says which Redis it is compatible with, beside its own version.
    const version = info.get('valkey_version') ?? info.get('redis_version')
    if (version !== undefined) byVersion.set(version, [...(byVersion.get(version) ?? []), name])
  }
  if (byVersion.size < 2) return []
  const said = [...byVersion].map(([version, names]) => `${version} (${listed(names)})`)
  return [found('version-skew', undefined, `versions differ: ${said.join(', ')}`)]
}
