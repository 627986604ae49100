import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { ConfigurationError, RedisUnavailableError, ReplyError, UnexpectedReplyError } from '../errors.js'
import type { Endpoint } from '../redis/link.js'
import type { WireReply } from '../redis/resp.js'
import { WireClient } from '../redis/wire.js'
import { type NodeView, parseNodes } from './view.js'

/** How every node of a cluster is reached. */
export interface Access {
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly tls?: boolean | ConnectionOptions | undefined
  /** Where this process reaches a node of this address; the nodes go on meeting each other at the address itself. */
  readonly endpointMap?: ((endpoint: Endpoint) => Endpoint) | undefined
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/** A node given by its address, connected, and known to be one of a cluster. */
export interface Member {
  readonly host: string
  readonly port: number
  /** As nodes meet it: MEET takes no names. */
  readonly ip: string
  readonly client: WireClient
  /** What its own configuration says about where others reach it. */
  readonly announced: { readonly host?: string; readonly port?: number; readonly busPort?: number }
}

/** `host:port` or `[v6]:port`. */
export function parseAddress(text: unknown): { host: string; port: number } {
  const [, v6, plain, port] =
    (typeof text === 'string' && /^(?:\[(.+)\]|([^:\s]+)):(\d{1,5})$/.exec(text)) || []
  const host = v6 ?? plain
  if (host !== undefined && Number(port) > 0 && Number(port) < 65_536) return { host, port: Number(port) }
  throw new ConfigurationError(`a node must be given as host:port, got ${JSON.stringify(text)}`)
}

/** Connects to a node and makes sure that it can be part of a cluster made by us. */
export async function join(address: { host: string; port: number }, access: Access): Promise<Member> {
  const at = access.endpointMap?.(address) ?? address
  const client = await WireClient.connect({ ...access, ...at })
  try {
    const info = fields(textOf(client, await ask(client, ['INFO', 'server'])))
    // Valkey reports a compatible redis_version of 7.2 beside its own.
    const version = info.get('redis_version')
    if (version === undefined)
      throw new UnexpectedReplyError(`${client.node} does not say which version of Redis it is`)
    if (Number(version.split('.')[0]) < 7) {
      throw new ConfigurationError(`${client.node} runs Redis ${version}: 7.0 or later is needed`)
    }
    const mode = fields(textOf(client, await ask(client, ['INFO', 'cluster'])))
    if (mode.get('cluster_enabled') !== '1') {
      throw new ConfigurationError(
        `${client.node} is a standalone server: start it with cluster-enabled yes, on an empty folder`,
      )
    }
    const ip = isIP(address.host) ? address.host : await resolved(address.host, at.host, client)
    return { ...address, ip, client, announced: await announcement(client, access) }
  } catch (error) {
    client.close()
    throw error
  }
}

/**
 * Of several addresses of a name the server need not listen at each: the one that it answers at. Behind a map that is
 * another's, and a name that only the cluster's own network knows need not mean anything here.
 */
async function resolved(host: string, reachedAt: string, client: WireClient): Promise<string> {
  if (reachedAt === host && client.ip !== undefined) return client.ip
  return await lookup(host).then(
    ({ address }) => address,
    () => host,
  )
}

async function announcement(client: WireClient, { tls }: Access): Promise<Member['announced']> {
  const names = ['ip', 'port', 'bus-port', 'tls-port'].map((name) => `cluster-announce-${name}`)
  const [reply] = await client.pipeline([['CONFIG', 'GET', 'cluster-announce*']])
  // Where CONFIG is forbidden we go by the address given.
  if (!Array.isArray(reply)) return {}
  const flat = (reply as readonly WireReply[]).map(String)
  const [host, plainPort, busPort, tlsPort] = names.map((name) => flat[flat.indexOf(name) + 1] ?? '')
  // Redis 7.0 takes the plain one where there is no other.
  const port = tls && Number(tlsPort) > 0 ? tlsPort : plainPort
  return {
    ...(host ? { host } : {}),
    ...(Number(port) > 0 ? { port: Number(port) } : {}),
    ...(Number(busPort) > 0 ? { busPort: Number(busPort) } : {}),
  }
}

/** What a node says of itself and of the others, in one round trip; nothing while it is reading its data. */
export async function observe({ host, port, ip, client, announced }: Member): Promise<NodeView | undefined> {
  const replies = await client.pipeline([
    ['CLUSTER', 'NODES'],
    ['CLUSTER', 'INFO'],
    ['DBSIZE'],
    ['INFO', 'replication'],
  ])
  if (replies.some((reply) => reply instanceof ReplyError && reply.replyCode === 'LOADING')) return undefined
  const [nodes, state, size, replication] = replies
  const lines = parseNodes(textOf(client, nodes))
  const self = lines.find(({ flags }) => flags.includes('myself'))
  if (self === undefined)
    throw new UnexpectedReplyError(`${client.node} does not know itself in CLUSTER NODES`)
  const replica = fields(textOf(client, replication))
  const others = lines.filter((line) => line !== self && !line.flags.includes('handshake'))
  return {
    host,
    port,
    node: client.node,
    meetAt: {
      host: announced.host ?? ip,
      port: announced.port ?? port,
      busPort: announced.busPort ?? self.busPort,
    },
    self,
    others: new Map(others.map((line) => [line.id, line])),
    keys: countOf(client, size),
    ok: fields(textOf(client, state)).get('cluster_state') === 'ok',
    linked: replica.get('role') !== 'slave' || replica.get('master_link_status') === 'up',
  }
}

/** Not knowing is not zero: what is no number must not pass for an empty node. */
function countOf(client: WireClient, reply: WireReply | undefined): number {
  if (typeof reply === 'number') return reply
  throw new UnexpectedReplyError(`${client.node} does not say how many keys it holds: ${String(reply)}`)
}

async function ask(client: WireClient, command: readonly [string, ...string[]]): Promise<WireReply> {
  try {
    return await client.call(command)
  } catch (error) {
    if (error instanceof ReplyError && error.replyCode === 'NOPERM') {
      throw new ConfigurationError(`this user may not run ${command.join(' ')} on ${client.node}`, {
        cause: error,
      })
    }
    if (error instanceof ReplyError) throw error
    throw new RedisUnavailableError(`${client.node} stopped answering`, { node: client.node, cause: error })
  }
}

function textOf(client: WireClient, reply: WireReply | undefined): string {
  if (Buffer.isBuffer(reply)) return reply.toString()
  if (reply instanceof ReplyError) {
    if (reply.replyCode === 'NOPERM') {
      throw new ConfigurationError(`${client.node}: ${reply.message}`, { cause: reply })
    }
    throw reply
  }
  if (typeof reply === 'string') return reply
  throw new UnexpectedReplyError(`${client.node} answered with something other than text`)
}

/** The lines of INFO: `name:value`. */
export function fields(info: string): ReadonlyMap<string, string> {
  return new Map(
    info.split('\r\n').flatMap((line) => {
      const at = line.indexOf(':')
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : []
    }),
  )
}
