/**
 * The port over node-redis (`redis`) 5.1 or later.
 *
 * @module
 */
import { ClusterPort } from '../redis/cluster-port.js'
import { type ConnectOptions, checkedOptions } from '../redis/connect-options.js'
import type { RedisPort } from '../redis/port.js'
import { type ForeignOptions, type NodeRedisClient, optionsOf } from './foreign.js'
import { nodeRedisLinks } from './link.js'

export type { ConnectOptions } from '../redis/connect-options.js'
export type { RedisPort } from '../redis/port.js'
export type { ForeignOptions, NodeRedisClient } from './foreign.js'

/**
 * Connects to a cluster, or to one server without a cluster, which then owns every slot.
 *
 * @throws ConfigurationError for a wrong option, password or TLS setting, naming the node
 * @throws RedisUnavailableError when none of the nodes can be reached within `connectTimeoutMs`
 * @throws UnexpectedReplyError when what answers is not Redis
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/node-redis'
 *
 * await using redis = await connect({ nodes: ['127.0.0.1:7000', '127.0.0.1:7001'], namespace: 'shop' })
 * ```
 */
export async function connect(urlOrOptions: string | ConnectOptions): Promise<RedisPort> {
  const options = checkedOptions(urlOrOptions)
  return ClusterPort.connect({ ...options, open: nodeRedisLinks(options) })
}

/**
 * A port for the servers that a node-redis client or cluster of yours talks to. The port makes connections of its own,
 * so the client stays yours: it is neither changed nor closed.
 *
 * A client that renames keys, queues while offline or reads from replicas is refused by the name of the setting, because
 * its users will expect the same of the port; `incompatible: 'duplicate'` takes its addresses and credentials and leaves
 * those settings behind.
 *
 * @throws ConfigurationError naming the settings that do not fit
 */
export async function fromNodeRedis(
  client: NodeRedisClient,
  options: ForeignOptions = {},
): Promise<RedisPort> {
  return connect(optionsOf(client, options))
}
