import { type MeterProvider, metrics, type TracerProvider, trace } from '@opentelemetry/api'
import type { HealthGaugeOptions, Ports, WriteBehinds } from '../gauges.js'
import { oneOf } from '../options.js'
import { meter } from './meter.js'
import { traceCalls, traceLoads } from './spans.js'

/** A `MeterProvider` of OpenTelemetry. */
export interface MeterSource {
  getMeter(name: string): unknown
}

/** A `TracerProvider` of OpenTelemetry. */
export interface TracerSource {
  getTracer(name: string): unknown
}

/** Settings of {@link instrument}. */
export interface InstrumentOptions {
  /** @defaultValue the global one as it is now, which does nothing before an SDK has been started */
  readonly meterProvider?: MeterSource | undefined
  /** @defaultValue the global one */
  readonly tracerProvider?: TracerSource | undefined
  /**
   * For which calls to Redis and loads of caches a span is made: none, those that happen within a trace, or all of them.
   *
   * @defaultValue `'within-traces'` if a `tracerProvider` is given, else `'none'`
   */
  readonly spans?: 'none' | 'within-traces' | 'all' | undefined
  /**
   * Ports whose topology, breakers and connections are observed at each collection, by the value that their attribute
   * `client` is to have. What happens is measured for all ports of the process. @defaultValue none
   */
  readonly ports?: Ports | undefined
  /**
   * Also looks at the health of the clusters of `ports`, at most once in `maxAgeMs`; a collection waits for it for one
   * `timeoutMs` at most. @defaultValue `false`
   */
  readonly health?: boolean | HealthGaugeOptions | undefined
  /**
   * Write-behinds of which is read at each collection what waits in the partitions that this process flushes, by the name that their attribute
   * `name` is to have. @defaultValue none
   */
  readonly writeBehinds?: WriteBehinds | undefined
  /** Tells nodes apart. @defaultValue `true` */
  readonly perNode?: boolean | undefined
}

/** Measures until it is closed. */
export interface Instrumented extends Disposable {
  /** Stops listening and observing. Idempotent. */
  close(): void
}

const NAME = 'slotwise'

/**
 * Tells OpenTelemetry what this process does with slotwise: metrics, all named in docs/observability.md, and spans where
 * they are asked for. Attributes are bounded whatever the program does, and none holds a key, an id, a tenant or a value.
 *
 * Call it after the SDK has been started, or give it the providers. Calling it twice measures everything twice.
 *
 * @throws ConfigurationError for a wrong option
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { instrument } from 'slotwise/otel'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const instrumented = instrument({ ports: { main: redis }, spans: 'within-traces' })
 * process.once('exit', () => instrumented.close())
 * ```
 */
export function instrument(options: InstrumentOptions = {}): Instrumented {
  const { ports = {}, writeBehinds = {}, health = false, perNode = true } = options
  const spans = oneOf(
    'spans',
    options.spans ?? (options.tracerProvider === undefined ? 'none' : 'within-traces'),
    ['none', 'within-traces', 'all'],
  )
  const meters = (options.meterProvider as MeterProvider | undefined) ?? metrics.getMeterProvider()
  const stops = [meter(meters.getMeter(NAME), { ports, writeBehinds, health, perNode })]
  if (spans !== 'none') {
    const tracers = (options.tracerProvider as TracerProvider | undefined) ?? trace.getTracerProvider()
    const tracer = tracers.getTracer(NAME)
    stops.push(traceCalls(tracer, spans), traceLoads(tracer, spans))
  }
  const close = () => {
    for (const stop of stops.splice(0)) stop()
  }
  return { close, [Symbol.dispose]: close }
}
