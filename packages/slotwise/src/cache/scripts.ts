import { UnexpectedReplyError } from '../errors.js'
import { randomTag } from '../random.js'
import type { Reply } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import acquireSource from './acquire.lua.js'
import fillSource from './fill.lua.js'
import intendSource from './intend.lua.js'
import invalidateSource from './invalidate.lua.js'
import observeSource from './observe.lua.js'
import releaseSource from './release.lua.js'
import settleSource from './settle.lua.js'
import storeSource from './store.lua.js'

/** What a reader that missed is told. */
export type Turn =
  /** Somebody has stored meanwhile. */
  | { readonly state: 'stored'; readonly bytes: Buffer }
  /** Load, and store with the token. */
  | { readonly state: 'granted' }
  /** Another load holds the lease for so long at most. */
  | { readonly state: 'held'; readonly remainingMs: number }
  /** A write is under way: load, and store nothing. */
  | { readonly state: 'writing' }

/**
 * Never repeated when its outcome is unknown. Were a lease granted once more to a token whose first lease an
 * invalidation has removed, the load under that token could store what it read before the invalidation.
 */
export const acquire = defineScript(acquireSource, { repeat: 'unsafe', decode: turn })
export const fill = defineScript(fillSource, { repeat: 'safe', decode: yes })
export const release = defineScript(releaseSource, { repeat: 'safe', decode: yes })
/** Like {@link acquire}: an intent is only relied on by whoever saw it granted. */
export const intend = defineScript(intendSource, { repeat: 'unsafe', decode: yes })
export const settle = defineScript(settleSource, { repeat: 'safe', decode: yes })
export const invalidate = defineScript(invalidateSource, { repeat: 'safe', decode: yes })
/** A mark that was left unheard is in nobody's way. */
/** Not repeated as it is: executed late, it would leave the mark once more that something has taken away. */
export const observe = defineScript(observeSource, { repeat: 'unsafe', decode: observation })
/** Not repeated: what it stored may have been replaced in between by something newer, and would come back. */
export const store = defineScript(storeSource, { repeat: 'unsafe', decode: yes })

/** 128 random bits: no load and no write ever has the token of another. */
export function newToken(): string {
  return randomTag(16).toString('base64url')
}

function turn(reply: Reply): Turn {
  if (Array.isArray(reply)) {
    const [state, detail] = reply as readonly Reply[]
    if (state === 0 && Buffer.isBuffer(detail)) return { state: 'stored', bytes: detail }
    if (state === 1) return { state: 'granted' }
    if (state === 2 && typeof detail === 'number') return { state: 'held', remainingMs: detail }
    if (state === 3) return { state: 'writing' }
  }
  throw new UnexpectedReplyError('a request to load an entry was answered with something else')
}

/** What somebody is told who looks without loading. */
export type Observation =
  | { readonly state: 'found'; readonly bytes: Buffer; readonly leftMs: number }
  | { readonly state: 'nothing'; readonly mark: Buffer }
  | { readonly state: 'writing' }

function observation(reply: Reply): Observation {
  if (Array.isArray(reply)) {
    const [state, detail, leftMs] = reply as readonly Reply[]
    if (state === 0 && Buffer.isBuffer(detail))
      return { state: 'found', bytes: detail, leftMs: Number(leftMs) }
    if (state === 1 && Buffer.isBuffer(detail)) return { state: 'nothing', mark: detail }
    if (state === 2) return { state: 'writing' }
  }
  throw new UnexpectedReplyError('a look at an entry was answered with something else')
}

function yes(reply: Reply): boolean {
  if (reply === 0 || reply === 1) return reply === 1
  throw new UnexpectedReplyError('a cache script answered with something else than 0 or 1')
}
