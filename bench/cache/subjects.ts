import type { Open } from './subject.js'

/** Whom to measure. Each is imported in its own process only, so that what it does to a process, it does to its own. */
export const SUBJECTS = {
  slotwise: async () => (await import('./slotwise.js')).open,
  'slotwise, staleMs and earlyRefresh': async () => (await import('./slotwise.js')).openStale,
  'ioredis GET + JSON.parse': async () => (await import('./plain.js')).open,
  'the same, autopipelining': async () => (await import('./plain.js')).openPipelining,
  'bentocache 1.6.1': async () => (await import('./peers/bentocache.js')).open,
  'cacheable 2.5.0': async () => (await import('./peers/cacheable.js')).open,
  'cache-manager 7.2.9': async () => (await import('./peers/cache-manager.js')).open,
  'async-cache-dedupe 3.4.0': async () => (await import('./peers/async-cache-dedupe.js')).open,
  'cachified 5.6.3': async () => (await import('./peers/cachified.js')).open,
  'layered-loader 14.2.2': async () => (await import('./peers/layered-loader.js')).open,
} as const satisfies Record<string, () => Promise<Open>>

export type Name = keyof typeof SUBJECTS

export const OURS: Name = 'slotwise'
export const OURS_STALE: Name = 'slotwise, staleMs and earlyRefresh'
export const PLAIN: Name = 'ioredis GET + JSON.parse'
export const PIPELINING: Name = 'the same, autopipelining'

export const isName = (name: unknown): name is Name => typeof name === 'string' && name in SUBJECTS

/** The libraries that do what ours does. */
export const PEERS: readonly Name[] = Object.keys(SUBJECTS)
  .filter(isName)
  .filter((name) => /\d$/.test(name))
