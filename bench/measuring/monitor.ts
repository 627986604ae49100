import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { LocalCluster } from 'slotwise/local'

/** Long enough for what is sent to be seen. */
export const SEEN_MS = 100

/** Commands that reach the primaries with keys of one name (MONITOR), not those that scripts run there. */
export async function monitor(cluster: LocalCluster, prefix: string) {
  let seen: string[] = []
  const clients = cluster.nodes
    .filter(({ role }) => role === 'primary')
    .map(({ host, port }) => new Redis({ host, port }))
  const monitors: Redis[] = []
  for (const client of clients) {
    const monitoring = await client.monitor()
    monitors.push(monitoring)
    monitoring.on('monitor', (_time: string, [name = '', ...args]: readonly string[], source: string) => {
      if (source !== 'lua' && args.some((arg) => arg.includes(`${prefix}:`))) seen.push(name.toUpperCase())
    })
    monitoring.on('error', () => {})
  }
  return {
    seen: (): readonly string[] => [...seen],
    /** Names of the commands that are sent meanwhile, in their order. */
    async during(act: () => Promise<unknown>): Promise<readonly string[]> {
      seen = []
      await act()
      await sleep(SEEN_MS)
      return [...seen]
    },
    close() {
      for (const client of [...clients, ...monitors]) client.disconnect()
    },
  }
}
