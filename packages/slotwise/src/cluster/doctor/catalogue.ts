import type { Severity, Usage } from './finding.js'

/** What a finding means, and what to do about it. */
interface Kind {
  /** For all usages, or by usage; `none` where it does not matter, `others` for those not named. */
  readonly severity: Severity | Partial<Readonly<Record<Usage | 'others', Severity | 'none'>>>
  readonly means: string
  /**
   * What to do, as a sentence. Commands in backquotes are run at the finding's node; a blank such as `<slot>`, in
   * backquotes only, is filled in by what was seen.
   */
  readonly fix: string
}

/** Whoever keeps state cannot do without; a cache goes to its loader. */
const LOST_SERVICE = { others: 'critical', cache: 'warning' } as const

/** Every finding by its id, for the code and for the table in docs/patterns/cluster.md. */
export const FINDINGS = {
  'nothing-served': {
    severity: 'critical',
    means: 'no slot is served by any primary',
    fix: 'Bring the nodes back that the evidence names; with most primaries gone for good, restore from a backup.',
  },
  'slots-unserved': {
    severity: LOST_SERVICE,
    means: 'the owner of slots hangs, is gone, has no majority, or sends callers away',
    fix: 'Bring the owner back, or, if it is gone for good, have its replica take over: `CLUSTER FAILOVER TAKEOVER` there.',
  },
  'slots-unassigned': {
    severity: LOST_SERVICE,
    means: 'slots that nobody owns',
    fix: 'Give them to the node that holds their keys (`CLUSTER COUNTKEYSINSLOT` says), or to this one: `CLUSTER ADDSLOTSRANGE <ranges>`.',
  },
  'slots-failed': {
    severity: LOST_SERVICE,
    means: 'the nodes have given up the owner of slots, and nobody was elected in its place',
    fix: 'Restart the owner, or have a replica of it take over: `CLUSTER FAILOVER TAKEOVER` there.',
  },
  'slots-suspected': {
    severity: 'warning',
    means: 'a node cannot reach the owner of slots, and the others have not agreed that it failed',
    fix: 'Look at the owner and at the bus ports between the nodes; within the node timeout it is either elected away or well.',
  },
  'slot-disputed': {
    severity: 'warning',
    means: 'nodes name different owners of a slot; for a second after a slot has moved this is normal',
    fix: 'If it stays: `CLUSTER SETSLOT <slot> NODE <owner>` on every primary, or with the id of the node that holds its keys.',
  },
  'slot-open': {
    severity: 'warning',
    means: 'a slot is on its way; calls over several of its keys fail until it has arrived',
    fix: 'If no move is under way: finish it, or end it with `CLUSTER SETSLOT <slot> STABLE` at both ends.',
  },
  'node-unreachable': {
    severity: 'warning',
    means: 'a node does not answer this process',
    fix: 'Start or resume it. If it is gone for good: `CLUSTER FORGET <id>` on every other node within a minute.',
  },
  'node-loading': {
    severity: 'warning',
    means: 'a node reads its data and serves nobody',
    fix: 'Wait until it has read its data: `INFO persistence` tells how far it is.',
  },
  'node-busy': {
    severity: 'warning',
    means: 'a script has run for longer than busy-reply-threshold, and its node serves nobody',
    fix: 'End it, if it has not written yet: `SCRIPT KILL`.',
  },
  'node-refuses': {
    severity: 'warning',
    means: 'a node does not accept the name and password that the others accept',
    fix: 'Give this node the same users as the others: `ACL LIST` on both.',
  },
  'node-suspected': {
    severity: 'warning',
    means: 'a node answers this process, but other nodes see it fail',
    fix: 'Open the bus ports (cluster-port, port + 10000 by default) between the nodes, and see that none is short of CPU.',
  },
  'node-unknown': {
    severity: 'warning',
    means: 'a node does not know another one, and will not vote for it nor follow it',
    fix: 'Introduce it: `CLUSTER MEET <host> <port> <bus>`. If it was removed on purpose: `CLUSTER FORGET <id>` on all others.',
  },
  'primary-without-replica': {
    severity: 'warning',
    means: 'nobody can take over the slots of a primary',
    fix: 'Bring its replica back, or give it one: `CLUSTER REPLICATE <primary>` on a node without slots.',
  },
  'replica-unlinked': {
    severity: 'warning',
    means: 'a replica is not linked to its primary, and grows older',
    fix: 'Read its log; mostly masteruser or masterauth are wrong, the user lacks `+psync +replconf +ping`, or a firewall is between.',
  },
  'replica-lagging': {
    severity: 'warning',
    means: 'a replica is further behind than the backlog reaches, or silent: a failover would lose that much',
    fix: 'See what holds it up (a hung process, disk, network); give the backlog room: `repl-backlog-size` on the primary.',
  },
  'writes-need-replicas': {
    severity: LOST_SERVICE,
    means: 'a primary refuses writes since too few replicas follow (NOREPLICAS)',
    fix: 'Bring replicas back. To take writes meanwhile, which a failover may lose: `CONFIG SET min-replicas-to-write <good>`.',
  },
  'writes-need-disk': {
    severity: LOST_SERVICE,
    means: 'a primary refuses writes since it could not save (MISCONF)',
    fix: 'Make room on the disk and its folder writable (the log says which), then `BGSAVE`.',
  },
  'memory-full': {
    severity: LOST_SERVICE,
    means: 'a primary has used its maxmemory, may not evict, and refuses writes (OOM)',
    fix: 'Remove what is not needed or add primaries; if the machine has more: `CONFIG SET maxmemory <more>mb`.',
  },
  'permission-missing': {
    severity: 'info',
    means: 'something could not be looked at, for lack of a right',
    fix: 'Give the user that runs this the right, to see it: `ACL SETUSER <user> <right>`.',
  },
  'command-missing': {
    severity: 'info',
    means: 'something could not be looked at, since the server does not have or offer the command',
    fix: 'Look it up where the provider of the server shows it.',
  },
} as const satisfies Readonly<Record<string, Kind>>

/** The stable id of a finding. */
export type FindingId = keyof typeof FINDINGS
