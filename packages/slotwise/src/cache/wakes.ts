import type { Key } from '../keys.js'
import type { RedisPort, ShardSubscription } from '../redis/port.js'

/** Tells one who waits for the load of another process that it has ended. */
export class Wake {
  rung: Promise<void> = Promise.resolve()
  readonly #leave: () => void
  #ring: () => void = () => {}

  constructor(leave: (wake: Wake) => void) {
    this.#leave = () => leave(this)
  }

  /** Forgets what was heard so far. To be called before asking: what is heard from here on may answer the question. */
  arm(): void {
    this.rung = new Promise((resolve) => {
      this.#ring = resolve
    })
  }

  /** Something was heard, or may have been missed. */
  ring(): void {
    this.#ring()
  }

  close(): void {
    this.#leave()
  }
}

/**
 * Hears of the ends of loads on the sharded channel that is named as the entry, whose slot is the entry's own. A
 * message may be missed, so this only ends a wait earlier: whoever waits asks again by itself.
 */
export class Wakes {
  readonly #port: RedisPort
  readonly #report: (error: unknown, key: Key) => void
  readonly #channels = new Map<Key, Channel>()

  constructor(port: RedisPort, report: (error: unknown, key: Key) => void) {
    this.#port = port
    this.#report = report
  }

  /** Resolves when it hears; `undefined` where it cannot. */
  async open(key: Key, options: { readonly deadlineMs: number }): Promise<Wake | undefined> {
    const present = this.#channels.get(key)
    const channel = present ?? this.#subscribe(key, options)
    if (present === undefined) this.#channels.set(key, channel)
    const wake = new Wake((left) => {
      if (!channel.wakes.delete(left) || channel.wakes.size > 0) return
      this.#channels.delete(key)
      void channel.subscription.then((subscription) => subscription.close()).catch(() => {})
    })
    channel.wakes.add(wake)
    try {
      await channel.subscription
      return wake
    } catch (error) {
      wake.close()
      this.#report(error, key)
      return undefined
    }
  }

  #subscribe(key: Key, options: { readonly deadlineMs: number }): Channel {
    const wakes = new Set<Wake>()
    const ring = (): void => {
      for (const wake of wakes) wake.ring()
    }
    return { wakes, subscription: this.#port.subscribe(key, { message: ring, interrupted: ring }, options) }
  }
}

interface Channel {
  readonly wakes: Set<Wake>
  readonly subscription: Promise<ShardSubscription>
}
