import { setMaxListeners } from 'node:events'
import { addressOf } from '../../redis/address.js'
import type { ClusterNode, RedisPort } from '../../redis/port.js'
import { SLOTS } from '../../slots.js'
import { fields } from '../observe.js'
import { type NodeLine, parseNodes } from '../view.js'
import type { Usage } from './finding.js'
import { Interview } from './interview.js'
import type { NodeObservation, Observed } from './observation.js'
import { slotMapOf } from './slot-map.js'

/** How far a look goes. */
export interface Look {
  readonly usage: readonly Usage[]
  /** Each node's own deadline. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/** Settings that checks judge by; never those that hold secrets. */
const SETTINGS = [
  'appendonly',
  'bind',
  'client-output-buffer-limit',
  'cluster-node-timeout',
  'min-replicas-to-write',
  'port',
  'protected-mode',
  'save',
  'stop-writes-on-bgsave-error',
  'tls-cluster',
] as const

/** Further questions to a node that answers, within what is left of its deadline. */
export type Examine<More> = (interview: Interview, node: NodeObservation) => Promise<More>

/** Asks every node that the port knows, all at once, each within its own deadline. */
export async function observe<More extends object>(
  port: RedisPort,
  look: Look,
  examine: Examine<More>,
): Promise<Observed<NodeObservation & More>> {
  const patience = patienceOf(look.signal)
  const deadlineAt = performance.now() + look.timeoutMs
  try {
    const seen = await Promise.all(
      port.topology().nodes.map(async (node) => {
        const bounds = { deadlineAt, signal: patience.signal }
        const interview = new Interview(port, { id: node.id, name: addressOf(node) }, bounds)
        const core = await observeNode(node, interview)
        const more = await examine(interview, core)
        const user = await whoIs(interview)
        return { node: { ...core, ...more, user }, standalone: interview.standalone }
      }),
    )
    const nodes = seen.map(({ node }) => node)
    return {
      nodes,
      map: slotMapOf(nodes.filter(({ view }) => view.length > 0)),
      standalone: seen.some(({ standalone }) => standalone),
      usage: look.usage,
    }
  } finally {
    patience.end()
  }
}

/** What the health of a cluster is judged by is asked of every node anyway. */
export const NOTHING_MORE: Examine<object> = () => Promise.resolve({})

/** A signal of our own: so many questions at once would be so many listeners at the caller's. */
function patienceOf(signal: AbortSignal | undefined): {
  readonly signal: AbortSignal
  readonly end: () => void
} {
  const own = new AbortController()
  setMaxListeners(0, own.signal)
  const abort = () => {
    own.abort(signal?.reason)
  }
  if (signal?.aborted === true) abort()
  signal?.addEventListener('abort', abort, { once: true })
  return { signal: own.signal, end: () => signal?.removeEventListener('abort', abort) }
}

async function observeNode(node: ClusterNode, interview: Interview): Promise<NodeObservation> {
  const startedAt = performance.now()
  let latencyMs: number | undefined
  const first = interview.text(['CLUSTER', 'NODES']).then((text) => {
    if (interview.state !== 'silent') latencyMs = performance.now() - startedAt
    return text
  })
  const [nodes, cluster, info, config] = await Promise.all([
    first,
    interview.text(['CLUSTER', 'INFO']),
    interview.text(['INFO']),
    interview.ask(['CONFIG', 'GET', ...SETTINGS]),
  ])
  const { state, reason, standalone, denied, unknown, node: name } = interview
  const { id, host, port } = node
  const facts = fields(info)
  const view = standalone ? [alone(node)] : parseNodes(nodes).filter(isMember)
  // What a node says of itself is newer than the port's table.
  const self = view.find((line) => line.id === id)
  const isLoading = state === 'answers' && facts.get('loading') === '1'
  return {
    id,
    host,
    port,
    name,
    role: self === undefined ? node.role : self.flags.includes('master') ? 'primary' : 'replica',
    primary: self === undefined ? node.primary : self.primary,
    state: isLoading ? 'loading' : state,
    reason: isLoading ? 'LOADING: it reads its data' : reason,
    latencyMs,
    view,
    cluster: standalone ? new Map([['cluster_state', 'ok']]) : fields(cluster),
    info: facts,
    config: pairs(config),
    denied,
    user: undefined,
    unknown,
  }
}

/** For the fix of a missing right; whoever may not even ask this need not be told so. */
async function whoIs(interview: Interview): Promise<string | undefined> {
  if (interview.denied.size === 0) return undefined
  const user = await interview.text(['ACL', 'WHOAMI'])
  interview.denied.delete('+acl|whoami')
  return user === '' ? undefined : user
}

const isMember = ({ flags }: NodeLine): boolean => !flags.includes('handshake')

/** What a server without a cluster would say of itself. */
function alone({ id, host, port }: ClusterNode): NodeLine {
  return {
    id,
    host,
    port,
    busPort: 0,
    flags: ['myself', 'master'],
    primary: undefined,
    epoch: 0,
    connected: true,
    slots: [[0, SLOTS - 1]],
    open: [],
  }
}

/** The flat array that stands for a map. */
function pairs(reply: unknown): ReadonlyMap<string, string> {
  const flat: readonly unknown[] = Array.isArray(reply) ? reply : []
  const map = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) map.set(String(flat[i]), String(flat[i + 1]))
  return map
}
