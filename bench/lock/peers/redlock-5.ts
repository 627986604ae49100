import { createRequire } from 'node:module'
import { Gate } from '../../measuring/gate.js'
import type { Open } from '../subject.js'
import { clientsOf } from './clients.js'

interface Settings {
  readonly retryCount?: number
  readonly automaticExtensionThreshold?: number
}

interface Redlock {
  on(event: 'error', listener: () => void): void
  acquire(
    resources: readonly string[],
    ttlMs: number,
    settings: Settings,
  ): Promise<{ release(): Promise<unknown> }>
  using(
    resources: readonly string[],
    ttlMs: number,
    settings: Settings,
    routine: (signal: AbortSignal) => Promise<void>,
  ): Promise<void>
}

/** Its types are not found under the name that it is imported by. */
const { default: Redlock5 } = createRequire(import.meta.url)('redlock-5') as {
  readonly default: new (clients: readonly unknown[]) => Redlock
}

export const open: Open = async (place, { ttlMs, everyMs }) => {
  const clients = await clientsOf(place)
  const redlock = new Redlock5(clients)
  redlock.on('error', () => {})
  const keyOf = (resource: string): string => `${place.prefix}:${resource}`
  return {
    acquire: (resource) => redlock.acquire([keyOf(resource)], ttlMs, { retryCount: -1 }),
    hold: async (resource) => {
      const [taken, lost, done] = [new Gate(), new Gate(), new Gate()]
      const settings = everyMs === undefined ? {} : { automaticExtensionThreshold: ttlMs - everyMs }
      const using = redlock.using([keyOf(resource)], ttlMs, settings, async (signal) => {
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
