import type { RedisPort } from 'slotwise/redis'
import type { TenantRepository } from '../repositories/tenants.js'
import type { Behind } from './behind.js'

type State = 'up' | 'degraded' | 'down'

export interface Readiness {
  readonly ready: boolean
  readonly redis: State
  readonly postgres: State
  readonly draining: boolean
  /** What is accepted and not yet written; `null` if Redis does not say. It grows while Postgres is away, and readiness does not mind. */
  readonly unwritten: { readonly changes: number; readonly oldestMs: number } | null
}

const PATIENCE_MS = 1000

/** Whether the service can serve. */
export class HealthService {
  readonly #port: RedisPort
  readonly #tenants: TenantRepository
  readonly #behind: Behind
  #draining = false

  constructor(port: RedisPort, tenants: TenantRepository, behind: Behind) {
    this.#port = port
    this.#tenants = tenants
    this.#behind = behind
  }

  get draining(): boolean {
    return this.#draining
  }

  drain(): void {
    this.#draining = true
  }

  /** Without any Redis no like can be locked and no limit be kept; without one primary nearly everything goes on. */
  async readiness(): Promise<Readiness> {
    const [redis, postgres, unwritten] = await Promise.all([
      this.#redis(),
      this.#postgres(),
      this.#unwritten(),
    ])
    const draining = this.#draining
    const ready = postgres === 'up' && redis !== 'down' && !draining
    return { ready, redis, postgres, draining, unwritten }
  }

  async #unwritten(): Promise<Readiness['unwritten']> {
    const lag = await this.#behind.lag().catch(() => undefined)
    return lag === undefined ? null : { changes: lag.entries, oldestMs: lag.ms }
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
