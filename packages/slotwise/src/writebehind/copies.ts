import { setTimeout as sleep } from 'node:timers/promises'
import { OutcomeUnknownError, UnexpectedReplyError } from '../errors.js'
import type { CallOptions } from '../options.js'
import type { RedisPort, Reply, ScriptCall } from '../redis/port.js'
import { slotOf } from '../slots.js'

/** Longer than an election takes. */
const PATIENCE_MS = 10_000
const WAIT_MS = 100
const POLL_MS = 50

/**
 * Has what is written by one step of a longer work in all replicas of its primary before the next one follows, whoever may be elected
 * then: for those who do not know how safe what they move was when it was accepted. Replicas that do not follow are waited for
 * ten seconds in all, not for each step.
 */
export class Copies {
  readonly #port: RedisPort
  #leftMs = PATIENCE_MS

  constructor(port: RedisPort) {
    this.#port = port
  }

  /** What is called is harmless to repeat, and writes each time: waited for is what its own connection has written. */
  async call(call: ScriptCall, options: CallOptions): Promise<Reply> {
    const [key] = call.keys
    for (;;) {
      const table = this.#port.topology()
      const owner = table.ownerOf(slotOf(key))
      const replicas = owner === undefined ? 0 : table.replicasOf(owner.id).length
      if (replicas === 0 || this.#leftMs <= 0) return await this.#port.call(call, options)
      const from = performance.now()
      try {
        const { reply, acknowledgedBy } = await this.#port.writeThenWait(call, {
          ...options,
          replicas,
          waitMs: WAIT_MS,
        })
        if (acknowledgedBy >= replicas) return reply
      } catch (error) {
        // Who may not wait has nothing to wait for.
        if (error instanceof UnexpectedReplyError) this.#leftMs = 0
        else if (!(error instanceof OutcomeUnknownError)) throw error
      }
      await sleep(POLL_MS, undefined, { signal: options.signal })
      this.#leftMs -= performance.now() - from
    }
  }
}
