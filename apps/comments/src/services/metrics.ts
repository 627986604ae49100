import { Registry } from 'prom-client'
import { collect } from 'slotwise/prometheus'
import type { RedisPort } from 'slotwise/redis'

/** What is told to Prometheus: what this process does with Redis, and how the cluster is. Nothing tells tenants apart. */
export class MetricsService {
  readonly #register = new Registry()
  readonly #collecting

  constructor(port: RedisPort) {
    this.#collecting = collect({
      register: this.#register,
      ports: { comments: port },
      health: { usage: ['cache', 'ratelimit', 'locks'] },
    })
  }

  /** A scrape: it waits for a second at most, whatever hangs, and asks the cluster once in ten seconds. */
  async scrape(): Promise<string> {
    return await this.#register.metrics()
  }

  close(): void {
    this.#collecting.close()
  }
}
