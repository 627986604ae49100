import type { Examined, ExaminedNode } from './examine.js'
import { type Found, found } from './finding.js'
import { listensBeyondLoopback } from './hosts.js'
import { figure } from './observation.js'

/** Would a server that ends come back with its data, and does saving it disturb nobody? */
export function persistence({ nodes }: Examined): Found[] {
  return nodes.flatMap((node) => [...failed(node), ...absent(node), ...forks(node), ...pages(node)])
}

function failed({ name, info }: ExaminedNode): Found[] {
  const logs = ['aof_last_bgrewrite_status', 'aof_last_write_status'].filter(
    (field) => info.get(field) === 'err',
  )
  return [
    ...(info.get('rdb_last_bgsave_status') === 'err'
      ? [found('save-failed', name, `${name} says rdb_last_bgsave_status:err`)]
      : []),
    ...(logs.length > 0
      ? [found('log-failed', name, `${name} says ${logs.map((field) => `${field}:err`).join(', ')}`)]
      : []),
  ]
}

/**
 * A primary that restarts empty within the node timeout is not replaced, and empties its replicas. One that only this
 * machine reaches is taken for a trial.
 */
function absent(node: ExaminedNode): Found[] {
  const { name, config } = node
  const saves = config.get('save')
  const log = config.get('appendonly')
  if (saves !== '' || log !== 'no' || !listensBeyondLoopback(node)) return []
  return [found('persistence-off', name, `${name} neither saves nor keeps a log (save "", appendonly no)`)]
}

/** During a fork nobody is served; a tenth of a second is longer than the budgets of caches and limiters. */
const LONG_FORK_USEC = 100_000

function forks({ name, info, config }: ExaminedNode): Found[] {
  const last = figure(info, 'latest_fork_usec') ?? 0
  const used = figure(info, 'used_memory') ?? 0
  const total = figure(info, 'total_system_memory') ?? 0
  const persists = config.get('appendonly') === 'yes' || (config.get('save') ?? '') !== ''
  return [
    ...(last > LONG_FORK_USEC
      ? [found('fork-slow', name, `the last fork of ${name} took ${Math.round(last / 1000)} ms`)]
      : []),
    ...(persists && total > 0 && used * 2 > total
      ? [
          found(
            'fork-too-large',
            name,
            `${name} uses ${used} of ${total} bytes of its machine, and forks to save`,
          ),
        ]
      : []),
  ]
}

/** Redis itself sees them in its memory, and says so when it is asked for advice about latency. */
function pages({ name, latency }: ExaminedNode): Found[] {
  if (!/anonymous huge pages/i.test(latency)) return []
  return [found('huge-pages', name, `LATENCY DOCTOR of ${name} finds anonymous huge pages in its process`)]
}
