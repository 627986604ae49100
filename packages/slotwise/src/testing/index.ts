/**
 * Every pattern without a server: a Redis in memory behind the port, with a clock to turn and faults to cause.
 *
 * @module
 */
export type { Clock } from './clock.js'
export { TestClock } from './clock.js'
export type { ScriptContext, Twin, Value } from './lua/index.js'
export { Table } from './lua/index.js'
export type { MemoryPort } from './memory-port.js'
export type { FaultTarget, MemoryRedisOptions } from './memory-redis.js'
export { MemoryRedis, memoryPort } from './memory-redis.js'
export { scriptTwin } from './script-twin.js'
