import { ChangeLog } from '../../invalidation/log/change-log.js'
import { tellingLog } from '../../invalidation/log/telling-log.js'
import { tellingServers } from '../../invalidation/tracking/servers.js'
import { Watch } from '../../invalidation/tracking/watch.js'
import type { RedisPort } from '../../redis/port.js'
import type { Settings } from '../settings.js'
import { LocalLevel } from './level.js'

/** In how many logs caches tell of what they change, and for how long: of the last so many changes in each. */
const LOGS = { logs: 8, keep: 10_000 }

/** Where the caches of a tag space tell each other of what they change, if servers do not. */
export function openLog(port: RedisPort, { coherence, tagSpace }: Settings): ChangeLog | undefined {
  return coherence === 'log' ? new ChangeLog(port, { name: tagSpace, ...LOGS }) : undefined
}

/** The level of a cache, if it has one: it hears of its entries and of its tags. */
export function openLevel(
  port: RedisPort,
  settings: Settings,
  log: ChangeLog | undefined,
  failed: (error: unknown, node: string) => void,
): LocalLevel | undefined {
  const { local, name, tagSpace, codec } = settings
  if (local === undefined) return undefined
  const { namespace } = port
  const { maxStalenessMs } = local
  const spaces = [
    { namespace, pattern: 'cache', name },
    { namespace, pattern: 'tag', name: tagSpace },
  ]
  return new LocalLevel(
    local,
    codec,
    (events) =>
      new Watch(maxStalenessMs, { ...events, failed }, (heard, demand) =>
        log === undefined
          ? tellingServers(port, { spaces, maxStalenessMs }, heard, demand)
          : tellingLog(log, maxStalenessMs, heard, demand),
      ),
  )
}
