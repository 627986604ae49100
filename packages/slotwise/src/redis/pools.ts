import { OutcomeUnknownError, RedisUnavailableError } from '../errors.js'
import { endpointOf } from './address.js'
import type { CheckedOptions } from './connect-options.js'
import type { Login } from './credentials.js'
import { DedicatedConnection, type NodeWitness } from './dedicated.js'
import { Pool } from './pool.js'
import { WireClient, type WireOptions } from './wire.js'

type Settings = Pick<
  CheckedOptions,
  | 'tls'
  | 'clientName'
  | 'connectTimeoutMs'
  | 'commandTimeoutMs'
  | 'connectionsPerNode'
  | 'poolTimeoutMs'
  | 'idleTimeoutMs'
  | 'idleCheckMs'
>

/** Connections besides the shared ones: those that are lent, and those of the subscriber. */
export class Pools {
  readonly #settings: Settings
  readonly #login: Login
  readonly #witness: NodeWitness
  readonly #pools = new Map<string, Pool>()
  #tending: NodeJS.Timeout | undefined
  #primaries: ReadonlySet<string> = new Set()

  constructor(settings: Settings, login: Login, witness: NodeWitness) {
    this.#settings = settings
    this.#login = login
    this.#witness = witness
  }

  of(address: string): Pool {
    let pool = this.#pools.get(address)
    if (pool === undefined) {
      const { connectionsPerNode, poolTimeoutMs, idleTimeoutMs } = this.#settings
      pool = new Pool(address, { ...connectionsPerNode, poolTimeoutMs, idleTimeoutMs }, () =>
        this.#dedicated(address),
      )
      this.#pools.set(address, pool)
    }
    return pool
  }

  /** What is lent and kept of the connections to a node; nothing is opened by asking. */
  useOf(address: string): Pool['use'] {
    return this.#pools.get(address)?.use ?? { inUse: 0, idle: 0, waiting: 0 }
  }

  /** The connections of nodes that are gone end; those of primaries are kept ready. */
  follow(nodes: ReadonlySet<string>, primaries: ReadonlySet<string>): void {
    this.#primaries = primaries
    for (const [address, pool] of this.#pools) {
      if (nodes.has(address)) continue
      this.#pools.delete(address)
      pool.leave()
    }
    if (this.#settings.connectionsPerNode.min > 0) this.#tend()
  }

  start(): void {
    this.#tending = setInterval(() => this.#tend(), this.#settings.idleCheckMs).unref()
  }

  /** A connection in RESP3, for the subscriber. */
  async openPushes(address: string, hooks: Pick<WireOptions, 'onPush' | 'onEnd'>): Promise<WireClient> {
    const { tls, clientName, commandTimeoutMs } = this.#settings
    const at = { ...endpointOf(address), tls, clientName, timeoutMs: commandTimeoutMs, protocol: 3 as const }
    return await this.#loggingIn(address, async (credentials) => {
      const { username, password } = credentials ?? {}
      return await WireClient.connect({ ...at, ...hooks, username, password })
    })
  }

  close(): void {
    clearInterval(this.#tending)
    for (const pool of this.#pools.values()) pool.destroy()
  }

  async #dedicated(address: string): Promise<DedicatedConnection> {
    const { tls, clientName, connectTimeoutMs, commandTimeoutMs } = this.#settings
    return await this.#loggingIn(address, (credentials) => {
      const settings = { address, credentials, tls, clientName, connectTimeoutMs, commandTimeoutMs }
      return DedicatedConnection.open(settings, this.#witness)
    })
  }

  async #loggingIn<R>(
    address: string,
    open: (credentials: Awaited<ReturnType<Login['current']>>) => Promise<R>,
  ): Promise<R> {
    const credentials = await this.#login.current()
    try {
      return await open(credentials)
    } catch (error) {
      this.#login.refused(credentials)
      // The shared connection could log in; a password that is changing just now is no setting to mend.
      if (error instanceof RedisUnavailableError) throw error
      const why = error instanceof Error ? error.message : String(error)
      if (error instanceof OutcomeUnknownError || /password|user/.test(why)) {
        throw new RedisUnavailableError(`no connection to ${address}: ${why}`, {
          node: address,
          cause: error,
        })
      }
      throw error
    }
  }

  #tend(): void {
    for (const address of this.#primaries) this.of(address).tend(true)
    for (const [address, pool] of this.#pools) if (!this.#primaries.has(address)) pool.tend(false)
  }
}
