/**
 * Cache-aside and write-through that never serve from Redis what was invalidated.
 *
 * @module
 */
export type { AuditFinding, AuditLook, AuditStats, CacheAudit, Explanation } from './audit/audit.js'
export type { HistoryEvent, HistoryKind } from './audit/history.js'
export type { AuditedEntry, AuditOptions } from './audit/options.js'
export type { Outcome, WindowTally } from './audit/tally.js'
export type { Because } from './audit/verdict.js'
export type { LoadMany, LoadManyContext } from './batch.js'
export { Cache } from './cache.js'
export type { CacheOptions } from './cache-options.js'
export type { Load, LoadContext } from './course.js'
export type { CacheStats, ErrorContext } from './instance.js'
export type { InvalidateOptions } from './invalidate.js'
export type { HotKey } from './local/hottest.js'
export type { LocalOptions } from './local/options.js'
export type { Mutation, MutationContext } from './mutate.js'
export type { OriginOptions } from './origin.js'
export type { BudgetBounds } from './pace.js'
export type { ReadToken } from './put.js'
export type { StandardSchema } from './schema.js'
export type { Serializer } from './serializer.js'
export { json, msgpack, superjson } from './serializer.js'
export type { CacheView } from './view.js'
export type {
  CacheAnswer,
  CacheRead,
  LoadOptions,
  MutateOptions,
  ReadOptions,
  SetOptions,
  Warmed,
  WarmOptions,
  Write,
  WriteOptions,
} from './view-options.js'
