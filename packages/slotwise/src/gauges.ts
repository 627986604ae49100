import { checkedUsage } from './cluster/doctor/finding.js'
import { type ClusterHealth, type HealthOptions, healthCheck } from './cluster/health.js'
import { ConfigurationError } from './errors.js'
import { type Attributes, nodeLabels } from './measure.js'
import type { MetricName } from './metrics.js'
import { integer } from './options.js'
import type { PortStats, RedisPort } from './redis/port.js'

/** Ports that gauges are read from, each under the name that its label `client` has. */
export type Ports = Readonly<Record<string, RedisPort>>

/** What a `WriteBehind` tells of itself, as far as gauges need it. */
export interface WriteBehindSource {
  stats(): {
    readonly partitions: number
    readonly lag: { readonly entries: number; readonly bytes: number; readonly ms: number }
    readonly deadLetters: number
    readonly batchSize: number
  }
}

/** Write-behinds that gauges are read from, each under the name that its label `name` has. */
export type WriteBehinds = Readonly<Record<string, WriteBehindSource>>

/** How the health of the clusters is looked at. */
export interface HealthGaugeOptions extends Omit<HealthOptions, 'signal'> {
  /** A look that is no older answers, without another one. @defaultValue `10000` */
  readonly maxAgeMs?: number | undefined
}

/** Where a gauge stands. */
export interface Reading {
  readonly metric: MetricName
  readonly value: number
  readonly attributes: Attributes
}

/** The gauges of ports, which are read when they are asked for. */
export class Gauges {
  readonly #ports: readonly (readonly [client: string, stats: () => PortStats])[]
  readonly #perNode: boolean
  #now: readonly Reading[] | undefined

  /** @throws ConfigurationError for a port that does not tell */
  constructor(ports: Ports, perNode: boolean) {
    this.#perNode = perNode
    this.#ports = Object.entries(ports).map(([client, port]) => {
      const stats = port.stats?.bind(port)
      if (stats === undefined) throw new ConfigurationError(`ports.${client} has no stats() to read from`)
      return [client, stats]
    })
  }

  /** All of them, read once for everybody who asks in the same turn. */
  read(): readonly Reading[] {
    if (this.#now !== undefined) return this.#now
    queueMicrotask(() => {
      this.#now = undefined
    })
    return (this.#now = this.#ports.flatMap(([client, stats]) => this.#readingsOf(client, stats())))
  }

  #readingsOf(client: string, { calls, slotsUnserved, nodes, subscriptions }: PortStats): Reading[] {
    const reading = (metric: MetricName, value: number, attributes: Attributes = {}): Reading => ({
      metric,
      value,
      attributes: { client, ...attributes },
    })
    const count = (role: 'primary' | 'replica') => nodes.filter((node) => node.role === role).length
    return merged([
      reading('slotwise.redis.calls.active', calls),
      reading('slotwise.redis.slots.unserved', slotsUnserved),
      reading('slotwise.redis.nodes', count('primary'), { role: 'primary' }),
      reading('slotwise.redis.nodes', count('replica'), { role: 'replica' }),
      reading('slotwise.redis.subscriptions', subscriptions.live, { state: 'live' }),
      reading('slotwise.redis.subscriptions', subscriptions.interrupted, { state: 'interrupted' }),
      ...nodes.flatMap(({ node, isUp, pool }) => {
        const labels = this.#perNode ? nodeLabels(node) : {}
        const name: Attributes = this.#perNode ? { 'db.client.connection.pool.name': node } : {}
        const state = 'db.client.connection.state'
        return [
          reading('slotwise.redis.breaker.open', isUp ? 0 : 1, labels),
          reading('db.client.connection.count', pool.inUse, { ...name, [state]: 'used' }),
          reading('db.client.connection.count', pool.idle, { ...name, [state]: 'idle' }),
          reading('db.client.connection.pending_requests', pool.waiting, name),
        ]
      }),
    ])
  }
}

/** What the flushers of this process have seen last: nobody is asked. */
export function writeBehindReadings(sources: WriteBehinds): readonly Reading[] {
  return Object.entries(sources).flatMap(([name, source]) => {
    const { partitions, lag, deadLetters, batchSize } = source.stats()
    const attributes = { name }
    return [
      { metric: 'slotwise.writebehind.partitions', value: partitions, attributes },
      { metric: 'slotwise.writebehind.lag', value: lag.entries, attributes },
      { metric: 'slotwise.writebehind.lag.size', value: lag.bytes, attributes },
      { metric: 'slotwise.writebehind.lag.age', value: lag.ms / 1000, attributes },
      { metric: 'slotwise.writebehind.dead_letters', value: deadLetters, attributes },
      { metric: 'slotwise.writebehind.batch.limit', value: batchSize, attributes },
    ]
  })
}

/** One reading for each metric and set of labels, the sum of all. */
function merged(readings: readonly Reading[]): Reading[] {
  const sums = new Map<string, Reading>()
  for (const one of readings) {
    const series = JSON.stringify([one.metric, one.attributes])
    sums.set(series, { ...one, value: one.value + (sums.get(series)?.value ?? 0) })
  }
  return [...sums.values()]
}

/**
 * The health of clusters, for who asks again and again: a look that is under way answers everybody who asks meanwhile,
 * and one that is young enough answers without another. So who asks waits for one `timeoutMs` at most, and however
 * often they ask, each node is asked by one look at a time.
 */
export class HealthWatch {
  readonly #ports: Ports
  readonly #options: HealthOptions
  readonly #maxAgeMs: number
  readonly #looks = new Map<string, { readonly at: number; readonly health: Promise<ClusterHealth> }>()

  constructor(ports: Ports, { maxAgeMs = 10_000, ...options }: HealthGaugeOptions) {
    this.#ports = ports
    this.#options = options
    this.#maxAgeMs = integer('health.maxAgeMs', maxAgeMs, { min: 0 })
    // Else it would be found at each look, where nobody hears of it.
    checkedUsage(options.usage)
    if (options.timeoutMs !== undefined) integer('health.timeoutMs', options.timeoutMs)
  }

  async read(): Promise<readonly Reading[]> {
    const all = await Promise.allSettled(
      Object.entries(this.#ports).map(async ([client, port]) => {
        const { status, findings } = await this.#look(client, port)
        return [...statusReadings(client, status), ...findingReadings(client, findings)]
      }),
    )
    // A port that was closed has no health any more; the others have.
    return all.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
  }

  #look(client: string, port: RedisPort): Promise<ClusterHealth> {
    const last = this.#looks.get(client)
    if (last !== undefined && performance.now() - last.at <= this.#maxAgeMs) return last.health
    const look = { at: Number.POSITIVE_INFINITY, health: healthCheck(port, this.#options) }
    this.#looks.set(client, look)
    const settle = () => {
      look.at = performance.now()
    }
    look.health.then(settle, settle)
    return look.health
  }
}

const STATUSES = ['ok', 'degraded', 'down'] as const

function statusReadings(client: string, status: ClusterHealth['status']): readonly Reading[] {
  return STATUSES.map((one) => ({
    metric: 'slotwise.cluster.health',
    value: one === status ? 1 : 0,
    attributes: { client, status: one },
  }))
}

function findingReadings(client: string, findings: ClusterHealth['findings']): readonly Reading[] {
  return merged(
    findings.map(({ id, severity }) => ({
      metric: 'slotwise.cluster.findings',
      value: 1,
      attributes: { client, finding: id, severity },
    })),
  )
}
