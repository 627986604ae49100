import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { ConfigurationError } from '../errors.js'
import { oneOf } from '../options.js'
import { addressOf } from '../redis/address.js'
import type { ConnectOptions } from '../redis/connect-options.js'
import type { Endpoint } from '../redis/link.js'

/** What is read of an ioredis `Redis` or `Cluster`, of whichever version. */
export interface IoredisClient {
  readonly isCluster?: boolean | undefined
  readonly options: object
}

/** Settings of `fromIoredis`. */
export interface ForeignOptions {
  /** @defaultValue `''`, no namespace */
  readonly namespace?: string | undefined
  /** What to do about settings that would break the port's promises. @defaultValue `'reject'` */
  readonly incompatible?: 'reject' | 'duplicate' | undefined
}

interface ConnectionSettings {
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly username?: string | null
  readonly password?: string | null
  readonly tls?: TlsOptions
  readonly db?: number
  readonly keyPrefix?: string
  readonly connectionName?: string
  readonly connectTimeout?: number
  readonly commandTimeout?: number
  readonly enableOfflineQueue?: boolean
  readonly autoResendUnfulfilledCommands?: boolean
  readonly enableAutoPipelining?: boolean
  readonly readOnly?: boolean
  readonly sentinels?: readonly unknown[] | null
}

interface ClusterSettings extends ConnectionSettings {
  readonly redisOptions?: ConnectionSettings
  readonly scaleReads?: unknown
  readonly natMap?: Readonly<Record<string, Endpoint>> | ((key: string) => Endpoint | null)
}

/** The port's options for the servers that a foreign client talks to. */
export function optionsOf(
  client: IoredisClient,
  { namespace, incompatible = 'reject' }: ForeignOptions,
): ConnectOptions {
  oneOf('incompatible', incompatible, ['reject', 'duplicate'])
  const cluster: ClusterSettings = client.options
  const connection: ConnectionSettings =
    client.isCluster === true ? { ...cluster, ...cluster.redisOptions } : cluster
  const unfit = unfitSettings(cluster, connection)
  if (unfit.length > 0 && incompatible === 'reject') {
    throw new ConfigurationError(
      `this ioredis client has settings that a port cannot keep its promises with: ${unfit.join('; ')}. ` +
        "Change them, or pass { incompatible: 'duplicate' } for connections with settings that do",
    )
  }
  const { username, password, tls, connectionName, connectTimeout, commandTimeout } = connection
  return {
    nodes: nodesOf(client, connection),
    ...(namespace === undefined ? {} : { namespace }),
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    ...(tls === undefined ? {} : { tls }),
    ...(connectionName ? { clientName: connectionName.replaceAll(/[^\w.-]/g, '-').slice(0, 64) } : {}),
    ...(connectTimeout === undefined ? {} : { connectTimeoutMs: connectTimeout }),
    ...(commandTimeout === undefined ? {} : { commandTimeoutMs: commandTimeout }),
    ...(cluster.natMap === undefined ? {} : { endpointMap: endpointMap(cluster.natMap) }),
  }
}

/** Each with the reason, in the words of ioredis's own options. */
function unfitSettings(cluster: ClusterSettings, connection: ConnectionSettings): string[] {
  const found: string[] = []
  const note = (unfit: boolean, reason: string) => {
    if (unfit) found.push(reason)
  }
  note(
    Boolean(cluster.keyPrefix ?? connection.keyPrefix),
    'keyPrefix (it would change the slot of a key: use namespace)',
  )
  note(
    connection.enableOfflineQueue !== false || cluster.enableOfflineQueue === true,
    'enableOfflineQueue (calls would wait where no deadline reaches them: set false)',
  )
  note(
    connection.autoResendUnfulfilledCommands !== false,
    'autoResendUnfulfilledCommands (a call that was given up could run twice: set false)',
  )
  note(
    connection.enableAutoPipelining === true || cluster.enableAutoPipelining === true,
    'enableAutoPipelining (errors of moving slots would reach callers: set false)',
  )
  note(
    cluster.scaleReads !== undefined && cluster.scaleReads !== 'master',
    "scaleReads (a replica may answer with older data: set 'master')",
  )
  note(connection.readOnly === true, 'readOnly (writes would fail: set false)')
  note((connection.db ?? 0) !== 0, 'db (a cluster has only database 0)')
  return found
}

function nodesOf(
  client: IoredisClient,
  { host, port, path, sentinels }: ConnectionSettings,
): readonly string[] {
  if (path !== undefined)
    throw new ConfigurationError('a port reaches servers by TCP, this client uses a Unix socket')
  if (sentinels)
    throw new ConfigurationError(
      'a port does not ask sentinels: use a client of the server or cluster itself',
    )
  if (client.isCluster !== true) return [addressOf({ host: host ?? '127.0.0.1', port: port ?? 6379 })]
  const seeds: unknown = 'startupNodes' in client ? client.startupNodes : []
  const known = Array.isArray(seeds) ? seeds.map(seedAddress) : []
  if (known.length > 0) return known
  throw new ConfigurationError('this ioredis cluster client names no start-up nodes')
}

function seedAddress(seed: unknown): string {
  if (typeof seed === 'number') return addressOf({ host: '127.0.0.1', port: seed })
  if (typeof seed === 'string') return seed.replace(/^rediss?:\/\/(?:[^@/]*@)?/, '').replace(/\/.*$/, '')
  const { host, port } = seed as { readonly host?: string; readonly port?: number | string }
  return addressOf({ host: host ?? '127.0.0.1', port: Number(port ?? 6379) })
}

function endpointMap(natMap: NonNullable<ClusterSettings['natMap']>): (endpoint: Endpoint) => Endpoint {
  return (endpoint) => {
    const name = `${endpoint.host}:${endpoint.port}`
    return (typeof natMap === 'function' ? natMap(name) : natMap[name]) ?? endpoint
  }
}
