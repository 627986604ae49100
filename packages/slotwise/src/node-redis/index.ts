/**
 * The port over node-redis (`redis`) 5.1 or later.
 *
 * @module
 */
import { ClusterPort } from '../redis/cluster-port.js'
import { type ConnectOptions, checkedOptions } from '../redis/connect-options.js'
import type { RedisPort } from '../redis/port.js'
import { nodeRedisLinks } from './link.js'

export type { ConnectOptions } from '../redis/connect-options.js'
export type { RedisPort } from '../redis/port.js'

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
