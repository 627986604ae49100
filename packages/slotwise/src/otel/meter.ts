import type { BatchObservableResult, Meter, Observable } from '@opentelemetry/api'
import {
  Gauges,
  type HealthGaugeOptions,
  HealthWatch,
  type Ports,
  type Reading,
  type WriteBehinds,
  writeBehindReadings,
} from '../gauges.js'
import { type Attributes, measure } from '../measure.js'
import { bucketsOf, METRICS, type MetricName } from '../metrics.js'

export interface MeterOptions {
  readonly ports: Ports
  readonly writeBehinds: WriteBehinds
  readonly health: boolean | HealthGaugeOptions
  readonly perNode: boolean
}

/** Measures with instruments of this meter, until the function that is returned is called. */
export function meter(source: Meter, { ports, writeBehinds, health, perNode }: MeterOptions): () => void {
  const gauges = new Gauges(ports, perNode)
  const watch = health === false ? undefined : new HealthWatch(ports, health === true ? {} : health)
  const takers = new Map<MetricName, (value: number, attributes: Attributes) => void>()
  const observables = new Map<MetricName, Observable>()
  for (const name of Object.keys(METRICS) as MetricName[]) {
    const { kind, unit, means: description } = METRICS[name]
    const settings = { unit, description }
    if (kind === 'counter') {
      const counter = source.createCounter(name, settings)
      takers.set(name, (value, attributes) => counter.add(value, attributes))
    } else if (kind === 'histogram') {
      const advice = { explicitBucketBoundaries: [...bucketsOf(name)] }
      const histogram = source.createHistogram(name, { ...settings, advice })
      takers.set(name, (value, attributes) => histogram.record(value, attributes))
    } else if (kind === 'gauge') observables.set(name, source.createObservableGauge(name, settings))
    else observables.set(name, source.createObservableUpDownCounter(name, settings))
  }
  const observe = async (result: BatchObservableResult) => {
    const now = [...gauges.read(), ...writeBehindReadings(writeBehinds)]
    const readings: readonly Reading[] = [...now, ...((await watch?.read()) ?? [])]
    for (const { metric, value, attributes } of readings) {
      const observable = observables.get(metric)
      if (observable !== undefined) result.observe(observable, value, attributes)
    }
  }
  const all = [...observables.values()]
  source.addBatchObservableCallback(observe, all)
  const stop = measure((name, value, attributes) => takers.get(name)?.(value, attributes), { perNode })
  return () => {
    stop()
    source.removeBatchObservableCallback(observe, all)
  }
}
