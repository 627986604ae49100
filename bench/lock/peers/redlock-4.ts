import { createRequire } from 'node:module'
import type { Handle, Open } from '../subject.js'
import { clientsOf } from './clients.js'

interface Redlock {
  on(event: 'clientError', listener: () => void): void
  lockWithOptions(
    resource: string,
    ttlMs: number,
    options: { readonly retryCount: number },
  ): Promise<{ unlock(): Promise<void> }>
}

/** It has no types of its own. */
const Redlock4 = createRequire(import.meta.url)('redlock') as new (clients: readonly unknown[]) => Redlock

/** Whoever holds it extends it by hand. */
export const open: Open = async (place, { ttlMs }) => {
  const clients = await clientsOf(place)
  const redlock = new Redlock4(clients)
  redlock.on('clientError', () => {})
  return {
    acquire: async (resource): Promise<Handle> => {
      const lock = await redlock.lockWithOptions(`${place.prefix}:${resource}`, ttlMs, { retryCount: -1 })
      return { release: async () => await lock.unlock() }
    },
    close: async () => {
      for (const client of clients) client.disconnect()
    },
  }
}
