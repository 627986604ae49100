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
}

/** Options of {@link RedisPort.call} and {@link RedisPort.pipeline}. */
export interface PortCallOptions extends CallOptions {
  /** Answers with `Buffer` instead of `string`, at every depth. @defaultValue `false` */
  readonly binary?: boolean
}

/** A server of the cluster, as the port knows it now. */
export interface ClusterNode {
  /** The cluster's own id of the node, forty hex digits; `host:port` where there is no cluster. */
  readonly id: string
  readonly host: string
  readonly port: number
  readonly role: 'primary' | 'replica'
  /** Id of the primary that a replica follows. */
  readonly primary?: string | undefined
}

/** Who serves what, as the port knows it now. */
export interface Topology {
  /** Grows by one whenever anything below changes. */
  readonly version: number
  readonly nodes: readonly ClusterNode[]
  /** The primary that serves a slot; `undefined` while nobody does. */
  ownerOf(slot: number): ClusterNode | undefined
}

/** What a pattern may ask of Redis. Made by `connect` of an adapter; patterns know nothing else. */
export interface RedisPort {
  /** First part of every key made for this port; empty for none. */
  readonly namespace: string
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
  /** Runs a command on one node, by its id or `host:port`; no redirection is followed. */
  onNode(node: string, command: CommandCall['command'], options?: PortCallOptions): Promise<Reply>
  /** Runs a command on every primary; one result each. */
  onEachPrimary(
    command: CommandCall['command'],
    options?: PortCallOptions,
  ): Promise<readonly { readonly node: ClusterNode; readonly result: PromiseSettledResult<Reply> }[]>
  topology(): Topology
  /** Calls back on every change of the topology; returns how to stop. */
  onTopology(listener: (topology: Topology) => void): () => void
  /** Answers what is under way until its deadline, then ends every connection that the port made. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
