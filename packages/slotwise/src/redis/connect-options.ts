import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { ConfigurationError } from '../errors.js'
import { plainName } from '../keys.js'
import { integer, oneOf, shown } from '../options.js'
import type { Credentials } from './credentials.js'
import type { Endpoint } from './link.js'
import type { Backoff } from './retry.js'

/** How many connections of their own calls may have on one node, besides the one that all others share. */
export interface ConnectionBounds {
  /** Kept open to every primary, idle or not. */
  readonly min: number
  /** Beyond it callers wait for one to come back. */
  readonly max: number
}

/** Where reads go that may be stale: see `mayBeStale` of a call. */
export type ReadFrom = 'primary' | 'replica' | 'nearest' | 'random'

/** What is behind the addresses. */
export type Mode = 'auto' | 'cluster' | 'standalone' | 'sentinel'

/** Which servers a set of sentinels is asked for. */
export interface SentinelOptions {
  /** The name that the sentinels watch the primary under: `mymaster` in the examples of Redis. */
  readonly primaryName: string
  /** Of the sentinels; those of the servers stand beside. */
  readonly username?: string | undefined
  readonly password?: string | undefined
}

/** How to reach a cluster, and how long to try. Every adapter takes the same. */
export interface ConnectOptions {
  /** `host:port` of any subset of the nodes; the rest is learnt from them. IPv6 as `[::1]:7000`. */
  readonly nodes: readonly string[]
  /**
   * First part of every key of this application.
   *
   * @defaultValue `''`, no namespace
   */
  readonly namespace?: string | undefined
  /**
   * `'cluster'` refuses a server without a cluster, `'standalone'` a node of one; `'auto'` takes either. With
   * `'sentinel'`, `nodes` are the sentinels. @defaultValue `'auto'`, or `'sentinel'` where `sentinel` is given
   */
  readonly mode?: Mode | undefined
  readonly sentinel?: SentinelOptions | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  /**
   * Asked for name and password instead, for those that change: at the first connection, when a server refuses the
   * present ones, and before their `validForMs` is over; then open connections log in anew.
   */
  readonly credentials?: (() => Promise<Credentials>) | undefined
  /** `true` for TLS with the system's authorities, or the options of `node:tls`. */
  readonly tls?: boolean | TlsOptions | undefined
  /** Shown by CLIENT LIST. @defaultValue `'slotwise'` */
  readonly clientName?: string | undefined
  /** Bound on one connection's making, and on `connect` as a whole. @defaultValue `5000` */
  readonly connectTimeoutMs?: number | undefined
  /** Bound on one attempt at a call, and on the whole call where it has no `deadlineMs`. @defaultValue `3000` */
  readonly commandTimeoutMs?: number | undefined
  /**
   * How often a call that may be repeated is, after a lost connection or a time-out. What was not executed is
   * repeated until the deadline and does not count. @defaultValue `3`
   */
  readonly maxRetries?: number | undefined
  /** Bounds of the exponential backoff with full jitter. @defaultValue `{ min: 8, max: 512 }` */
  readonly retryBackoffMs?: Backoff | undefined
  /** How often the port asks who owns what; it asks at once when something looks wrong. @defaultValue `1000` */
  readonly topologyRefreshMs?: number | undefined
  /**
   * Of the servers: how long a node may be silent before another takes its place. Decides how often nodes are asked
   * for a sign of life and when one is doubted.
   * @defaultValue what a node says to `CONFIG GET cluster-node-timeout`; 15000, Redis's own, where that is forbidden
   */
  readonly nodeTimeoutMs?: number | undefined
  /**
   * Connections for what cannot share one: blocking commands, calls with `dedicated`, `writeThenWait` and `borrow`.
   * @defaultValue `{ min: 0, max: 10 }` per node
   */
  readonly connectionsPerNode?: ConnectionBounds | undefined
  /** How long such a call waits for a connection when all are taken. @defaultValue `4000` */
  readonly poolTimeoutMs?: number | undefined
  /** A connection of that kind closes when nobody has used it for so long. @defaultValue `300000` */
  readonly idleTimeoutMs?: number | undefined
  /** How often idle connections are looked for. @defaultValue `60000` */
  readonly idleCheckMs?: number | undefined
  /**
   * Where calls with `mayBeStale` are read from: `'nearest'` is the node that answers fastest, measured. All others
   * are always read from the primary. @defaultValue `'primary'`
   */
  readonly readFrom?: ReadFrom | undefined
  /** Hears what fails in the background: `credentials`, a listener. @defaultValue a process warning */
  readonly onError?: ((error: Error) => void) | undefined
  /** Where this process reaches a node that the cluster knows under another address: NAT, containers, tunnels. Asked when a node is new. */
  readonly endpointMap?: ((endpoint: Endpoint) => Endpoint) | undefined
}

/** {@link ConnectOptions}, checked, with every default filled in. */
export interface CheckedOptions {
  readonly seeds: readonly Endpoint[]
  readonly namespace: string
  readonly mode: Mode
  readonly sentinel: SentinelOptions | undefined
  readonly credentials: Credentials | (() => Promise<Credentials>) | undefined
  readonly tls: TlsOptions | undefined
  readonly clientName: string
  readonly connectTimeoutMs: number
  readonly commandTimeoutMs: number
  readonly maxRetries: number
  readonly retryBackoffMs: Backoff
  readonly topologyRefreshMs: number
  readonly nodeTimeoutMs: number | undefined
  readonly connectionsPerNode: ConnectionBounds
  readonly poolTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly idleCheckMs: number
  readonly readFrom: ReadFrom
  readonly onError: (error: Error) => void
  readonly endpointMap: ((endpoint: Endpoint) => Endpoint) | undefined
}

/** Checks options, or a URL: `redis://user:password@host:port,host:port?namespace=shop`, `rediss://` for TLS. */
export function checkedOptions(urlOrOptions: string | ConnectOptions): CheckedOptions {
  const options = typeof urlOrOptions === 'string' ? fromUrl(urlOrOptions) : urlOrOptions
  const { nodes, namespace = '', tls, retryBackoffMs: { min, max } = { min: 8, max: 512 } } = options
  if (!Array.isArray(nodes) || nodes.length === 0) {
    throw new ConfigurationError(`nodes must name at least one host:port, got ${shown(nodes)}`)
  }
  return {
    seeds: nodes.map(readEndpoint),
    namespace: namespace === '' ? '' : plainName('namespace', namespace),
    ...modeOf(options),
    credentials: credentialsOf(options),
    tls: tls === true ? {} : tls === false ? undefined : tls,
    clientName: plainName('clientName', options.clientName ?? 'slotwise'),
    connectTimeoutMs: integer('connectTimeoutMs', options.connectTimeoutMs ?? 5000),
    commandTimeoutMs: integer('commandTimeoutMs', options.commandTimeoutMs ?? 3000),
    maxRetries: integer('maxRetries', options.maxRetries ?? 3, { min: 0 }),
    retryBackoffMs: {
      min: integer('retryBackoffMs.min', min),
      max: integer('retryBackoffMs.max', max, { min }),
    },
    topologyRefreshMs: integer('topologyRefreshMs', options.topologyRefreshMs ?? 1000, { min: 100 }),
    nodeTimeoutMs:
      options.nodeTimeoutMs === undefined ? undefined : integer('nodeTimeoutMs', options.nodeTimeoutMs),
    connectionsPerNode: boundsOf(options.connectionsPerNode ?? { min: 0, max: 10 }),
    poolTimeoutMs: integer('poolTimeoutMs', options.poolTimeoutMs ?? 4000),
    idleTimeoutMs: integer('idleTimeoutMs', options.idleTimeoutMs ?? 300_000),
    idleCheckMs: integer('idleCheckMs', options.idleCheckMs ?? 60_000),
    readFrom: oneOf('readFrom', options.readFrom ?? 'primary', ['primary', 'replica', 'nearest', 'random']),
    onError: options.onError ?? ((error) => process.emitWarning(error)),
    endpointMap: options.endpointMap,
  }
}

function modeOf({ mode, sentinel }: ConnectOptions): Pick<CheckedOptions, 'mode' | 'sentinel'> {
  const words = ['auto', 'cluster', 'standalone', 'sentinel'] as const
  const checked = oneOf('mode', mode ?? (sentinel === undefined ? 'auto' : 'sentinel'), words)
  if ((checked === 'sentinel') !== (sentinel !== undefined)) {
    throw new ConfigurationError(
      "sentinel: { primaryName } goes with mode 'sentinel', and nothing else does: give both or neither",
    )
  }
  if (sentinel !== undefined && (typeof sentinel.primaryName !== 'string' || sentinel.primaryName === '')) {
    throw new ConfigurationError(`sentinel.primaryName must be a name, got ${shown(sentinel.primaryName)}`)
  }
  return { mode: checked, sentinel }
}

function credentialsOf({ username, password, credentials }: ConnectOptions): CheckedOptions['credentials'] {
  if (credentials === undefined) {
    if (password !== undefined) return { username, password }
    if (username === undefined) return undefined
    throw new ConfigurationError('username needs a password')
  }
  if (username === undefined && password === undefined && typeof credentials === 'function')
    return credentials
  throw new ConfigurationError('credentials is a function that takes the place of username and password')
}

function boundsOf({ min, max }: ConnectionBounds): ConnectionBounds {
  return {
    min: integer('connectionsPerNode.min', min, { min: 0 }),
    max: integer('connectionsPerNode.max', max, { min: Math.max(1, min) }),
  }
}

/** Reads `host:port` or `[v6]:port`. */
export function readEndpoint(node: unknown): Endpoint {
  const at = typeof node === 'string' ? /^(?:\[([\da-f:.]+)\]|([^\s:[\]/@]+)):(\d{1,5})$/i.exec(node) : null
  const port = Number(at?.[3])
  const host = at?.[1] ?? at?.[2]
  if (host === undefined || port < 1 || port > 65_535) {
    throw new ConfigurationError(`a node must be host:port or [IPv6]:port, got ${shown(node)}`)
  }
  return { host, port }
}

function fromUrl(url: string): ConnectOptions {
  // The standard parser knows one host; a cluster is reached through several. What is refused here may hold a password
  // and is not quoted, nor may a part of one pass for a host, which would be.
  const parts = /^(rediss?):\/\/(?:([^@/]*)@)?([^@/?#]+)\/?(?:\?([^#]*))?$/.exec(url)
  const [, scheme, credentials, hosts] = parts ?? []
  if (scheme === undefined || hosts === undefined) {
    throw new ConfigurationError(
      'the URL must look like redis://user:password@host:port,host:port?namespace=name, with user and password percent-encoded',
    )
  }
  const [username = '', ...rest] = (credentials ?? '').split(':')
  const query = new URLSearchParams(parts?.[4] ?? '')
  const unknown = [...query.keys()].find((name) => name !== 'namespace')
  if (unknown !== undefined)
    throw new ConfigurationError(`the URL has an unknown parameter: ${shown(unknown)}`)
  return {
    nodes: hosts.split(',').map((host) => (/:\d+$/.test(host) ? host : `${host}:6379`)),
    ...(username === '' ? {} : { username: decoded(username) }),
    ...(rest.length === 0 ? {} : { password: decoded(rest.join(':')) }),
    ...(scheme === 'rediss' ? { tls: true } : {}),
    namespace: query.get('namespace') ?? '',
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new ConfigurationError(
      'the user name or password in the URL is not percent-encoded as it should be',
    )
  }
}
