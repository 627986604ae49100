import { ConfigurationError, UnhealthyClusterError } from '../errors.js'
import { addressOf } from '../redis/address.js'
import type { Fleet, OperateOptions } from './fleet.js'
import { join, observe, parseAddress } from './observe.js'
import type { NodeView } from './view.js'

/**
 * Finishes the leaving of a node that those who were asked do not know any more: some or all have forgotten it, and
 * it may not have been reset.
 *
 * @returns the node, if something was left to do, or undefined where it had left: an empty server that knows nobody
 * @throws ConfigurationError it has never been of this cluster, or nothing answers at this address
 */
export async function departed(
  fleet: Fleet,
  views: readonly NodeView[],
  options: OperateOptions & { readonly node: string },
): Promise<NodeView | undefined> {
  const { username, password, tls, endpointMap, signal, timeoutMs = 30_000 } = options
  const access = { username, password, tls, endpointMap, signal, timeoutMs: Math.min(timeoutMs, 5000) }
  // Who was asked first may be one of those that have forgotten it.
  const remembered = views
    .flatMap(({ others }) => [...others.values()])
    .find((line) => [line.id, addressOf(line)].includes(options.node))
  // An id says nothing about where the node was.
  const at = remembered ?? (options.node.includes(':') ? parseAddress(options.node) : undefined)
  const member =
    at &&
    (await join(at, access).catch((cause: unknown) => {
      if (remembered === undefined) return undefined
      throw new UnhealthyClusterError(`${options.node} is known to some nodes, and cannot be reached`, {
        cause,
      })
    }))
  if (member === undefined) return void fleet.find(views, options.node)
  try {
    const own = await observe(member)
    if (own === undefined) throw new UnhealthyClusterError(`${options.node} is still reading its data`)
    const isOurs = views.some(({ self }) => own.others.has(self.id))
    if (own.self.slots.length > 0 || (!isOurs && (own.others.size > 0 || own.keys > 0))) {
      throw new ConfigurationError(
        `${options.node} is no node of this cluster, and has slots, data or others`,
      )
    }
    if (!isOurs) return undefined
    if (options.dryRun !== true) {
      for (const view of views.filter(({ others }) => others.has(own.self.id))) {
        await fleet.order(view, ['CLUSTER', 'FORGET', own.self.id])
      }
      await member.client.call(['CLUSTER', 'RESET', 'HARD'])
    }
    return own
  } finally {
    member.client.close()
  }
}
