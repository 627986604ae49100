import type { NodeLine } from '../view.js'
import type { Usage } from './finding.js'
import type { NodeState } from './interview.js'
import type { SlotMap } from './slot-map.js'

/** What one node said within its deadline. What is empty was not answered: see {@link NodeObservation.denied}. */
export interface NodeObservation {
  readonly id: string
  readonly host: string
  readonly port: number
  /** `host:port`, its name in findings. */
  readonly name: string
  readonly role: 'primary' | 'replica'
  /** Id of the primary it follows. */
  readonly primary: string | undefined
  readonly state: NodeState
  /** Why it is not at work. */
  readonly reason: string | undefined
  /** From the first question to its answer. */
  readonly latencyMs: number | undefined
  /** CLUSTER NODES, without nodes it only shakes hands with. */
  readonly view: readonly NodeLine[]
  /** CLUSTER INFO. */
  readonly cluster: ReadonlyMap<string, string>
  readonly info: ReadonlyMap<string, string>
  readonly config: ReadonlyMap<string, string>
  /** ACL rights that the user lacked, such as `+config|get`. */
  readonly denied: ReadonlySet<string>
  /** Who we are there; asked only where a right was missing. */
  readonly user: string | undefined
  /** Commands that the server does not have. */
  readonly unknown: ReadonlySet<string>
}

/** Everything the checks judge by. */
export interface Observed<Node extends NodeObservation = NodeObservation> {
  readonly nodes: readonly Node[]
  readonly map: SlotMap
  /** One server without a cluster: what is about several nodes does not apply. */
  readonly standalone: boolean
  readonly usage: readonly Usage[]
}

/** A figure of INFO, or nothing where it was not told. */
export function figure(fields: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = fields.get(name)
  const value = text === undefined || text === '' ? Number.NaN : Number(text)
  return Number.isNaN(value) ? undefined : value
}

/** Nodes that own at least one slot. */
export function ownersOf<Node extends NodeObservation>({ nodes, map }: Observed<Node>): readonly Node[] {
  const ids = new Set(map.owners)
  return nodes.filter(({ id }) => ids.has(id))
}

/** The names of nodes, for evidence: `a, b and 3 more`. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, 4).join(', ')
  return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown
}
