import { type Found, found } from './finding.js'
import { isLoopback } from './hosts.js'
import { figure, type NodeObservation, type Observed } from './observation.js'

/** May state be evicted, and is there room? */
export function memory(seen: Observed): Found[] {
  return [
    ...seen.nodes.flatMap((node) => [...policy(node, seen), ...evicted(node), ...nearlyFull(node)]),
    ...unbounded(seen),
  ]
}

function policy({ name, info }: NodeObservation, { usage }: Observed): Found[] {
  const limit = figure(info, 'maxmemory') ?? 0
  const rule = info.get('maxmemory_policy')
  // Without a limit nothing is ever evicted.
  if (limit === 0 || rule === undefined) return []
  const evidence = `${name} has maxmemory ${limit} and maxmemory-policy ${rule}`
  if (rule !== 'noeviction') return [found('policy-evicts', name, evidence)]
  const isOnlyCache = usage.length === 1 && usage[0] === 'cache'
  return isOnlyCache ? [found('policy-refuses', name, evidence)] : []
}

function evicted({ name, info }: NodeObservation): Found[] {
  const count = figure(info, 'evicted_keys') ?? 0
  return count === 0 ? [] : [found('keys-evicted', name, `${name} has evicted ${count} keys`)]
}

/** A share of what there is, beyond which it is time to act. */
const NEARLY = 0.9
const CLOSE = 0.7

function nearlyFull({ name, info }: NodeObservation): Found[] {
  const limit = figure(info, 'maxmemory') ?? 0
  const used = (figure(info, 'used_memory') ?? 0) - (figure(info, 'mem_not_counted_for_evict') ?? 0)
  if (limit === 0 || info.get('maxmemory_policy') !== 'noeviction') return []
  if (used < limit * NEARLY || used >= limit) return []
  const evidence = `${name} uses ${used} of maxmemory ${limit} bytes and will refuse writes beyond it`
  return [found('memory-nearly-full', name, evidence, { more: Math.ceil((used * 2) / 2 ** 20) })]
}

/** Without a limit it is the kernel that ends a server, with everything in it. Servers of one host share its memory. */
function unbounded({ nodes }: Observed): Found[] {
  const hosts = new Map<string, NodeObservation[]>()
  for (const node of nodes) {
    const host = isLoopback(node.host) ? 'loopback' : node.host
    hosts.set(host, [...(hosts.get(host) ?? []), node])
  }
  return [...hosts.values()].flatMap((here) => {
    const used = here.reduce((sum, { info }) => sum + (figure(info, 'used_memory_rss') ?? 0), 0)
    const total = Math.max(0, ...here.map(({ info }) => figure(info, 'total_system_memory') ?? 0))
    if (total === 0 || used < total * CLOSE) return []
    return here
      .filter(({ info }) => figure(info, 'maxmemory') === 0)
      .map(({ name }) => {
        const evidence = `${name} has no maxmemory, and the servers of its host use ${used} of ${total} bytes`
        const share = Math.floor((total * CLOSE) / here.length / 2 ** 20)
        return found('memory-unbounded', name, evidence, { share })
      })
  })
}
