import { UnexpectedReplyError } from '../errors.js'
import type { Reply } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import acquireSource from './acquire.lua.js'
import extendSource from './extend.lua.js'
import releaseSource from './release.lua.js'

/** What a request for the lock is told. */
export interface Grant {
  readonly held: boolean
  readonly token: bigint
  readonly remainingMs: number
}

/** How long a token outlives its lock: clocks of servers must not differ by more, or tokens could repeat. */
export const RETAIN_MS = 60_000

export const acquire = defineScript(acquireSource, { repeat: 'safe', decode: grant })
export const extend = defineScript(extendSource, { repeat: 'safe', decode: verdict })
export const release = defineScript(releaseSource, { repeat: 'safe', decode: verdict })

function grant(reply: Reply): Grant {
  if (Array.isArray(reply)) {
    const [held, token, remainingMs] = reply as readonly Reply[]
    if ((held === 0 || held === 1) && typeof token === 'string' && typeof remainingMs === 'number') {
      return { held: held === 1, token: BigInt(token), remainingMs }
    }
  }
  throw new UnexpectedReplyError('a request for a lock was answered with something else')
}

function verdict(reply: Reply): 'done' | 'over' | 'not-ours' {
  if (reply === 1) return 'done'
  if (reply === 0) return 'over'
  if (reply === -1) return 'not-ours'
  throw new UnexpectedReplyError('a lock was answered with something else than 1, 0 or -1')
}
