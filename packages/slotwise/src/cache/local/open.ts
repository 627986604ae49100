import { Watch } from '../../invalidation/tracking/watch.js'
import type { RedisPort } from '../../redis/port.js'
import type { Settings } from '../settings.js'
import { LocalLevel } from './level.js'

/** The level of a cache, if it has one: it hears of its entries and of its tags. */
export function openLevel(
  port: RedisPort,
  settings: Settings,
  failed: (error: unknown, node: string) => void,
): LocalLevel | undefined {
  const { local, name, tagSpace, codec } = settings
  if (local === undefined) return undefined
  const { namespace } = port
  return new LocalLevel(local, codec, (events) => {
    const spaces = [
      { namespace, pattern: 'cache', name },
      { namespace, pattern: 'tag', name: tagSpace },
    ]
    return new Watch(port, { spaces, maxStalenessMs: local.maxStalenessMs }, { ...events, failed })
  })
}
