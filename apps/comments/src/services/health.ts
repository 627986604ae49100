import type { RedisPort } from 'slotwise/redis'
import type { TenantRepository } from '../repositories/tenants.js'

type State = 'up' | 'degraded' | 'down'

export interface Readiness {
  readonly ready: boolean
  readonly redis: State
  readonly postgres: State
  readonly draining: boolean
}

const PATIENCE_MS = 1000

/** Whether the service can serve. */
export class HealthService {
  readonly #port: RedisPort
  readonly #tenants: TenantRepository
  #draining = false

  constructor(port: RedisPort, tenants: TenantRepository) {
    this.#port = port
    this.#tenants = tenants
  }

  get draining(): boolean {
    return this.#draining
  }

  drain(): void {
    this.#draining = true
  }

  /** Without any Redis no like can be locked and no limit be kept; without one primary nearly everything goes on. */
  async readiness(): Promise<Readiness> {
    const [redis, postgres] = await Promise.all([this.#redis(), this.#postgres()])
    const draining = this.#draining
    return { ready: postgres === 'up' && redis !== 'down' && !draining, redis, postgres, draining }
  }

  async #redis(): Promise<State> {
    const pings = await this.#port.onEachPrimary(['PING'], { deadlineMs: PATIENCE_MS }).catch(() => [])
    const up = pings.filter(({ result }) => result.status === 'fulfilled').length
    if (up === 0) return 'down'
    return up === pings.length ? 'up' : 'degraded'
  }

  async #postgres(): Promise<State> {
    const late = new Promise<State>((resolve) => setTimeout(resolve, PATIENCE_MS, 'down').unref())
    const answer = this.#tenants.ping().then<State, State>(
      () => 'up',
      () => 'down',
    )
    return Promise.race([answer, late])
  }
}
