/**
 * Invalidation without a cache: tags whose change costs one command, whatever number of things bears them.
 *
 * @module
 */
export type { ChangeOptions } from './tags/tag-store.js'
export {
  type TagMutateOptions,
  type TagSnapshot,
  TagVersions,
  type TagVersionsOptions,
  type TagView,
} from './tags/tag-versions.js'
