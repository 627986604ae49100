import { createLock, createRedlock, IoredisAdapter } from 'redlock-universal'
import { Gate } from '../../measuring/gate.js'
import { ENDLESS_MS, type Open } from '../subject.js'
import { clientsOf } from './clients.js'

/** Between two tries: as long as it is by itself. */
const RETRY_MS = 100

export const open: Open = async (place, { ttlMs }) => {
  const clients = await clientsOf(place)
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
