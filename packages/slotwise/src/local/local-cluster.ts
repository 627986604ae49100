import type { ReachedGroups } from './groups.js'

/** One server of a {@link LocalCluster}. */
export interface LocalNode {
  /** The cluster's own id of the node, forty hex digits. */
  readonly id: string
  readonly host: string
  /** Where clients and the other nodes reach it. */
  readonly port: number
  /** Its own port, which no fault of the network comes between; differs from `port` only under `networkFaults`. */
  readonly directPort: number
  /** As of the start, of `addNode` or of the last `whenHealthy`; elections change it. */
  readonly role: 'primary' | 'replica'
  /** The server's own process. */
  readonly pid: number
}

/** How to reach a {@link LocalCluster}, ready for `connect`. */
export interface LocalConnectOptions {
  readonly nodes: readonly string[]
  readonly username?: string
  readonly password?: string
  readonly tls?: { readonly ca: string }
}

/** A Redis Cluster of this process, on 127.0.0.1. It ends with this process, however this process ends. */
export interface LocalCluster extends AsyncDisposable {
  /** In an order that never changes: a node keeps its index for good. Primaries come first, as they were at first. */
  readonly nodes: readonly LocalNode[]
  /** Of the servers, such as `7.0.15`. */
  readonly version: string
  readonly connectOptions: LocalConnectOptions
  /** Ends a server as a power failure would (SIGKILL); resolves when it is gone. What `dir` keeps is there for `restart`. */
  kill(index: number): Promise<void>
  /** Stops a server where it stands (SIGSTOP), connections and all; resolves when it stands. */
  pause(index: number): Promise<void>
  /** Lets a paused server go on. */
  resume(index: number): Promise<void>
  /**
   * Starts a server anew on its port, after a graceful end if it still runs: the same node, with the data that `dir`
   * has kept, and without a `dir` empty. Resolves when it answers; when the
   * cluster has taken it back is {@link LocalCluster.whenHealthy}'s to say.
   */
  restart(index: number): Promise<void>
  /**
   * Kills a server and starts it at once without its data: same node, same slots, same role, nothing in them. What a
   * supervisor makes of a primary without persistence: if it is back within the node timeout nobody is elected,
   * and its replica copies the emptiness. `kill` and `restart` do the same to a cluster that has no `dir`; to one
   * that has, `restart` brings the data back.
   */
  restartEmpty(index: number): Promise<void>
  /**
   * Cuts the network between groups of nodes: no gossip, no votes, no replication from one to another. Clients, which
   * are everybody but the nodes, reach the groups that `clients` names. Needs `networkFaults`.
   *
   * Connections stay open and new ones are accepted, but nothing arrives; what was sent meanwhile arrives after `heal`
   * where sender and receiver have kept the connection so long, as it does when a cable is plugged in again. Each
   * partition takes the place of the one before.
   *
   * @param groups indexes of nodes, each of them in one group
   * @param options.clients which groups clients reach, default `'all'`
   * @throws ConfigurationError a node is in no group or in two, or none holds the majority asked for
   */
  partition(
    groups: readonly (readonly number[])[],
    options?: { readonly clients?: ReachedGroups | undefined },
  ): Promise<void>
  /** Pulls a node's cable: neither the other nodes nor clients reach it, nor it them. Needs `networkFaults`. */
  isolate(index: number): Promise<void>
  /**
   * Cuts the link by which a replica follows its primary, whichever that is; gossip and clients are left alone. Needs
   * `networkFaults`. Neither side notices before `repl-timeout` (60 s): the replica only falls behind.
   */
  cutReplication(index: number): Promise<void>
  /** Mends the network: takes back `partition`, `isolate` and `cutReplication`. Needs `networkFaults`. */
  heal(): Promise<void>
  /** Starts one more server and introduces it to those that run: a primary without slots. */
  addNode(): Promise<LocalNode>
  /**
   * Resolves when the servers that run agree on all slots, every replica among them is linked and all accept
   * commands: after an election, a `restart` or a `resume`. Servers that were killed or paused are not waited for.
   *
   * @throws RedisUnavailableError it took longer than `timeoutMs` (default 30,000)
   */
  whenHealthy(options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<void>
  /** Ends every server and removes what was temporary. Idempotent. */
  stop(): Promise<void>
}
