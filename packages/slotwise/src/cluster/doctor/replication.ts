import { type Found, found } from './finding.js'
import { figure, type NodeObservation, type Observed, ownersOf } from './observation.js'

/** Is every slot held twice, by copies that are up to date? */
export function replication(seen: Observed): Found[] {
  if (seen.standalone) return []
  return [...ownersOf(seen).flatMap((primary) => bare(primary, seen)), ...replicas(seen).flatMap(linkAndLag)]
}

interface Pair {
  readonly replica: NodeObservation
  readonly primary: NodeObservation | undefined
}

function replicas({ nodes }: Observed): readonly Pair[] {
  return nodes
    .filter(({ role }) => role === 'replica')
    .map((replica) => ({ replica, primary: nodes.find(({ id }) => id === replica.primary) }))
}

/** A replica that is down, or not linked, could not be elected with what its primary holds. */
function bare(primary: NodeObservation, seen: Observed): Found[] {
  const { name, id } = primary
  const own = replicas(seen).filter(({ replica }) => replica.primary === id)
  const usable = own.filter(({ replica }) => replica.state === 'answers' && isLinked(replica) !== false)
  if (usable.length > 0) return []
  const why = own.length === 0 ? 'has no replica' : `has ${own.length}, of which none answers and is linked`
  return [found('primary-without-replica', name, `${name} ${why}`, { primary: id })]
}

/** Undefined where INFO is forbidden. */
function isLinked({ info }: NodeObservation): boolean | undefined {
  const status = info.get('master_link_status')
  return status === undefined ? undefined : status === 'up'
}

/** How many bytes a node is behind its primary; nothing for a primary, or where nobody tells. */
export function lagOf(replica: NodeObservation, { nodes }: Observed): number | undefined {
  if (replica.role === 'primary') return undefined
  return lagBytes({ replica, primary: nodes.find(({ id }) => id === replica.primary) })
}

/** By its own answer, or else by what its primary has heard from it. */
function lagBytes({ replica, primary }: Pair): number | undefined {
  const written = primary && figure(primary.info, 'master_repl_offset')
  if (written === undefined) return undefined
  const read = figure(replica.info, 'slave_repl_offset') ?? acknowledged(primary, replica)?.offset
  // The two were asked at the same time, not in the same instant.
  return read === undefined ? undefined : Math.max(0, written - read)
}

/** The primary's line about one replica: `slave0:ip=…,port=…,state=online,offset=12,lag=1`. */
function acknowledged(primary: NodeObservation | undefined, { host, port }: NodeObservation) {
  for (const [field, text] of primary?.info ?? []) {
    if (!/^slave\d+$/.test(field)) continue
    const parts = new Map(text.split(',').map((part) => part.split('=', 2) as [string, string]))
    if (parts.get('ip') !== host || Number(parts.get('port')) !== port) continue
    return { offset: figure(parts, 'offset'), lagSeconds: figure(parts, 'lag') }
  }
  return undefined
}

/** Redis's own `min-replicas-max-lag`: replicas send word every second. */
const SILENT_SECONDS = 10

function linkAndLag(pair: Pair): Found[] {
  const { replica, primary } = pair
  if (isLinked(replica) === false) {
    const isSyncing = replica.info.get('master_sync_in_progress') === '1'
    const since = figure(replica.info, 'master_link_down_since_seconds')
    const how = isSyncing ? 'it is copying everything' : `down for ${Math.max(0, since ?? 0)} s`
    const whom = primary?.name ?? 'its primary'
    return [found('replica-unlinked', replica.name, `${replica.name} is not linked to ${whom}: ${how}`)]
  }
  const lag = lagBytes(pair)
  const seconds = acknowledged(primary, replica)?.lagSeconds
  // What is no longer in the backlog when the link breaks can only be copied as a whole.
  const backlog = figure(primary?.info ?? new Map(), 'repl_backlog_size') ?? 1024 * 1024
  const isBehind = lag !== undefined && lag > backlog
  const isQuiet = seconds !== undefined && seconds >= SILENT_SECONDS
  if (!isBehind && !isQuiet) return []
  const heard = seconds === undefined ? '' : `, last heard ${seconds} s ago`
  const evidence = `${replica.name} is ${lag ?? 'unknown'} bytes behind ${primary?.name}${heard}; the backlog holds ${backlog}`
  return [found('replica-lagging', replica.name, evidence)]
}

/** A replica needs one whole copy to begin with; more than a few others, and more than one a day, is a habit. */
const EXTRA_SYNCS = 3
const DAY_SECONDS = 86_400

/** Do replicas come back by what they missed, or by copying everything? */
export function fullSyncs({ nodes }: Observed): Found[] {
  return nodes.flatMap(({ name, info }) => {
    const extra = (figure(info, 'sync_full') ?? 0) - (figure(info, 'connected_slaves') ?? 0)
    const seconds = Math.max(1, figure(info, 'uptime_in_seconds') ?? 1)
    if (extra < EXTRA_SYNCS || extra < seconds / DAY_SECONDS) return []
    const evidence = `${name} has sent ${extra} whole copies beyond the first in ${seconds} s (sync_full)`
    return [found('full-syncs', name, evidence)]
  })
}
