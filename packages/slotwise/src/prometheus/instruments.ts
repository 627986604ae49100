import { Counter, Gauge, Histogram, type Registry, register as shared } from 'prom-client'
import type { Reading } from '../gauges.js'
import { type Attributes } from '../measure.js'
import { bucketsOf, labelName, METRICS, type MetricName, prometheusName } from '../metrics.js'
import type { Register } from './collect.js'

const NAMES = Object.keys(METRICS) as MetricName[]
const isGauge = (name: MetricName) => METRICS[name].kind === 'gauge' || METRICS[name].kind === 'updowncounter'

/** Those that are read from `healthCheck`, those from write-behinds, and those from the ports. */
export const HEALTH = NAMES.filter((name) => name.startsWith('slotwise.cluster.'))
export const WRITE_BEHIND = NAMES.filter((name) => isGauge(name) && name.startsWith('slotwise.writebehind.'))
export const GAUGES = NAMES.filter(
  (name) => isGauge(name) && !HEALTH.includes(name) && !WRITE_BEHIND.includes(name),
)

type Reads = ReadonlyMap<MetricName, () => readonly Reading[] | Promise<readonly Reading[]>>

/** The metrics in a register: counters and histograms always, gauges where there is something to read them from. */
export class Instruments {
  readonly #register: Registry
  readonly #takers = new Map<MetricName, (value: number, labels: Attributes) => void>()
  readonly #registered: string[] = []

  constructor(register: Register | undefined, reads: Reads) {
    this.#register = (register as Registry | undefined) ?? shared
    try {
      for (const name of NAMES) {
        const read = reads.get(name)
        if (read !== undefined) this.#addGauge(name, read)
        else if (!isGauge(name)) this.#add(name)
      }
    } catch (error) {
      // All or none: what is half there could not be added again.
      this.remove()
      throw error
    }
  }

  take(name: MetricName, value: number, attributes: Attributes): void {
    this.#takers.get(name)?.(value, labelsOf(attributes))
  }

  remove(): void {
    for (const name of this.#registered.splice(0)) this.#register.removeSingleMetric(name)
  }

  #add(name: MetricName): void {
    const settings = this.#settingsOf(name)
    if (METRICS[name].kind === 'counter') {
      const counter = new Counter(settings)
      this.#takers.set(name, (value, labels) => counter.inc(labels, value))
    } else {
      const histogram = new Histogram({ ...settings, buckets: [...bucketsOf(name)] })
      this.#takers.set(name, (value, labels) => histogram.observe(labels, value))
    }
    this.#registered.push(settings.name)
  }

  #addGauge(name: MetricName, read: () => readonly Reading[] | Promise<readonly Reading[]>): void {
    const settings = this.#settingsOf(name)
    const set = (readings: readonly Reading[]) => {
      // Nodes that have left leave their series.
      gauge.reset()
      for (const { metric, value, attributes } of readings) {
        if (metric === name) gauge.set(labelsOf(attributes), value)
      }
    }
    const gauge = new Gauge({
      ...settings,
      collect: () => {
        const readings = read()
        if (!(readings instanceof Promise)) return set(readings)
        return readings.then(set)
      },
    })
    this.#registered.push(settings.name)
  }

  #settingsOf(name: MetricName) {
    const { means, labels } = METRICS[name]
    return {
      name: prometheusName(name),
      help: means,
      labelNames: labels.map(labelName),
      registers: [this.#register],
    }
  }
}

/** A label that does not apply is left out, which Prometheus takes for one that is empty. */
function labelsOf(attributes: Attributes): Record<string, string | number> {
  return Object.fromEntries(Object.entries(attributes).map(([label, value]) => [labelName(label), value]))
}
