import { UnexpectedReplyError } from '../../errors.js'
import { randomTag } from '../../random.js'
import type { Reply } from '../../redis/port.js'
import { defineScript } from '../../redis/script.js'
import clockSource from './clock.lua.js'
import expireSource from './expire.lua.js'
import seenSource from './seen.lua.js'
import softenSource from './soften.lua.js'
import stampSource from './stamp.lua.js'

/** What a tag is to something that was made before. */
export interface SeenTag {
  readonly isCurrent: boolean
  /** How much longer what bears that version may be served while the next is made. */
  readonly leftMs: number
  /** Since the tag changed in any way; `undefined` where nothing is known of a change. */
  readonly changedMs: number | undefined
}

/** What a tag is to something that is about to be stored. */
export interface StampedTag {
  readonly version: string
  /** Since everything that bore it ended. */
  readonly endedMs: number | undefined
  readonly changedMs: number | undefined
  /** The version that it had when what is stored was begun, or an older one. */
  readonly former: string
  /** Which change was the last; empty for none. */
  readonly change: string
}

export const clock = defineScript(clockSource, { repeat: 'safe', decode: now })
export const seen = defineScript(seenSource, { repeat: 'safe', decode: seenTag })
/** Not repeated as they are: one that comes late would give a version again that has ended meanwhile. */
export const stamp = defineScript(stampSource, { repeat: 'unsafe', decode: stampedTag })
export const expire = defineScript(expireSource, { repeat: 'safe', decode: done })
export const soften = defineScript(softenSource, { repeat: 'unsafe', decode: done })

/** 64 random bits: no version, and no name of a change, is given twice. */
export function newName(): string {
  return randomTag(8).toString('base64url')
}

const ageOf = (ms: number): number | undefined => (ms < 0 ? undefined : ms)

function now(reply: Reply): number {
  const [ms] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  if (typeof ms === 'number') return ms
  throw new UnexpectedReplyError('a server was asked for the time and answered with something else')
}

function seenTag(reply: Reply): SeenTag {
  const [current, leftMs, changedMs] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  if (typeof leftMs === 'number' && typeof changedMs === 'number') {
    return { isCurrent: current === 1, leftMs, changedMs: ageOf(changedMs) }
  }
  throw new UnexpectedReplyError('a look at a tag was answered with something else')
}

function stampedTag(reply: Reply): StampedTag {
  const [version, endedMs, changedMs, former, change] = Array.isArray(reply)
    ? (reply as readonly Reply[])
    : []
  if (
    typeof version === 'string' &&
    typeof endedMs === 'number' &&
    typeof changedMs === 'number' &&
    typeof former === 'string' &&
    typeof change === 'string'
  ) {
    return { version, endedMs: ageOf(endedMs), changedMs: ageOf(changedMs), former, change }
  }
  throw new UnexpectedReplyError('a request for the version of a tag was answered with something else')
}

function done(reply: Reply): void {
  if (reply !== 1) throw new UnexpectedReplyError('a change of a tag was answered with something else than 1')
}
