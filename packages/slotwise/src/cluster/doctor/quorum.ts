import { type Found, found } from './finding.js'
import { hostsOf } from './hosts.js'
import { listed, type Observed, ownersOf } from './observation.js'

/** Could the cluster replace a primary, and would it survive the loss of a host? Only primaries with slots vote. */
export function quorum(seen: Observed): Found[] {
  if (seen.standalone) return []
  return [...votes(seen), ...sharedHosts(seen)]
}

function votes(seen: Observed): Found[] {
  const voters = ownersOf(seen)
  const needed = majorityOf(voters.length)
  const lost = voters.filter(({ state }) => state !== 'answers')
  const present = voters.length - lost.length
  const few = 'elections need a majority of the primaries that own slots'
  return [
    ...(voters.length > 0 && voters.length < 3
      ? [found('primaries-too-few', undefined, `${voters.length} primaries own slots; ${few}`)]
      : []),
    ...(present < needed && lost.length > 0
      ? [
          found(
            'quorum-lost',
            undefined,
            `${present} of ${voters.length} primaries answer, ${needed} are needed; missing: ${listed(lost.map(({ name }) => name))}`,
          ),
        ]
      : []),
  ]
}

const majorityOf = (count: number): number => Math.floor(count / 2) + 1

function sharedHosts(seen: Observed): Found[] {
  const hosts = hostsOf(seen.nodes)
  const voters = new Set(ownersOf(seen).map(({ id }) => id))
  return [...hosts].flatMap(([host, nodes]) => {
    const here = nodes.filter(({ id }) => voters.has(id))
    const beside = nodes.filter(({ primary }) => nodes.some(({ id }) => id === primary))
    return [
      ...(voters.size >= 3 && voters.size - here.length < majorityOf(voters.size)
        ? [
            found(
              'majority-on-one-host',
              undefined,
              `${here.length} of ${voters.size} primaries are on ${host}; without it nobody can be elected`,
            ),
          ]
        : []),
      ...beside.map(({ name, primary }) => {
        const whose = nodes.find(({ id }) => id === primary)
        return found('replica-beside-primary', name, `${name} is on the host of its primary, ${whose?.name}`)
      }),
    ]
  })
}
