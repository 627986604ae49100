import type { OpenLevels } from './subject.js'

/** Whom to measure. Each is imported in its own process only. */
export const SUBJECTS = {
  slotwise: async () => (await import('./slotwise.js')).open,
  'slotwise, copied': async () => (await import('./slotwise.js')).openCopied,
  'bentocache 1.6.1': async () => (await import('../cache/peers/levels/bentocache.js')).open,
  'bentocache 1.6.1, serialize: false': async () =>
    (await import('../cache/peers/levels/bentocache.js')).openShared,
  'cacheable 2.5.0': async () => (await import('../cache/peers/levels/cacheable.js')).open,
  'cacheable 2.5.0, handlers added': async () =>
    (await import('../cache/peers/levels/cacheable.js')).openHandled,
  'cache-manager 7.2.9': async () => (await import('../cache/peers/levels/cache-manager.js')).open,
  'async-cache-dedupe 3.4.0': async () => (await import('../cache/peers/levels/async-cache-dedupe.js')).open,
  'layered-loader 14.2.2': async () => (await import('../cache/peers/levels/layered-loader.js')).open,
} as const satisfies Record<string, () => Promise<OpenLevels>>

export type Name = keyof typeof SUBJECTS

export const OURS: Name = 'slotwise'
export const COPIED: Name = 'slotwise, copied'
export const BENTO: Name = 'bentocache 1.6.1'
export const BENTO_SHARED: Name = 'bentocache 1.6.1, serialize: false'

export const isName = (name: unknown): name is Name => typeof name === 'string' && name in SUBJECTS

/** Who has tags, or references, or groups. */
export const TAGGED: readonly Name[] = [
  BENTO,
  'cacheable 2.5.0',
  'async-cache-dedupe 3.4.0',
  'layered-loader 14.2.2',
  OURS,
]

/** Who has a level in the process before Redis. */
export const LEVELLED: readonly Name[] = [
  BENTO,
  'cacheable 2.5.0',
  'cacheable 2.5.0, handlers added',
  'cache-manager 7.2.9',
  'layered-loader 14.2.2',
  OURS,
]
