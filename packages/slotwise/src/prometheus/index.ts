/**
 * Metrics for Prometheus, through prom-client 15: calls, patterns, topology, and the health of clusters.
 *
 * @module
 */
export type { HealthGaugeOptions, Ports, WriteBehindSource, WriteBehinds } from '../gauges.js'
export type { Collecting, CollectOptions, Register } from './collect.js'
export { collect } from './collect.js'
