import { channel } from 'node:diagnostics_channel'

/**
 * Every event this package publishes, by channel name. Subscribe with `node:diagnostics_channel`; an event
 * costs nothing while nobody listens. Names and payloads are part of the public interface.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel'
 * subscribe('slotwise:cache', (event) => console.log(event))
 * ```
 */
export interface Events {
  /** A read of a cache was answered, or an entry was invalidated. */
  'slotwise:cache': {
    readonly name: string
    readonly kind:
      | 'hit'
      | 'stale'
      | 'load'
      | 'wait'
      | 'bypass'
      | 'refused-fill'
      | 'write'
      | 'invalidate'
      | 'error'
      | 'degraded'
      | 'recovered'
    /** Empty for what is not about one entry. */
    readonly key: string
    readonly durationMs: number
  }
  /** A limiter decided. */
  'slotwise:ratelimit': {
    readonly name: string
    readonly key: string
    readonly outcome: 'allowed' | 'limited' | 'exceeds-capacity' | 'unavailable'
    readonly violated: readonly string[]
    readonly durationMs: number
  }
  /** A lock changed hands, or failed to. */
  'slotwise:lock': {
    readonly name: string
    readonly resource: string
    readonly kind: 'acquired' | 'busy' | 'unavailable' | 'extended' | 'released' | 'lost'
    readonly durationMs: number
  }
  /** The port learnt something about the cluster, or lost or regained a node. */
  'slotwise:redis': {
    readonly kind: 'topology' | 'node-lost' | 'node-back' | 'retry' | 'subscription-interrupted'
    readonly node?: string | undefined
    readonly reason?: string | undefined
  }
}

/** Publishes an event; the payload is only made when somebody listens. */
export function publish<K extends keyof Events>(name: K, event: () => Events[K]): void {
  const target = channel(name)
  if (target.hasSubscribers) target.publish(event())
}
