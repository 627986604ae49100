/**
 * Invalidation without a cache: tags whose change costs one command, whatever number of things bears them; and what changes
 * in Redis, from the servers themselves.
 *
 * @module
 */
export {
  type Invalidation,
  type InvalidationCursor,
  type InvalidationHandler,
  type InvalidationSubscription,
  Invalidator,
  type InvalidatorOptions,
  type SubscribeOptions,
} from './log/invalidator.js'
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
