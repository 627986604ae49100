/**
 * Writes to a database later, many at a time, without losing what was accepted when a process dies.
 *
 * @module
 */
export type { PostgresClient, PostgresPool } from '../postgres.js'
export type { DeadLetter } from './dead-letters.js'
export type { Durability } from './durability.js'
export type { Line, Position } from './journal.js'
export type { LoadContext, OnFull, WriteBehindOptions } from './options.js'
export type { BatchSize } from './pace.js'
export {
  type PostgresWriterOptions,
  postgresWriter,
  writeBehindSql,
} from './postgres.js'
export type { Accepted, Counted, Lag } from './results.js'
export type { Row, RowId } from './rows.js'
export type { WriteBehindStats } from './stats.js'
export { type DrainOptions, type ReadManyOptions, WriteBehind } from './write-behind.js'
export type { BatchContext, Claim, WriteBatch, Writer } from './writer.js'
