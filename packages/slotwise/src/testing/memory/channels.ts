import type { ShardListener, ShardSubscription } from '../../redis/port.js'
import { received } from './bytes.js'

/** Who listens on which sharded channel. */
export class Channels {
  readonly #listeners = new Map<string, Set<ShardListener>>()
  /** So many messages are lost on their way. */
  losing = 0

  subscribe(channel: string, listener: ShardListener): ShardSubscription {
    const name = received(channel)
    const listeners = this.#listeners.get(name) ?? new Set()
    // Each call is a subscription of its own, also with the same listener.
    const own: ShardListener = {
      message: (payload) => listener.message(payload),
      interrupted: (reason) => listener.interrupted?.(reason),
      resumed: () => listener.resumed?.(),
    }
    this.#listeners.set(name, listeners.add(own))
    own.resumed?.()
    const close = async (): Promise<void> => {
      listeners.delete(own)
      if (listeners.size === 0 && this.#listeners.get(name) === listeners) this.#listeners.delete(name)
    }
    return {
      get isLive() {
        return listeners.has(own)
      },
      close,
      [Symbol.asyncDispose]: close,
    }
  }

  /** How many listen; they hear it once whoever publishes has gone on. */
  publish(channel: string, message: string): number {
    const listeners = this.#listeners.get(channel)
    if (listeners === undefined) return 0
    if (this.losing > 0) {
      this.losing--
      return listeners.size
    }
    for (const listener of listeners) {
      queueMicrotask(() => {
        if (listeners.has(listener)) listener.message(Buffer.from(message, 'latin1'))
      })
    }
    return listeners.size
  }

  /** Tells everybody. */
  each(tell: (listener: ShardListener) => void): void {
    for (const listeners of this.#listeners.values()) for (const listener of listeners) tell(listener)
  }
}
