import { SLOTS } from '../../slots.js'
import { type Found, found } from './finding.js'
import { figure, listed, type NodeObservation, type Observed } from './observation.js'
import { rangesOf, slotsInWords } from './slot-map.js'

/**
 * Why a primary does not serve what it owns, or nothing if it does. That it answers, and even that it says
 * `cluster_state:ok`, is not enough: it has to own the slots by its own account, too (`disowned`).
 */
function refusalOf(node: NodeObservation | undefined): string | undefined {
  if (node === undefined) return 'their owner is not known to this client'
  if (node.state !== 'answers') return `${node.name} ${node.state}: ${node.reason ?? 'no answer in time'}`
  if (node.role === 'replica') return `${node.name} is a replica`
  const state = node.cluster.get('cluster_state')
  const isHidden = node.denied.has('+cluster|info') || node.unknown.has('CLUSTER INFO')
  if (state === 'ok' || (state === undefined && isHidden)) return undefined
  if (state === undefined) return `${node.name} did not say in time whether it takes commands`
  return `${node.name} answers CLUSTERDOWN (cluster_state:${state})`
}

/** Slots that no primary serves now, with why. */
export function unservedSlots({ nodes, map }: Observed): ReadonlyMap<number, string> {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const refusals = new Map<string, string | undefined>()
  const unserved = new Map<number, string>()
  for (let slot = 0; slot < SLOTS; slot++) {
    const owner = map.owners[slot]
    if (owner === undefined) {
      unserved.set(slot, 'nobody owns them')
      continue
    }
    if (!refusals.has(owner)) refusals.set(owner, refusalOf(byId.get(owner)))
    const why = refusals.get(owner)
    if (why !== undefined) unserved.set(slot, why)
    else if (map.disowned.has(slot)) unserved.set(slot, `${byId.get(owner)?.name} sends callers elsewhere`)
  }
  return unserved
}

/** Are all slots served, and does everybody agree by whom? */
export function coverage(seen: Observed): Found[] {
  const unserved = unservedSlots(seen)
  return [
    ...unservedFindings(seen, unserved),
    ...(seen.standalone
      ? []
      : [...unassigned(seen), ...condemned(seen), ...disputes(seen), ...openSlots(seen)]),
  ]
}

function unservedFindings({ map }: Observed, unserved: ReadonlyMap<number, string>): Found[] {
  if (unserved.size === SLOTS) {
    const reasons = [...new Set(unserved.values())]
    return [found('nothing-served', undefined, `no slot is served: ${listed(reasons)}`)]
  }
  const byReason = new Map<string, Set<number>>()
  for (const [slot, why] of unserved) {
    if (map.owners[slot] === undefined) continue
    byReason.set(why, (byReason.get(why) ?? new Set()).add(slot))
  }
  return [...byReason].map(([why, slots]) =>
    found('slots-unserved', undefined, `${slotsInWords(slots)} are not served: ${why}`),
  )
}

function unassigned({ nodes, map }: Observed): Found[] {
  const slots = new Set(map.owners.flatMap((owner, slot) => (owner === undefined ? [slot] : [])))
  // Who says nothing about slots cannot be held to it.
  const primaries = nodes.filter(({ role, view }) => role === 'primary' && view.length > 0)
  if (slots.size === 0 || primaries.length === 0) return []
  const count = (id: string) => map.owners.reduce((sum, owner) => (owner === id ? sum + 1 : sum), 0)
  const least = primaries.toSorted((a, b) => count(a.id) - count(b.id))[0]
  const ranges = rangesOf(slots).map(([first, last]) => `${first} ${last}`)
  return [
    found('slots-unassigned', least?.name, `${slotsInWords(slots)} have no owner`, {
      ranges: ranges.join(' '),
    }),
  ]
}

/** What the nodes believe of each other's slots: suspected by one of them, or given up by most. */
function condemned({ nodes }: Observed): Found[] {
  const most = (name: string) => Math.max(0, ...nodes.map(({ cluster }) => figure(cluster, name) ?? 0))
  const told = (name: string) => nodes.filter(({ cluster }) => (figure(cluster, name) ?? 0) > 0)
  const evidence = (name: string) =>
    `${name}:${most(name)}, say ${listed(told(name).map((node) => node.name))}`
  return [
    ...(most('cluster_slots_fail') > 0
      ? [found('slots-failed', undefined, evidence('cluster_slots_fail'))]
      : []),
    ...(most('cluster_slots_pfail') > 0
      ? [found('slots-suspected', undefined, evidence('cluster_slots_pfail'))]
      : []),
  ]
}

/** Commands that a fix names one by one; of more slots than this it is a mover's to mend them. */
const NAMED_SLOTS = 16

function disputes({ nodes, map }: Observed): Found[] {
  if (map.disputed.size === 0) return []
  const findings: Found[] = []
  const slots = [...map.disputed].filter((slot) => map.owners[slot] !== undefined)
  for (const slot of slots.slice(0, NAMED_SLOTS)) {
    const owner = map.owners[slot] ?? ''
    const by = nodes.map(({ name, view }) => {
      const line = view.find((each) => each.slots.some(([first, last]) => slot >= first && slot <= last))
      const whom = line === undefined ? 'nobody' : (nodes.find(({ id }) => id === line.id)?.name ?? line.id)
      return view.length === 0 ? undefined : { name, whom }
    })
    // Whom the fix names comes first.
    const opinions = new Map<string, string[]>([[nodes.find(({ id }) => id === owner)?.name ?? owner, []]])
    for (const each of by) {
      if (each) opinions.set(each.whom, [...(opinions.get(each.whom) ?? []), each.name])
    }
    const said = [...opinions].map(([whom, names]) => `${whom} (say ${listed(names)})`).join(', or ')
    const rest = slots.length > NAMED_SLOTS ? `; one of ${slots.length} slots` : ''
    findings.push(
      found('slot-disputed', undefined, `slot ${slot} belongs to ${said}${rest}`, { slot, owner }),
    )
  }
  return findings
}

function openSlots({ nodes }: Observed): Found[] {
  const names = new Map(nodes.map(({ id, name }) => [id, name]))
  return nodes.flatMap(({ id, name, view }) => {
    const open = view.find((line) => line.id === id)?.open ?? []
    return open.slice(0, NAMED_SLOTS).map(({ slot, state, peer }) => {
      const way = state === 'migrating' ? 'to' : 'from'
      const rest = open.length > NAMED_SLOTS ? `; one of ${open.length}` : ''
      const evidence = `slot ${slot} is ${state} ${way} ${names.get(peer) ?? peer} at ${name}${rest}`
      return found('slot-open', name, evidence, { slot })
    })
  })
}
