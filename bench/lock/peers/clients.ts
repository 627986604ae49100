import { Cluster, Redis } from 'ioredis'
import { COMMAND_TIMEOUT_MS, type Place } from '../subject.js'

/** One client of a cluster, or one of each server: no queue while there is no connection, and a time-out. */
export async function clientsOf({ kind, nodes }: Place): Promise<readonly (Cluster | Redis)[]> {
  const common = { commandTimeout: COMMAND_TIMEOUT_MS, maxRetriesPerRequest: 1 }
  const clients =
    kind === 'cluster'
      ? [new Cluster([...nodes], { enableOfflineQueue: false, redisOptions: common })]
      : nodes.map((node) => new Redis({ ...node, ...common, enableOfflineQueue: false }))
  await Promise.all(
    clients.map((client) => {
      client.on('error', () => {})
      return new Promise<void>((resolve) => client.once('ready', () => resolve()))
    }),
  )
  return clients
}
