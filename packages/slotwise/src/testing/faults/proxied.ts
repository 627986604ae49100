import { type ConnectOptions, readEndpoint } from '../../redis/connect-options.js'
import type { Endpoint } from '../../redis/link.js'
import { FaultProxy } from './fault-proxy.js'

/** A cluster seen through proxies: see {@link proxied}. */
export interface ProxiedNodes<O> extends AsyncDisposable {
  /** In the order of `nodes`. */
  readonly proxies: readonly FaultProxy[]
  /** For `connect`: the options given, with the proxies in the place of the nodes. */
  readonly connectOptions: O & { readonly endpointMap: (endpoint: Endpoint) => Endpoint }
  /** Takes every fault of every proxy away. */
  heal(): Promise<void>
  /** Closes every proxy. Idempotent. */
  close(): Promise<void>
}

/**
 * Puts a {@link FaultProxy} before every node, for one client: others that use `options` as they were do not notice.
 * Two calls give two clients different views of the same cluster.
 *
 * Nodes that are not in `options.nodes` are reached without a proxy, those that are added later among them.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { startLocalCluster } from 'slotwise/local'
 * import { proxied } from 'slotwise/testing/faults'
 *
 * const cluster = await startLocalCluster()
 * const nodes = await proxied(cluster.connectOptions)
 * const port = await connect({ ...nodes.connectOptions, commandTimeoutMs: 500 })
 * nodes.proxies[0]?.drop() // half-open: connected, and never an answer
 * await nodes.heal()
 * ```
 */
export async function proxied<O extends Pick<ConnectOptions, 'nodes' | 'endpointMap'>>(
  options: O,
): Promise<ProxiedNodes<O>> {
  const reach = (endpoint: Endpoint) => options.endpointMap?.(endpoint) ?? endpoint
  const opened = await Promise.allSettled(
    options.nodes.map((node) => FaultProxy.open(reach(readEndpoint(node)))),
  )
  const proxies = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const close = async () => {
    await Promise.all(proxies.map((proxy) => proxy.close()))
  }
  for (const result of opened) {
    if (result.status === 'fulfilled') continue
    await close()
    throw result.reason
  }
  const endpointMap = (endpoint: Endpoint): Endpoint => {
    const { host, port } = reach(endpoint)
    const proxy = proxies.find(({ target }) => target.host === host && target.port === port)
    return proxy === undefined ? { host, port } : { host: proxy.host, port: proxy.port }
  }
  const nodes = proxies.map(({ host, port }) => `${host}:${port}`)
  return {
    proxies,
    connectOptions: { ...options, nodes, endpointMap },
    heal: async () => {
      await Promise.all(proxies.map((proxy) => proxy.heal()))
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
