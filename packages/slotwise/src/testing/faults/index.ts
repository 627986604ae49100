/**
 * What networks do to connections, for tests: proxies that delay, hold, lose, refuse and reset.
 *
 * @module
 */
export type { Endpoint } from '../../redis/link.js'
export type { LoseRepliesOptions, ProxyStats } from './fault-proxy.js'
export { FaultProxy } from './fault-proxy.js'
export type { Direction } from './flow.js'
export type { ProxiedNodes } from './proxied.js'
export { proxied } from './proxied.js'
