/**
 * Metrics and spans through the OpenTelemetry API, with the names of its semantic conventions where they fit.
 *
 * @module
 */
export type { HealthGaugeOptions, Ports, WriteBehindSource, WriteBehinds } from '../gauges.js'
export type { Instrumented, InstrumentOptions, MeterSource, TracerSource } from './instrument.js'
export { instrument } from './instrument.js'
