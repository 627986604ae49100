import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { ConfigurationError } from '../errors.js'
import { plainName } from '../keys.js'
import { integer, shown } from '../options.js'
import type { Endpoint } from './link.js'
import type { Backoff } from './retry.js'

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
  readonly username?: string | undefined
  readonly password?: string | undefined
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
  /** Where this process reaches a node that the cluster knows under another address: NAT, containers, tunnels. */
  readonly endpointMap?: ((endpoint: Endpoint) => Endpoint) | undefined
}

/** {@link ConnectOptions}, checked, with every default filled in. */
export interface CheckedOptions {
  readonly seeds: readonly Endpoint[]
  readonly namespace: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: TlsOptions | undefined
  readonly clientName: string
  readonly connectTimeoutMs: number
  readonly commandTimeoutMs: number
  readonly maxRetries: number
  readonly retryBackoffMs: Backoff
  readonly topologyRefreshMs: number
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
    username: options.username,
    password: options.password,
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
    endpointMap: options.endpointMap,
  }
}

/** Reads `host:port` or `[v6]:port`. */
function readEndpoint(node: unknown): Endpoint {
  const at = typeof node === 'string' ? /^(?:\[([\da-f:.]+)\]|([^\s:[\]/@]+)):(\d{1,5})$/i.exec(node) : null
  const port = Number(at?.[3])
  const host = at?.[1] ?? at?.[2]
  if (host === undefined || port < 1 || port > 65_535) {
    throw new ConfigurationError(`a node must be host:port or [IPv6]:port, got ${shown(node)}`)
  }
  return { host, port }
}

function fromUrl(url: string): ConnectOptions {
  // The standard parser knows one host; a cluster is reached through several.
  const parts = /^(rediss?):\/\/(?:([^@/]*)@)?([^/?#]+)\/?(?:\?([^#]*))?$/.exec(url)
  const [, scheme, credentials, hosts] = parts ?? []
  if (scheme === undefined || hosts === undefined) {
    throw new ConfigurationError(
      'the URL must look like redis://user:password@host:port,host:port?namespace=name',
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
