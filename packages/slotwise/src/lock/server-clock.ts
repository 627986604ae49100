import { ConfigurationError } from '../errors.js'
import type { RedisPort } from '../redis/port.js'
import { CLOCKS, type Clocks } from './deadline.js'

/**
 * A server's clock beside the one here, from before a request was sent: tokens that are to grow after a loss too take clocks that
 * agree, so what a server gives whose clock cannot be believed is not used.
 */
export class ServerClock {
  readonly #wallMs: () => number
  readonly #sentAt: number

  constructor(port: RedisPort, clocks: Clocks) {
    // Servers in memory have a clock that tests turn, and the one here does not follow it.
    this.#wallMs = () => (clocks === CLOCKS ? port.nowMs?.() : undefined) ?? clocks.wallMs()
    this.#sentAt = this.#wallMs()
  }

  /** What is wrong with what the server took for the time, where locks last so long at most; `undefined` if nothing is. */
  wrong(nowMs: number, longestMs: number): ConfigurationError | undefined {
    const mostMs = longestMs / 2
    const apartMs = nowMs < this.#sentAt ? nowMs - this.#sentAt : Math.max(0, nowMs - this.#wallMs())
    if (Math.abs(apartMs) <= mostMs) return undefined
    const way = apartMs > 0 ? 'ahead of' : 'behind'
    return new ConfigurationError(
      `the server's clock is ${Math.ceil(Math.abs(apartMs))} ms ${way} the one here, and tokens stay in order up to ${mostMs} ms only`,
    )
  }
}
