import { ConfigurationError } from '../../errors.js'
import { type Key, keyOf } from '../../keys.js'
import { integer, shown } from '../../options.js'
import type { RedisPort } from '../../redis/port.js'
import { Tracker } from './tracker.js'

/** What is to be heard of, and how closely it is watched whether it is. */
export interface TrackOptions {
  /**
   * Beginnings of keys, as they are in Redis; none may be the beginning of another. An empty one is every key of the cluster.
   */
  readonly prefixes: readonly string[]
  /** How often each primary is asked whether it still tells, in milliseconds. @defaultValue `1000` */
  readonly proofMs?: number | undefined
}

/** What happens to tracked keys. A method that throws is told to `onError`. */
export interface ChangeHandler {
  /** The key was written, removed, has expired or was evicted, by whomever. What it is now has to be read. */
  changed(key: string): void
  /**
   * A primary (`host:port`) tells no more, or has removed all its keys: whatever was known of its keys is not known any
   * more, and what happened to them meanwhile is not told later.
   */
  gap(node: string): void
  /** Told of a connection that could not be made. It is tried again. */
  onError?(error: Error, node: string): void
}

/** What has been heard of, and until when. */
export interface Tracking extends AsyncDisposable {
  /**
   * By primary that is heard (`host:port`), in the time of `performance.now()`: every change before this moment that it has
   * made of a tracked key has been told. `-Infinity` before the first proof.
   */
  proofs(): ReadonlyMap<string, number>
  /** Idempotent. */
  close(): void
}

/**
 * Hears from every primary which keys change, by server-assisted tracking: writes in any language, expiry and eviction.
 *
 * At most once: what happens while a primary is not heard is not told, but that it was not is (`gap`), as soon as it is
 * known. Until when everything has been told, `proofs` says: a silent connection proves nothing. Holds one connection to each
 * primary, of those that `connectionsPerNode` of the port allows.
 *
 * @throws ConfigurationError one of the prefixes is the beginning of another
 *
 * @see {@link https://redis.io/docs/latest/commands/client-tracking/ | CLIENT TRACKING}
 *
 * @example
 * ```ts
 * import { trackChanges } from 'slotwise/invalidation'
 * import { connect } from 'slotwise/ioredis'
 *
 * const redis = await connect('redis://127.0.0.1:7000')
 * const known = new Map<string, string>()
 * await using tracking = trackChanges(
 *   redis,
 *   { prefixes: ['price:'] },
 *   { changed: (key) => known.delete(key), gap: () => known.clear() },
 * )
 * console.log(tracking.proofs())
 * ```
 */
export function trackChanges(port: RedisPort, options: TrackOptions, handler: ChangeHandler): Tracking {
  const prefixes = checked(options.prefixes)
  const told = (act: () => void, node: string): void => {
    try {
      act()
    } catch (error) {
      failed(error, node)
    }
  }
  const failed = (error: unknown, node: string): void => {
    try {
      handler.onError?.(error instanceof Error ? error : new Error(String(error)), node)
    } catch {
      // A listener that throws must not end what it listens to.
    }
  }
  const tracker = new Tracker(
    port,
    {
      prefixes,
      everyMs: integer('proofMs', options.proofMs ?? 1000),
      probe: (n: number): Key => keyOf({ namespace: port.namespace, pattern: 'probe', name: 'changes' }, [n]),
    },
    {
      changed: (key) => told(() => handler.changed(key), ''),
      lost: ({ node }) => told(() => handler.gap(node), node),
      // Its keys are removed from the old owner, which tells of each.
      moved: () => {},
      failed,
    },
  )
  const close = (): void => tracker.close()
  return {
    proofs: () => new Map(tracker.heard.links.map(({ node, provedAt }) => [node, provedAt])),
    close,
    [Symbol.asyncDispose]: () => Promise.resolve(close()),
  }
}

/** Servers take no prefix that another one covers. */
function checked(prefixes: unknown): readonly string[] {
  const texts = Array.isArray(prefixes)
    ? (prefixes as readonly unknown[]).filter((one) => typeof one === 'string')
    : []
  if (!Array.isArray(prefixes) || texts.length === 0 || texts.length < prefixes.length) {
    throw new ConfigurationError(`prefixes must be a list of texts, got ${shown(prefixes)}`)
  }
  for (const [i, one] of texts.entries()) {
    if (!texts.some((other, j) => i !== j && other.startsWith(one))) continue
    throw new ConfigurationError(`a prefix must not be the beginning of another, ${shown(one)} is`)
  }
  return texts
}
