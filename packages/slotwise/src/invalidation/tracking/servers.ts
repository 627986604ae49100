import { type KeySpace, keyOf, prefixOf } from '../../keys.js'
import type { RedisPort } from '../../redis/port.js'
import type { Demand } from './demand.js'
import { Tracker } from './tracker.js'
import { PROOFS, type WatchEvents, type Witness } from './watch.js'

/** The servers themselves tell of keys in these spaces: see {@link Tracker}. */
export function tellingServers(
  port: RedisPort,
  { spaces, maxStalenessMs }: { readonly spaces: readonly KeySpace[]; readonly maxStalenessMs: number },
  events: WatchEvents,
  demand: Demand,
): Witness {
  const name = spaces[0]?.name ?? ''
  const tracker = new Tracker(
    port,
    {
      prefixes: spaces.map(prefixOf),
      everyMs: Math.max(1, maxStalenessMs / PROOFS),
      probe: (n) => keyOf({ namespace: port.namespace, pattern: 'probe', name }, [n]),
      demand,
    },
    {
      ...events,
      // What is bound to it grows old by itself.
      lost: () => {},
    },
  )
  return { linkOf: (_key, node) => tracker.linkTo(node), close: () => tracker.close() }
}
