import type { Kind } from './kind.js'

/** What is wrong with nodes, with the way to them, and with how they are used. */
export const NODE_FINDINGS = {
  'memory-nearly-full': {
    severity: 'warning',
    means: 'a primary that may not evict has used nine tenths of its maxmemory',
    fix: 'Remove what is not needed, or add primaries by `addNode` and `rebalance` (`slotwise add-node`, `slotwise rebalance`); if the machine has more: `CONFIG SET maxmemory <more>mb`.',
  },
  'memory-unbounded': {
    severity: 'warning',
    means: 'no maxmemory, and the servers of the host use most of its memory: the kernel will end one',
    fix: 'Set a limit below what the host has: `CONFIG SET maxmemory <share>mb`.',
  },
  'policy-evicts': {
    severity: { others: 'critical', cache: 'none' },
    means: 'state may be evicted: locks given twice, sessions ended, journals cut',
    fix: 'Let it refuse writes instead: `CONFIG SET maxmemory-policy noeviction`; give a cache a cluster of its own.',
  },
  'policy-refuses': {
    severity: { cache: 'warning' },
    means:
      'a cluster that is only a cache refuses to store when it is full, where it could evict; judged if usage is cache alone',
    fix: 'Let it evict what is used least: `CONFIG SET maxmemory-policy allkeys-lfu`.',
  },
  'keys-evicted': {
    severity: { others: 'critical', cache: 'none' },
    means: 'keys have been evicted, perhaps locks, sessions or journals',
    fix: 'Let it refuse writes instead: `CONFIG SET maxmemory-policy noeviction`. Then count anew: `CONFIG RESETSTAT`.',
  },
  'big-key': {
    severity: 'warning',
    means: 'a key of a sample is large: moving its slot, deleting or expiring it stops the node for as long',
    fix: 'Split it over several ids (a board: over `shards`). If nobody needs it: `UNLINK <key>`.',
  },
  'save-failed': {
    severity: 'warning',
    means: 'the last snapshot failed',
    fix: 'See the log: mostly the disk is full, the folder is not writable, or a fork found no memory (`vm.overcommit_memory=1`). Then `BGSAVE`.',
  },
  'log-failed': {
    severity: 'warning',
    means: 'the append-only file could not be written, or not be rewritten and grows',
    fix: 'See the log: mostly the disk is full or the folder is not writable. Then `BGREWRITEAOF`.',
  },
  'persistence-off': {
    severity: {
      locks: 'warning',
      sessions: 'warning',
      queue: 'warning',
      boards: 'warning',
      channels: 'info',
    },
    means:
      'a primary that restarts within the node timeout comes back empty, and empties its replicas; not judged on loopback',
    fix: 'Keep a log: `CONFIG SET appendonly yes`, and in its file too.',
  },
  'fork-slow': {
    severity: 'warning',
    means: 'a fork took more than 100 ms, during which the node served nobody',
    fix: 'Make the node smaller by adding primaries (`addNode` and `rebalance`; `slotwise add-node`, `slotwise rebalance`), and turn huge pages off. Then count anew: `CONFIG RESETSTAT`.',
  },
  'fork-too-large': {
    severity: 'info',
    means: 'a node that saves uses more than half of its machine: a fork may be refused, or the copy not fit',
    fix: 'Set `vm.overcommit_memory=1` on the machine, and leave it room: memory, or more primaries.',
  },
  'huge-pages': {
    severity: 'warning',
    means: 'transparent huge pages: after a fork the first writes copy 2 MB each',
    fix: 'On its machine: `echo never > /sys/kernel/mm/transparent_hugepage/enabled`, then restart the server.',
  },
  'open-to-all': {
    severity: 'critical',
    means: 'anybody who reaches the node may do anything; not judged on loopback, nor in protected mode',
    fix: 'Give it users with passwords, on all nodes and in masteruser, masterauth; until then `CONFIG SET protected-mode yes`.',
  },
  'dangerous-commands': {
    severity: 'warning',
    means: 'the user default may erase, stop or block the node; not judged on loopback',
    fix: 'Give people users of their own, and take it from this one: `ACL SETUSER default <rules>`.',
  },
  plaintext: {
    severity: 'warning',
    means: 'passwords and data pass other machines in plain text; not judged on loopback',
    fix: 'Set tls-port, tls-cluster, tls-replication, and, when clients use it, `CONFIG SET port 0`.',
  },
  'address-unreachable': {
    severity: 'warning',
    means:
      'no plain connection to an address that the cluster announces, through the endpointMap of the port if it has one',
    fix: 'Announce where clients reach it (`cluster-announce-ip`, `cluster-announce-port`, `cluster-announce-hostname`), or give `connect` an `endpointMap`.',
  },
  'node-timeout-tight': {
    severity: 'warning',
    means:
      'a round trip from here takes more than a tenth of the node timeout: a slow moment looks like a failure',
    fix: 'Mend the way, or have the nodes wait longer, on all of them: `CONFIG SET cluster-node-timeout <timeout>`.',
  },
  'connections-rejected': {
    severity: 'warning',
    means: 'a node has turned connections away for having too many',
    fix: 'Find who opens them (`CLIENT LIST`), or allow more: `CONFIG SET maxclients <more>`. Then count anew: `CONFIG RESETSTAT`.',
  },
  'output-buffers-cut': {
    severity: 'warning',
    means:
      'connections were ended because they read too slowly, and lost what was under way (told since Redis 7.2)',
    fix: 'Find who reads slowly, or give them room: `client-output-buffer-limit`. Then count anew: `CONFIG RESETSTAT`.',
  },
  'output-buffers-unbounded': {
    severity: 'warning',
    means: 'one subscriber or replica that reads slowly may use up all memory',
    fix: 'Bound it: `CONFIG SET client-output-buffer-limit "<bounds>"`.',
  },
  'clock-skew': {
    severity: 'warning',
    means: 'clocks differ by more than 100 ms: after a failover locks, limits and TTLs are off by that',
    fix: 'Have chrony or another NTP client keep the time on its machine.',
  },
  'primary-idle': {
    severity: 'info',
    means: 'a primary without slots serves nothing and has no vote',
    fix: 'Give it slots by `rebalance` (`slotwise rebalance`), or have it follow a primary by `addNode` with the role of a replica (`slotwise add-node`).',
  },
  'slots-unbalanced': {
    severity: 'info',
    means: 'a primary owns half as many slots again as the mean',
    fix: 'Share the slots out by `rebalance` (`slotwise rebalance`).',
  },
  'keys-unbalanced': {
    severity: 'info',
    means: 'a primary holds twice as many keys as the mean, of which many may share a hash tag',
    fix: 'Spread ids that share a tag, or move slots to primaries that hold fewer, by `moveSlots` (`slotwise move-slots`).',
  },
  'memory-unbalanced': {
    severity: 'warning',
    means: 'a primary holds twice as much data as the mean, and will be full first',
    fix: 'Look for big keys (`redis-cli --memkeys`), spread ids that share a tag, or move slots away by `moveSlots` (`slotwise move-slots`).',
  },
  'client-refresh-slow': {
    severity: 'info',
    means: 'this client looks for changes less often than the cluster makes them',
    fix: 'Set `topologyRefreshMs` of `connect` to 1000.',
  },
  'client-timeout-short': {
    severity: 'warning',
    means: 'this client gives a call less than five round trips, too little for a redirection and a repeat',
    fix: 'Raise `commandTimeoutMs` of `connect`.',
  },
  'client-timeout-long': {
    severity: 'info',
    means: 'a node that hangs holds up each call of this client for more than 30 s',
    fix: 'Lower `commandTimeoutMs` of `connect`, or give calls a `deadlineMs`.',
  },
} as const satisfies Readonly<Record<string, Kind>>
