/**
 * Invalidation without a cache: tags whose change costs one command, whatever number of things bears them; what changes in
 * Redis, from the servers themselves; what Postgres commits, by an outbox; and the keys by which CDNs are purged.
 *
 * @module
 */

export type { PostgresClient, PostgresPool } from '../postgres.js'
export type { Cdn } from './cdn/limits.js'
export { type Purge, type PurgeOptions, purging } from './cdn/purge.js'
export {
  type SurrogateHeader,
  surrogateHeader,
  surrogateKeys,
  type TagChange,
  type Tagged,
} from './cdn/surrogate.js'
export {
  type Invalidation,
  type InvalidationCursor,
  type InvalidationHandler,
  type InvalidationSubscription,
  Invalidator,
  type InvalidatorOptions,
  type SubscribeOptions,
} from './log/invalidator.js'
export type { OutboxEvent } from './outbox/event.js'
export type { OutboxErrorContext, OutboxHandling, OutboxOptions } from './outbox/options.js'
export { type Outbox, type OutboxLag, outbox } from './outbox/outbox.js'
export type { OutboxPlace } from './outbox/place.js'
export { installOutbox, type OutboxSqlOptions, outboxSql } from './outbox/schema.js'
export { type Concerned, unwatchSql, watchSql } from './outbox/watch.js'
export { removePrefix } from './prefix.js'
export type { ChangeOptions } from './tags/tag-store.js'
export {
  type TagMutateOptions,
  type TagSnapshot,
  TagVersions,
  type TagVersionsOptions,
  type TagView,
} from './tags/tag-versions.js'
export {
  type ChangeHandler,
  type Tracking,
  type TrackOptions,
  trackChanges,
} from './tracking/track-changes.js'
