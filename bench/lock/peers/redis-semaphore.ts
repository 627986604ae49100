import type { Redis } from 'ioredis'
import { type LockOptions, Mutex, RedlockMutex } from 'redis-semaphore'
import { Gate } from '../../measuring/gate.js'
import { ENDLESS_MS, type Open } from '../subject.js'
import { clientsOf } from './clients.js'

/** Its `Mutex` on a cluster, its `RedlockMutex` on several servers. */
export const open: Open = async (place, { ttlMs, everyMs }) => {
  const clients = await clientsOf(place)
  const mutexOf = (resource: string, options: LockOptions) => {
    const key = `${place.prefix}:${resource}`
    // It is declared for one server, and of a cluster it uses the same few calls.
    const theirs = clients as readonly Redis[]
    const [first] = theirs
    if (place.kind === 'cluster' && first !== undefined) return new Mutex(first, key, options)
    return new RedlockMutex([...theirs], key, options)
  }
  return {
    acquire: async (resource) => {
      const mutex = mutexOf(resource, { lockTimeout: ttlMs, acquireTimeout: ENDLESS_MS })
      await mutex.acquire()
      return mutex
    },
    hold: async (resource) => {
      const lost = new Gate()
      const mutex = mutexOf(resource, {
        lockTimeout: ttlMs,
        ...(everyMs === undefined ? {} : { refreshInterval: everyMs }),
        onLockLost: () => lost.open(),
      })
      await mutex.acquire()
      return { lost: lost.opened, release: () => mutex.release() }
    },
    close: async () => {
      for (const client of clients) client.disconnect()
    },
  }
}
