import type { Key } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { ScriptSource } from './script.js'

/** An argument of a command, sent as its bytes. Numbers are sent in decimal. */
export type Argument = string | number | bigint | Uint8Array

/**
 * What a server answers. Text comes as `string`, or as `Buffer` where `binary` was asked for; RESP3 maps come
 * as flat arrays, so that replies look the same whatever the protocol.
 */
export type Reply = string | number | bigint | null | Buffer | readonly Reply[]

/**
 * May a call be repeated when it is not known whether it was executed? `'safe'` for reads and for what has the
 * same effect twice; `'unsafe'` ends in `OutcomeUnknownError` instead.
 */
export type Repeat = 'safe' | 'unsafe'

/** One command, and the key that decides which node it goes to. */
export interface CommandCall {
  readonly key: Key
  /** Name and arguments, the key among them where the command takes it: `['GET', key]`. */
  readonly command: readonly [name: string, ...args: Argument[]]
  /** @defaultValue `'unsafe'` */
  readonly repeat?: Repeat
  /**
   * A read whose answer may be older than what was acknowledged: it goes where the port's `readFrom` says, and to the
   * primary where that node cannot serve it. How much older is not bounded. @defaultValue `false`
   */
  readonly mayBeStale?: boolean
  /**
   * Told which node's answer it is, as `host:port` where this process reaches it, just before the call resolves: for
   * whoever keeps what it read for as long as that node vouches for it. Not for calls on a connection of their own.
   */
  readonly answeredBy?: (node: string) => void
}

/**
 * One run of a script. All keys share a slot, which is checked before anything is sent. A script must not return
 * an error worded like one of those that mean "not executed" (`MOVED 1 host:1`, `TRYAGAIN …`): it would be repeated.
 */
export interface ScriptCall {
  readonly script: ScriptSource
  readonly keys: readonly [Key, ...Key[]]
  readonly args: readonly Argument[]
  /** @defaultValue `'unsafe'` */
  readonly repeat?: Repeat
  /** As of a command. */
  readonly answeredBy?: (node: string) => void
}

/** Options of {@link RedisPort.call} and {@link RedisPort.pipeline}. */
export interface PortCallOptions extends CallOptions {
  /** Answers with `Buffer` instead of `string`, at every depth. @defaultValue `false` */
  readonly binary?: boolean
  /**
   * Runs on a connection of its own, so that a large answer holds up nobody else's. Blocking commands do so anyway;
   * give them a `deadlineMs` above the time they may block. @defaultValue `false`
   */
  readonly dedicated?: boolean
}

/** Options of {@link RedisPort.writeThenWait}. */
export interface WriteThenWaitOptions extends PortCallOptions {
  /** How many replicas are to have it. @defaultValue none, where `fsync` is asked for */
  readonly replicas?: number
  /** Whether it is to be on the disk of its primary. @defaultValue `false` */
  readonly fsync?: boolean
  /** How long to wait for each of them once the write is done. @defaultValue half of the deadline; a third of it for both */
  readonly waitMs?: number
}

/** What came of {@link RedisPort.writeThenWait}. */
export interface Waited {
  readonly reply: Reply
  /** How many replicas had it in time; 0 where none were asked for. */
  readonly acknowledgedBy: number
  /** Whether its primary had it on its disk in time; `false` also where that is not known, or was not asked for. */
  readonly fsynced: boolean
}

/** Which connection is wanted, how long to wait for it, and who hears what the server sends unasked. */
export type BorrowTarget = CallOptions & {
  /** The connection speaks RESP3 then, answers included: maps stay flat, but some commands nest their answers. */
  readonly onPush?: (message: readonly Reply[]) => void
} & ({ readonly key: Key } | { /** Id or `host:port`. */ readonly node: string })

/** A connection to one node that its borrower has alone: for transactions, tracking, anything with a state. */
export interface BorrowedConnection {
  /** `host:port` */
  readonly node: string
  /** Aborted when the connection ends; the reason says why. It is not made anew. */
  readonly signal: AbortSignal
  /**
   * Runs a command on it. Nothing is repeated and no redirection followed.
   *
   * @throws SlotMovingError not executed: the key has moved, or is moving; borrow again
   * @throws RedisUnavailableError not executed: the node does not serve it now
   * @throws OutcomeUnknownError no answer in time, or the node had been replaced; the connection is closed
   */
  call(command: CommandCall['command'], options?: PortCallOptions): Promise<Reply>
  /** Several in one write; results in their order. */
  pipeline(
    commands: readonly CommandCall['command'][],
    options?: PortCallOptions,
  ): Promise<readonly PromiseSettledResult<Reply>[]>
}

/** Hears a sharded channel. */
export interface ShardListener {
  message(payload: Buffer): void
  /**
   * The slot moved, or the connection ended: whatever was published since the last message may be missed, and comes no
   * more. It is told as soon as it is known, which may be seconds after.
   */
  interrupted?(reason: string): void
  /** It hears again, all that is published from here on. Also called when it hears first. */
  resumed?(): void
}

/** One listener of a sharded channel. */
export interface ShardSubscription extends AsyncDisposable {
  /** Whether the owner of the slot has confirmed it, as far as is known. */
  readonly isLive: boolean
  /** Idempotent. */
  close(): Promise<void>
}

/** Whether calls to the primary of a key are worth trying. */
export type BreakerState =
  | { readonly state: 'closed' }
  /** It does not answer, or nobody serves the slot; the port tries on its own and closes this when it does. */
  | { readonly state: 'open'; readonly forMs: number; readonly reason: string }

/** A server of the cluster, as the port knows it now. */
export interface ClusterNode {
  /** The cluster's own id of the node, forty hex digits; `host:port` where there is no cluster. */
  readonly id: string
  readonly host: string
  readonly port: number
  readonly role: 'primary' | 'replica'
  /** The configuration epoch of its primary's slots, which the newest claim wins by; that of the sentinels; 0 where there are neither. */
  readonly epoch: number
  /** Id of the primary that a replica follows. */
  readonly primary?: string | undefined
}

/** Who serves what, as the port knows it now. */
export interface Topology {
  /** Grows by one whenever anything below changes. */
  readonly version: number
  readonly nodes: readonly ClusterNode[]
  /**
   * Sentinels say who is the primary, and epochs are theirs. Locks need it of a port of your own in front of one that asks
   * sentinels. @defaultValue `false`
   */
  readonly isBySentinels?: boolean | undefined
  /** The primary that serves a slot; `undefined` while nobody does. */
  ownerOf(slot: number): ClusterNode | undefined
  /** Who follows a primary. */
  replicasOf(primary: string): readonly ClusterNode[]
}

/** What was found to be different. */
export type TopologyChange =
  | { readonly kind: 'node-added' | 'node-removed'; readonly node: ClusterNode }
  /** A replica took over everything that its primary served. */
  | {
      readonly kind: 'failover'
      readonly from: ClusterNode
      readonly to: ClusterNode
      readonly slots: number
    }
  /** Slots changed hands otherwise; `undefined` is nobody. */
  | {
      readonly kind: 'slots-moved'
      readonly from: ClusterNode | undefined
      readonly to: ClusterNode | undefined
      readonly slots: readonly number[]
    }
  /** This process cannot reach it, or can again. */
  | { readonly kind: 'node-lost'; readonly node: ClusterNode; readonly reason: string }
  | { readonly kind: 'node-back'; readonly node: ClusterNode }

/** What a port holds and sees at this moment, for gauges. Nobody is asked. */
export interface PortStats {
  /** Calls under way on shared connections. */
  readonly calls: number
  /** Slots that nobody owns, or whose primary does not answer this process. */
  readonly slotsUnserved: number
  readonly nodes: readonly {
    /** `host:port` where this process reaches it. */
    readonly node: string
    readonly role: 'primary' | 'replica'
    /** Whether it answers; if not, the breaker of its keys is open. */
    readonly isUp: boolean
    /** Connections of their own: lent, kept for the next, and callers who wait for one. */
    readonly pool: { readonly inUse: number; readonly idle: number; readonly waiting: number }
  }[]
  /** Sharded channels that are heard, and those that are not just now. */
  readonly subscriptions: { readonly live: number; readonly interrupted: number }
}

/** How a port was set up, for whoever diagnoses it. */
export interface PortSetup {
  readonly connectTimeoutMs: number
  readonly commandTimeoutMs: number
  readonly topologyRefreshMs: number
  /** Where this process reaches an address that the cluster announces: the `endpointMap`, applied. */
  reach(announced: { readonly host: string; readonly port: number }): {
    readonly host: string
    readonly port: number
  }
}

/** What a pattern may ask of Redis. Made by `connect` of an adapter; patterns know nothing else. */
export interface RedisPort {
  /** First part of every key made for this port; empty for none. */
  readonly namespace: string
  /** How it was set up; absent where a port of your own stands in front of ours and does not pass it on. */
  readonly setup?: PortSetup
  /**
   * Runs one call on the primary that owns its key. Redirections, half-moved slots, elections and reloading
   * were not executed and are repeated until the deadline; a lost connection or a time-out is repeated only
   * for `repeat: 'safe'`, else it ends in `OutcomeUnknownError`.
   */
  call(call: CommandCall | ScriptCall, options?: PortCallOptions): Promise<Reply>
  /**
   * Runs many calls over any slots: one round trip a node, nodes in parallel. Results keep the order of the
   * calls, and an error stays with its own call. Not a transaction.
   */
  pipeline(
    calls: readonly (CommandCall | ScriptCall)[],
    options?: PortCallOptions,
  ): Promise<readonly PromiseSettledResult<Reply>[]>
  /**
   * Runs a command on one node, by its id or `host:port`; no redirection is followed.
   *
   * @throws RedisUnavailableError no node of this cluster has that id, or it cannot be reached
   */
  onNode(node: string, command: CommandCall['command'], options?: PortCallOptions): Promise<Reply>
  /** Runs a command on every primary; one result each. */
  onEachPrimary(
    command: CommandCall['command'],
    options?: PortCallOptions,
  ): Promise<readonly { readonly node: ClusterNode; readonly result: PromiseSettledResult<Reply> }[]>
  /**
   * A write, and how many replicas had it in time (WAIT), or whether it was on the disk of its primary (WAITAOF; on a server
   * without it, whether its settings say that it answers only then): on one connection, which only then waits for that write.
   * Less than asked for is an answer, not an error; the write stands in either case. Replicas bound what a failover can lose,
   * and do not make it impossible; the disk is what a primary comes back with where nobody took its place, and of no use to a
   * failover.
   */
  writeThenWait(call: CommandCall | ScriptCall, options: WriteThenWaitOptions): Promise<Waited>
  /**
   * Lends a connection until `use` ends, then undoes what was done to it. It waits for one `deadlineMs`, at most
   * `poolTimeoutMs`.
   *
   * @throws RedisUnavailableError there was none in time; `use` did not begin
   */
  borrow<R>(target: BorrowTarget, use: (connection: BorrowedConnection) => Promise<R>): Promise<R>
  /**
   * Hears a sharded channel, from when it resolves until it is closed. At most once: messages are lost while it is
   * interrupted, and its listener is told. All channels of this process share one connection a node.
   *
   * @throws RedisUnavailableError it could not be subscribed before the deadline
   */
  subscribe(channel: Key, listener: ShardListener, options?: CallOptions): Promise<ShardSubscription>
  /** What is known of the primary of a key, without asking it. */
  breaker(key: Key): BreakerState
  topology(): Topology
  /** What it holds now; absent where a port of your own stands in front of ours and does not pass it on. */
  stats?(): PortStats
  /** What the servers take for the time, in milliseconds since 1970, where tests turn their clock. @internal */
  nowMs?(): number
  /** Calls back on every change, with what is different; returns how to stop. */
  onTopology(listener: (topology: Topology, changes: readonly TopologyChange[]) => void): () => void
  /**
   * Answers what is under way until its deadline, then ends every connection that the port made. Borrowers get
   * `commandTimeoutMs` to come to an end, then the `signal` of their connection. Idempotent.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
