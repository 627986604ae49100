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
  const elsewhere = exchange(seen)
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
        const evidence = `${name} is on the host of its primary, ${whose?.name}`
        return found('replica-beside-primary', name, evidence, { primary: elsewhere.get(name) ?? 'ID' })
      }),
    ]
  })
}

/**
 * Whom each replica on the host of its primary had better follow: of the primaries on other hosts the one with the
 * fewest replicas away from its host, counting those that are given it here, so that doing as all findings say leaves
 * none bare. Among equals the next one in line, so that neighbours change places in a ring.
 */
function exchange(seen: Observed): ReadonlyMap<string, string> {
  const primaries = ownersOf(seen)
  const pairs = seen.nodes.flatMap((replica) => {
    const at = primaries.findIndex(({ id }) => id === replica.primary)
    const primary = primaries[at]
    return primary === undefined ? [] : [{ replica, primary, at, beside: replica.host === primary.host }]
  })
  const safe = new Map(primaries.map(({ id }) => [id, 0]))
  const count = (id: string) => safe.set(id, (safe.get(id) ?? 0) + 1)
  for (const { primary, beside } of pairs) if (!beside) count(primary.id)
  const chosen = new Map<string, string>()
  for (const { replica, at } of pairs.filter(({ beside }) => beside).toSorted((a, b) => a.at - b.at)) {
    const inLine = [...primaries.slice(at + 1), ...primaries.slice(0, at)]
    const others = inLine.filter(({ host }) => host !== replica.host)
    const next = others.toSorted((a, b) => (safe.get(a.id) ?? 0) - (safe.get(b.id) ?? 0))[0]
    if (next === undefined) continue
    count(next.id)
    chosen.set(replica.name, next.id)
  }
  return chosen
}
