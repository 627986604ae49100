import {
  Gauges,
  type HealthGaugeOptions,
  HealthWatch,
  type Ports,
  type Reading,
  type WriteBehinds,
  writeBehindReadings,
} from '../gauges.js'
import { measure } from '../measure.js'
import { type MetricName } from '../metrics.js'
import { GAUGES, HEALTH, Instruments, WRITE_BEHIND } from './instruments.js'

/** As much of a `Registry` of prom-client as is used. */
export interface Register {
  registerMetric(metric: unknown): void
  removeSingleMetric(name: string): void
  getSingleMetric(name: string): unknown
}

/** Settings of {@link collect}. */
export interface CollectOptions {
  /** Where the metrics are registered. @defaultValue the register of prom-client that all share */
  readonly register?: Register | undefined
  /**
   * Ports whose topology, breakers and connections are read at each scrape, by the name that their label `client` is to
   * have. What happens (calls, locks, …) is counted for all ports of the process, whether named here or not.
   *
   * @defaultValue none
   */
  readonly ports?: Ports | undefined
  /**
   * Also looks at the health of the clusters of `ports`, at most once in `maxAgeMs`; a scrape waits for it for one
   * `timeoutMs` at most. @defaultValue `false`
   */
  readonly health?: boolean | HealthGaugeOptions | undefined
  /**
   * Write-behinds of which is read at each scrape what waits in the partitions that this process flushes, by the name that their label
   * `name` is to have. @defaultValue none
   */
  readonly writeBehinds?: WriteBehinds | undefined
  /** Tells nodes apart. In a large cluster that is many series. @defaultValue `true` */
  readonly perNode?: boolean | undefined
}

/** Collects until it is closed. */
export interface Collecting extends Disposable {
  /** Stops listening and takes the metrics out of the register. Idempotent. */
  close(): void
}

/**
 * Turns what this process does with slotwise into metrics of prom-client, all named in docs/observability.md. Labels are
 * bounded whatever the program does: a label with too many values has `_OTHER` for the rest, and none holds a key, an
 * id or a tenant.
 *
 * It counts from when it is called. Not guaranteed: that a scrape is a single instant.
 *
 * @throws ConfigurationError for a wrong option
 * @throws Error of prom-client when a metric of one of these names is registered already: collect once for a register
 *
 * @example
 * ```ts
 * import { Registry } from 'prom-client'
 * import { connect } from 'slotwise/ioredis'
 * import { collect } from 'slotwise/prometheus'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const register = new Registry()
 * collect({ register, ports: { main: redis }, health: { usage: ['locks'] } })
 * console.log(await register.metrics())
 * ```
 */
export function collect(options: CollectOptions = {}): Collecting {
  const { ports = {}, writeBehinds = {}, health = false, perNode = true } = options
  const gauges = new Gauges(ports, perNode)
  const watch = health === false ? undefined : new HealthWatch(ports, health === true ? {} : health)
  const reads = new Map<MetricName, () => readonly Reading[] | Promise<readonly Reading[]>>()
  if (Object.keys(ports).length > 0) for (const name of GAUGES) reads.set(name, () => gauges.read())
  if (Object.keys(writeBehinds).length > 0) {
    for (const name of WRITE_BEHIND) reads.set(name, () => writeBehindReadings(writeBehinds))
  }
  if (watch !== undefined) for (const name of HEALTH) reads.set(name, () => watch.read())
  const instruments = new Instruments(options.register, reads)
  const stop = measure(
    (name, value, attributes) => {
      instruments.take(name, value, attributes)
    },
    { perNode },
  )
  const close = () => {
    stop()
    instruments.remove()
  }
  return { close, [Symbol.dispose]: close }
}
