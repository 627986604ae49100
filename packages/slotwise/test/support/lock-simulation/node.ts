import type { CommandCall, RedisPort, Reply, ScriptCall } from '../../../src/redis/index.js'
import { MemoryRedis } from '../../../src/testing/index.js'
import type { Twin } from '../../../src/testing/lua/index.js'
import type { Chance } from './chance.js'
import { driftMs, EPOCH_MS } from './process.js'
import type { VirtualTime } from './virtual-time.js'

/** A server of a simulation: its clock is its own, it hangs, forgets, and is replaced by one that is behind. */
export class SimulatedNode {
  readonly name: string
  readonly port: RedisPort
  readonly #time: VirtualTime
  readonly #redis: MemoryRedis
  #hungUntil = 0
  #aheadMs: number

  constructor(
    name: string,
    time: VirtualTime,
    clock: { rate: number; aheadMs: number },
    scripts: readonly Twin[] | undefined,
  ) {
    this.name = name
    this.#time = time
    this.#aheadMs = clock.aheadMs
    this.#redis = new MemoryRedis({
      clock: { now: () => EPOCH_MS + time.now + driftMs(time.now, clock.rate) + this.#aheadMs },
      primaries: 1,
      scripts,
    })
    this.port = this.#redis.connect({ namespace: 'simulation' })
  }

  /** Runs a call as soon as it does not hang, and tells what came of it. */
  execute(call: CommandCall | ScriptCall, answer: (outcome: PromiseSettledResult<Reply>) => void): void {
    if (this.#time.now < this.#hungUntil) {
      this.#time.at(this.#hungUntil, () => this.execute(call, answer))
      return
    }
    this.port.call(call).then(
      (value) => answer({ status: 'fulfilled', value }),
      (reason: unknown) => answer({ status: 'rejected', reason }),
    )
  }

  hang(ms: number): void {
    this.#hungUntil = Math.max(this.#hungUntil, this.#time.now + ms)
  }

  restartEmpty(): void {
    this.#redis.restartEmpty()
  }

  /** What is written from now on is forgotten by the replica that takes over, whose clock is another. */
  failOver(chance: Chance, aheadMs: number): void {
    this.#redis.holdReplication()
    this.#time.after(chance.around(30), () => {
      this.#redis.failOver()
      this.#aheadMs = aheadMs
    })
  }

  setClock(aheadMs: number): void {
    this.#aheadMs = aheadMs
  }
}
