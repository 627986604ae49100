import { setTimeout as sleep } from 'node:timers/promises'
import { type Key, keyOf, type RedisPort } from '../../src/redis/index.js'

/** Writes over all slots that are never repeated blindly, each remembered when it was acknowledged. */
export class Load {
  readonly acknowledged = new Map<Key, number>()
  readonly failures: unknown[] = []
  readonly #port: RedisPort
  readonly #workers: Promise<void>[]
  #over = false

  constructor(port: RedisPort, name: string, keys = 2000) {
    this.#port = port
    this.#workers = Array.from({ length: 8 }, (_, worker) => this.#work(name, worker, keys))
  }

  async stop(): Promise<void> {
    this.#over = true
    await Promise.all(this.#workers)
  }

  /** Keys whose counter is not what was acknowledged. */
  async wrong(): Promise<Key[]> {
    const entries = [...this.acknowledged]
    const results = await this.#port.pipeline(
      entries.map(([key]) => ({ key, command: ['GET', key], repeat: 'safe' as const })),
    )
    return entries.flatMap(([key, count], i) => {
      const result = results[i]
      return result?.status === 'fulfilled' && result.value === String(count) ? [] : [key]
    })
  }

  async #work(name: string, worker: number, keys: number): Promise<void> {
    for (let i = worker; !this.#over; i += 8) {
      const key = keyOf({ namespace: '', pattern: 'load', name }, [i % keys])
      try {
        await this.#port.call({ key, command: ['INCR', key] })
        this.acknowledged.set(key, (this.acknowledged.get(key) ?? 0) + 1)
      } catch (error) {
        this.failures.push(error)
      }
      await sleep(1)
    }
  }
}
