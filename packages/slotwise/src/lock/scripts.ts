import { UnexpectedReplyError } from '../errors.js'
import type { Reply } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import acquireSource from './acquire.lua.js'
import type { Verdict } from './authority.js'
import extendSource from './extend.lua.js'
import lookSource from './look.lua.js'
import finishSource from './once/finish.lua.js'
import forgetSource from './once/forget.lua.js'
import acquirePermitsSource from './permits/acquire.lua.js'
import extendPermitsSource from './permits/extend.lua.js'
import releasePermitsSource from './permits/release.lua.js'
import resizePermitsSource from './permits/resize.lua.js'
import raiseSource from './raise.lua.js'
import ratchetSource from './ratchet.lua.js'
import releaseSource from './release.lua.js'
import renewSource from './renew.lua.js'
import settleSource from './settle.lua.js'
import showSource from './show.lua.js'

/** What one server says to a request for a lock. */
export type Granted = { readonly nowMs: number } & (
  | {
      readonly kind: 'held'
      readonly token: bigint
      readonly remainingMs: number
      /** Others know that its slot has locks. */
      readonly isTold: boolean
    }
  | { readonly kind: 'busy'; readonly remainingMs: number; readonly place: number; readonly holder: string }
  | { readonly kind: 'quarantined'; readonly remainingMs: number }
)

/** In which reign a primary is: what replication calls a history of writes, from a start or promotion on. */
export interface Heard {
  readonly reign: string
  /** When it said so, by its clock. */
  readonly atMs: number
}

/** What it says where there is nothing to be had. */
export type Answered =
  | { readonly kind: 'done'; readonly result: string }
  | { readonly kind: 'conflict'; readonly permits: number }

/** What it has to be told first. */
export type Unanswered =
  /** It may have forgotten locks by its beginning, and whoever asks has not looked since for how long they may be held. */
  | ({ readonly kind: 'unseen' } & Heard)
  /** It knows of no lock in that slot, and others have not been asked. */
  | ({ readonly kind: 'unknown' } & Heard)

export type Refused = Answered | Unanswered

/** What is to be seen at a lock. */
export type Seen =
  | { readonly kind: 'free' }
  | { readonly kind: 'held'; readonly token: bigint; readonly remainingMs: number; readonly holder: string }
  | { readonly kind: 'done'; readonly token: bigint; readonly remainingMs: number; readonly result: string }

/** Where a lock stands, as its server says. */
export interface Shown {
  /** Empty for nobody's. */
  readonly owner: string
  readonly remainingMs: number
  /** None while it is kept for the first of the line. */
  readonly token: bigint | undefined
  readonly holder: string
  readonly waiting: number
  readonly quarantineMs: number
  readonly nowMs: number
}

/** For how long the first of the line has the lock kept for it. The scripts say the same. */
export const CLAIM_MS = 1000

export const acquire = defineScript(acquireSource, { repeat: 'safe', decode: granted })
export const extend = defineScript(extendSource, { repeat: 'safe', decode: verdict })
export const release = defineScript(releaseSource, { repeat: 'safe', decode: verdict })
export const ratchet = defineScript(ratchetSource, { repeat: 'safe', decode: verdict })
export const look = defineScript(lookSource, { repeat: 'safe', decode: seen })
export const acquirePermits = defineScript(acquirePermitsSource, { repeat: 'safe', decode: granted })
export const extendPermits = defineScript(extendPermitsSource, { repeat: 'safe', decode: verdict })
export const releasePermits = defineScript(releasePermitsSource, { repeat: 'safe', decode: verdict })
export const resizePermits = defineScript(resizePermitsSource, { repeat: 'safe', decode: number })
export const finish = defineScript(finishSource, { repeat: 'safe', decode: verdict })
export const forget = defineScript(forgetSource, { repeat: 'safe', decode: number })
export const raise = defineScript(raiseSource, { repeat: 'safe', decode: number })
export const renew = defineScript(renewSource, { repeat: 'safe', decode: number })
export const settle = defineScript(settleSource, { repeat: 'safe', decode: number })
export const show = defineScript(showSource, { repeat: 'safe', decode: shown })

function granted(reply: Reply): Granted | Refused {
  if (Array.isArray(reply)) {
    const [kind, ...rest] = reply as readonly Reply[]
    if (kind === 1) {
      const [token, remainingMs, nowMs, untold] = rest
      if (typeof token === 'string' && typeof remainingMs === 'number' && typeof nowMs === 'number')
        return { kind: 'held', token: BigInt(token), remainingMs, nowMs, isTold: untold !== 1 }
    }
    if (kind === 0) {
      const [remainingMs, place, holder, nowMs] = rest
      if (typeof remainingMs === 'number' && typeof place === 'number' && typeof holder === 'string')
        return { kind: 'busy', remainingMs, place, holder, nowMs: Number(nowMs) }
    }
    if (kind === -2) {
      const [remainingMs, nowMs] = rest
      if (typeof remainingMs === 'number') return { kind: 'quarantined', remainingMs, nowMs: Number(nowMs) }
    }
    const [what, nowMs] = rest
    if (kind === 2 && typeof what === 'string') return { kind: 'done', result: what }
    if (kind === -3 && typeof what === 'number') return { kind: 'conflict', permits: what }
    if (kind === -4 && typeof what === 'string') return { kind: 'unseen', reign: what, atMs: Number(nowMs) }
    if (kind === -5 && typeof what === 'string') return { kind: 'unknown', reign: what, atMs: Number(nowMs) }
  }
  throw new UnexpectedReplyError('a request for a lock was answered with something else')
}

function seen(reply: Reply): Seen {
  if (Array.isArray(reply)) {
    const [kind, token, remainingMs, text] = reply as readonly Reply[]
    if (kind === 0) return { kind: 'free' }
    if (typeof token === 'string' && typeof remainingMs === 'number' && typeof text === 'string') {
      if (kind === 1) return { kind: 'held', token: BigInt(token), remainingMs, holder: text }
      if (kind === 2) return { kind: 'done', token: BigInt(token), remainingMs, result: text }
    }
  }
  throw new UnexpectedReplyError('a look at a lock was answered with something else')
}

function verdict(reply: Reply): Verdict {
  if (reply === 1) return 'done'
  if (reply === 0) return 'over'
  if (reply === -1) return 'not-ours'
  throw new UnexpectedReplyError('a lock was answered with something else than 1, 0 or -1')
}

function number(reply: Reply): number {
  if (typeof reply === 'number') return reply
  throw new UnexpectedReplyError('what is known of locks was answered with something else than a number')
}

function shown(reply: Reply): Shown {
  if (Array.isArray(reply)) {
    const [owner, remainingMs, token, holder, ...numbers] = reply as readonly Reply[]
    const [waiting, quarantineMs, nowMs] = numbers.map(Number)
    if (typeof owner === 'string' && typeof token === 'string' && typeof holder === 'string')
      return {
        owner,
        remainingMs: Number(remainingMs),
        token: token === '' ? undefined : BigInt(token),
        holder,
        waiting: waiting ?? 0,
        quarantineMs: quarantineMs ?? 0,
        nowMs: nowMs ?? 0,
      }
  }
  throw new UnexpectedReplyError('where a lock stands was answered with something else')
}
