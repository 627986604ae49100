import type { NodeObservation } from './observation.js'

/** Reached from this machine only. */
export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|::1|0:0:0:0:0:0:0:1)$/i.test(host)
}

/**
 * Whether a server takes connections from other machines, by its own `bind`; where CONFIG is forbidden by the address
 * that the cluster announces. What only matters to strangers is not held against one that no stranger can reach.
 */
export function listensBeyondLoopback({ config, host }: NodeObservation): boolean {
  const bind = config.get('bind')
  if (bind === undefined) return !isLoopback(host)
  const addresses = bind.split(' ').filter((address) => address !== '')
  // Nothing is everything; a dash says that the address may be missing.
  return addresses.length === 0 || addresses.some((address) => !isLoopback(address.replace(/^-/, '')))
}

/** Nodes by host; nothing where all are on loopback, which is one machine on purpose. */
export function hostsOf<Node extends NodeObservation>(
  nodes: readonly Node[],
): ReadonlyMap<string, readonly Node[]> {
  const hosts = new Map<string, Node[]>()
  if (nodes.every(({ host }) => isLoopback(host))) return hosts
  for (const node of nodes) hosts.set(node.host, [...(hosts.get(node.host) ?? []), node])
  return hosts
}
