import { type Kind, LOST_CHANNELS, LOST_SERVICE } from './kind.js'

/** What is wrong with the cluster as a whole: its slots, its members, its replicas, its readiness to take writes. */
export const SERVICE_FINDINGS = {
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
    fix: 'Give them to the node that holds their keys (CLUSTER COUNTKEYSINSLOT says), or to this one: `CLUSTER ADDSLOTSRANGE <ranges>`.',
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
    fix: "If it stays: `CLUSTER SETSLOT <slot> NODE <owner>` on every primary, or with the id of the node that holds its keys. If one of the two is gone for good: `failover` from it with `mode: 'takeover'` (`slotwise failover --takeover`), again if it has been replaced, which has all believe in the other.",
  },
  'slot-open': {
    severity: 'warning',
    means: 'a slot is on its way; calls over several of its keys fail until it has arrived',
    fix: 'If no move is under way: finish it by `rebalance` (`slotwise rebalance`), or end it with `CLUSTER SETSLOT <slot> STABLE` at both ends.',
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
    means: 'a node answers this process, but other nodes do not reach it',
    fix: 'Open the bus ports (cluster-port, port + 10000 by default) between the nodes, and see that none is short of CPU.',
  },
  'node-unknown': {
    severity: 'warning',
    means: 'a node does not know another one, and will not vote for it nor follow it',
    fix: 'Introduce it: `CLUSTER MEET <host> <port> <bus>`. If it was removed on purpose: `CLUSTER FORGET <id>` on all others.',
  },
  'epoch-collision': {
    severity: 'warning',
    means:
      'two primaries have one configuration epoch, which settles nothing between them; Redis mends it in seconds',
    fix: 'If it stays, the bus between them is cut: open the bus ports (cluster-port, port + 10000 by default) between them, and one takes a new epoch by itself.',
  },
  'version-skew': {
    severity: 'warning',
    means: 'nodes run different versions; an older replica may not read what a newer primary sends',
    fix: 'Finish the upgrade, replicas before primaries.',
  },
  'primaries-too-few': {
    severity: 'warning',
    means: 'fewer than three primaries own slots, so none can be replaced',
    fix: 'Have three at least: add primaries by `addNode` (`slotwise add-node`), and give them slots by `rebalance` (`slotwise rebalance`).',
  },
  'quorum-lost': {
    severity: LOST_SERVICE,
    means: 'most primaries do not answer, so none can be replaced',
    fix: 'Bring primaries back; if they are gone for good, `CLUSTER FAILOVER TAKEOVER` at their replicas.',
  },
  'majority-on-one-host': {
    severity: 'warning',
    means: 'without one host no primary could be replaced; not judged where all hosts are loopback',
    fix: 'Exchange roles with replicas on other hosts, by `failover` (`slotwise failover`), until no host has most primaries; with two hosts one always has: add a third, and move nodes there.',
  },
  'replica-beside-primary': {
    severity: 'warning',
    means: 'a replica is lost with its primary; not judged where all hosts are loopback',
    fix: 'Have it follow a primary of another host: `CLUSTER REPLICATE <primary>`. Where there is none, move it to another host.',
  },
  'primary-without-replica': {
    severity: 'warning',
    means: 'nobody can take over the slots of a primary',
    fix: 'Bring its replica back, or give it one: an empty server by `addNode` (`slotwise add-node`), or `CLUSTER REPLICATE <primary>` on a node without slots.',
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
  'full-syncs': {
    severity: 'warning',
    means: 'replicas copy everything again and again, which loads the primary and leaves them old meanwhile',
    fix: 'Give the backlog room for the outages there are: `repl-backlog-size`, and for large data the output buffer of replicas: `client-output-buffer-limit`. Then count anew: `CONFIG RESETSTAT`.',
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
    fix: 'Remove what is not needed, or add primaries by `addNode` and `rebalance` (`slotwise add-node`, `slotwise rebalance`); if the machine has more: `CONFIG SET maxmemory <more>mb`.',
  },
  'canary-failed': {
    severity: LOST_SERVICE,
    means: 'a key of our own could not be written, read, or did not expire (active probe)',
    fix: 'The evidence holds the error; other findings about the node say more.',
  },
  'channel-denied': {
    severity: LOST_CHANNELS,
    means: 'this user may not subscribe to, or publish on, a sharded channel of our own (active probe)',
    fix: 'Give the user the right to channels and to their commands: `ACL SETUSER <user> &* +@pubsub`, and in the file of users too.',
  },
  'channel-failed': {
    severity: LOST_CHANNELS,
    means:
      'a sharded channel of our own could not be subscribed in time, or what was published on it was not heard (active probe)',
    fix: 'The evidence holds the error; other findings about the node say more. If there are none, look at what is between: connections for subscribers are apart from those for calls.',
  },
  'permission-missing': {
    severity: 'info',
    means: 'something could not be looked at, for lack of a right',
    fix: 'Give the user that runs this the right, to see it: `ACL SETUSER <user> <right>`.',
  },
  'command-missing': {
    severity: 'info',
    means: 'something could not be looked at, since the server does not have or offer the command',
    fix: 'If the server is yours, take the `rename-command` that hides it out of its file and restart it, or upgrade it; else look it up where its provider shows it.',
  },
} as const satisfies Readonly<Record<string, Kind>>
