import { cacheLog } from '../../invalidation/log/cache-log.js'
import type { ChangeLog } from '../../invalidation/log/change-log.js'
import { tellingLog } from '../../invalidation/log/telling-log.js'
import { tellingServers } from '../../invalidation/tracking/servers.js'
import { Watch } from '../../invalidation/tracking/watch.js'
import type { RedisPort } from '../../redis/port.js'
import type { Settings } from '../settings.js'
import { LocalLevel } from './level.js'

/** Where the caches of a tag space tell each other of what they change, if servers do not. */
export function openLog(port: RedisPort, { coherence, tagSpace }: Settings): ChangeLog | undefined {
  return coherence === 'log' ? cacheLog(port, tagSpace) : undefined
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
