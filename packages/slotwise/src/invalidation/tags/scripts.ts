import { UnexpectedReplyError } from '../../errors.js'
import { randomTag } from '../../random.js'
import type { Reply } from '../../redis/port.js'
import { defineScript } from '../../redis/script.js'
import intendSource from './intend.lua.js'
import lookSource from './look.lua.js'
import settleSource from './settle.lua.js'

/** What a tag's change is known by: 8 bytes, or `undefined` while one is under way. */
export type Version = Buffer | undefined

const LENGTH = 8

/** Not repeated as it is: executed late, after a change, it would give the tag the version once more that was changed. */
export const look = defineScript(lookSource, { repeat: 'unsafe', decode: versionOf })
export const intend = defineScript(intendSource, { repeat: 'safe', decode: done })
export const settle = defineScript(settleSource, { repeat: 'safe', decode: done })

/** Of 2^64: that the same tag is given one of them twice need not be reckoned with. */
export function newVersion(): Buffer {
  return randomTag(LENGTH)
}

export function versionOf(reply: Reply): Version {
  if (reply === null) return undefined
  if (Buffer.isBuffer(reply) && reply.length === LENGTH) return reply
  throw new UnexpectedReplyError('a tag was answered with something else than a version')
}

function done(reply: Reply): void {
  if (reply !== 1) throw new UnexpectedReplyError('a change of a tag was answered with something else than 1')
}
