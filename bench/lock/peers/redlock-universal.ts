import { Cluster } from 'ioredis'
import { createLock, createRedlock, IoredisAdapter } from 'redlock-universal'
import { Gate } from '../../measuring/gate.js'
import { ENDLESS_MS, type Open } from '../subject.js'
import { clientsOf } from './clients.js'

/** Between two tries: as long as it is by itself. */
const RETRY_MS = 100

/** It loads its scripts on one node of a cluster, whichever that is, and fails on the others. */
function loadEverywhere(cluster: Cluster): void {
  const load = async (...args: readonly string[]) => {
    const answers = await Promise.all(cluster.nodes('master').map((node) => node.call('SCRIPT', ...args)))
    return answers[0]
  }
  Reflect.set(cluster, 'script', load)
}

export const open: Open = async (place, { ttlMs }) => {
  const clients = await clientsOf(place)
  for (const client of clients) if (client instanceof Cluster) loadEverywhere(client)
  const adapters = clients.map((client) => IoredisAdapter.from(client as never))
  const [first] = adapters
  if (first === undefined) throw new Error('there are no servers')
  const lockOf = (resource: string) => {
    const common = {
      key: `${place.prefix}:${resource}`,
      ttl: ttlMs,
      retryDelay: RETRY_MS,
      retryAttempts: ENDLESS_MS / RETRY_MS,
    }
    return place.kind === 'cluster'
      ? createLock({ ...common, adapter: first })
      : createRedlock({ ...common, adapters })
  }
  return {
    acquire: async (resource) => {
      const lock = lockOf(resource)
      const handle = await lock.acquire()
      return { release: () => lock.release(handle) }
    },
    hold: async (resource) => {
      const [taken, lost, done] = [new Gate(), new Gate(), new Gate()]
      const using = lockOf(resource).using(async (signal) => {
        taken.open()
        signal.addEventListener('abort', () => lost.open())
        await done.opened
      })
      await Promise.race([taken.opened, using])
      return {
        lost: lost.opened,
        release: async () => {
          done.open()
          await using
        },
      }
    },
    close: async () => {
      for (const client of clients) client.disconnect()
    },
  }
}
