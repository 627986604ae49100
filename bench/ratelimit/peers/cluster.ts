import { Cluster } from 'ioredis'
import { COMMAND_TIMEOUT_MS, type Place } from '../subject.js'

/** As the pages of these libraries say: no queue while there is no connection, and a time-out. */
export async function openCluster(
  { nodes, endpointMap }: Place,
  { autopipelining = false } = {},
): Promise<Cluster> {
  const cluster = new Cluster([...nodes], {
    enableOfflineQueue: false,
    enableAutoPipelining: autopipelining,
    redisOptions: { commandTimeout: COMMAND_TIMEOUT_MS, maxRetriesPerRequest: 1 },
    ...(endpointMap === undefined ? {} : { natMap: (address: string) => endpointMap(parse(address)) }),
  })
  cluster.on('error', () => {})
  await new Promise<void>((resolve) => cluster.once('ready', () => resolve()))
  return cluster
}

function parse(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at), port: Number(address.slice(at + 1)) }
}
