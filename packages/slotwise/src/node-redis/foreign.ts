import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { ConfigurationError } from '../errors.js'
import { oneOf } from '../options.js'
import { addressOf } from '../redis/address.js'
import type { ConnectOptions } from '../redis/connect-options.js'
import type { Credentials } from '../redis/credentials.js'
import type { Endpoint } from '../redis/link.js'

/** What is read of a client or cluster of node-redis, of whichever version. */
export interface NodeRedisClient {
  readonly options?: object | undefined
  /** Where a cluster keeps them. */
  readonly _options?: object | undefined
}

/** Settings of `fromNodeRedis`. */
export interface ForeignOptions {
  /** @defaultValue `''`, no namespace */
  readonly namespace?: string | undefined
  /** What to do about settings that would break the port's promises. @defaultValue `'reject'` */
  readonly incompatible?: 'reject' | 'duplicate' | undefined
}

type SocketSettings = Omit<TlsOptions, 'path'> & {
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly tls?: boolean
  readonly connectTimeout?: number
}

interface ClientSettings {
  readonly url?: string
  readonly socket?: SocketSettings
  readonly username?: string
  readonly password?: string
  readonly credentialsProvider?: {
    readonly type: string
    readonly credentials?: () => Promise<Partial<Credentials>>
  }
  readonly name?: string
  readonly database?: number
  readonly keyPrefix?: unknown
  readonly disableOfflineQueue?: boolean
  readonly readonly?: boolean
  readonly clientSideCache?: unknown
  readonly commandOptions?: { readonly timeout?: number }
}

interface ClusterSettings {
  readonly rootNodes?: readonly ClientSettings[]
  readonly defaults?: ClientSettings
  readonly useReplicas?: boolean
  readonly keyPrefix?: unknown
  readonly nodeAddressMap?: Readonly<Record<string, Endpoint>> | ((address: string) => Endpoint | undefined)
}

/** The port's options for the servers that a foreign client talks to. */
export function optionsOf(
  client: NodeRedisClient,
  { namespace, incompatible = 'reject' }: ForeignOptions,
): ConnectOptions {
  oneOf('incompatible', incompatible, ['reject', 'duplicate'])
  // oxlint-disable-next-line no-underscore-dangle
  const shown = client.options ?? client._options
  if (shown === undefined) {
    throw new ConfigurationError(
      'this version of node-redis hides the settings of a cluster client: use `connect` with the addresses of its nodes',
    )
  }
  const given = shown as ClientSettings & ClusterSettings
  const roots = given.rootNodes
  const own: ClientSettings = roots === undefined ? given : { ...roots[0], ...given.defaults }
  const unfit = unfitSettings(given, own)
  if (unfit.length > 0 && incompatible === 'reject') {
    throw new ConfigurationError(
      `this node-redis client has settings that a port cannot keep its promises with: ${unfit.join('; ')}. ` +
        "Change them, or pass { incompatible: 'duplicate' } for connections with settings that do",
    )
  }
  const places = (roots ?? [own]).map(placeOf)
  const [first] = places
  const { name, commandOptions, socket } = own
  const { nodeAddressMap } = given
  return {
    nodes: places.map(({ endpoint }) => addressOf(endpoint)),
    ...(namespace === undefined ? {} : { namespace }),
    ...accessOf(own, first?.url),
    ...tlsOf(own, first?.url),
    ...(name ? { clientName: name.replaceAll(/[^\w.-]/g, '-').slice(0, 64) } : {}),
    ...(socket?.connectTimeout ? { connectTimeoutMs: socket.connectTimeout } : {}),
    ...(commandOptions?.timeout ? { commandTimeoutMs: commandOptions.timeout } : {}),
    ...(nodeAddressMap === undefined ? {} : { endpointMap: endpointMap(nodeAddressMap) }),
  }
}

/** Each with the reason, in the words of node-redis's own options. */
function unfitSettings(given: ClusterSettings, own: ClientSettings): string[] {
  const found: string[] = []
  const note = (unfit: boolean, reason: string) => {
    if (unfit) found.push(reason)
  }
  const prefix = given.keyPrefix ?? own.keyPrefix
  note(Boolean(prefix), 'keyPrefix (it would change the slot of a key: use namespace)')
  note(
    own.disableOfflineQueue !== true,
    'disableOfflineQueue (calls would wait where no deadline reaches them: set true)',
  )
  note((own.database ?? 0) !== 0, 'database (a cluster has only database 0)')
  note(given.useReplicas === true, 'useReplicas (a replica may answer with older data: use readFrom)')
  note(own.readonly === true, 'readonly (writes would fail: leave it out)')
  note(own.clientSideCache !== undefined, 'clientSideCache (the port has connections of its own, without it)')
  note(
    own.credentialsProvider !== undefined && own.credentialsProvider.type !== 'async-credentials-provider',
    'credentialsProvider (only one that is asked for credentials can be: pass `credentials` to connect)',
  )
  return found
}

function placeOf({ url, socket }: ClientSettings): {
  readonly endpoint: Endpoint
  readonly url: URL | undefined
} {
  if (socket?.path !== undefined) {
    throw new ConfigurationError('a port reaches servers by TCP, this client uses a Unix socket')
  }
  const parsed = url === undefined ? undefined : new URL(url)
  const host = parsed?.hostname.replace(/^\[(.*)\]$/, '$1') ?? socket?.host
  return {
    endpoint: { host: host || 'localhost', port: Number(parsed?.port) || (socket?.port ?? 6379) },
    url: parsed,
  }
}

function accessOf(
  { username, password, credentialsProvider }: ClientSettings,
  url: URL | undefined,
): Pick<ConnectOptions, 'username' | 'password' | 'credentials'> {
  const provider = credentialsProvider?.credentials
  if (provider !== undefined) {
    return {
      credentials: async () => {
        const asked = await provider()
        return { username: asked.username, password: asked.password ?? '' }
      },
    }
  }
  const secret = password ?? (url?.password ? decodeURIComponent(url.password) : undefined)
  const name = username ?? (url?.username ? decodeURIComponent(url.username) : undefined)
  return secret === undefined ? {} : { password: secret, ...(name === undefined ? {} : { username: name }) }
}

function tlsOf({ socket }: ClientSettings, url: URL | undefined): Pick<ConnectOptions, 'tls'> {
  if (socket?.tls !== true && url?.protocol !== 'rediss:') return {}
  const { host: _host, port: _port, tls: _tls, connectTimeout: _timeout, ...settings } = socket ?? {}
  return { tls: settings }
}

function endpointMap(
  map: NonNullable<ClusterSettings['nodeAddressMap']>,
): NonNullable<ConnectOptions['endpointMap']> {
  return (endpoint) => {
    const name = `${endpoint.host}:${endpoint.port}`
    return (typeof map === 'function' ? map(name) : map[name]) ?? endpoint
  }
}
