import type { Reply } from './port.js'

/**
 * From here on a client library may have lost digits. ioredis and node-redis read an integer digit by digit as
 * `value * 10 + byte - 48`, and what they have before they subtract is not exact beyond 2^53.
 */
const INEXACT_FROM = 2 ** 53 - 48

/** Why an answer cannot be passed on as it is; client libraries also put errors of their own making into arrays. */
export function flawOf(reply: unknown): string | undefined {
  if (typeof reply === 'number') {
    return Math.abs(reply) < INEXACT_FROM
      ? undefined
      : 'an integer of about 2^53 or more, which the client library may have rounded; let a script answer with it as text'
  }
  if (Array.isArray(reply)) {
    for (const item of reply) {
      const flaw = flawOf(item)
      if (flaw !== undefined) return flaw
    }
    return undefined
  }
  return reply instanceof Error ? `an array that holds an error: ${reply.message}` : undefined
}

/** Libraries differ in whether a status such as `OK` counts as text where bytes are asked for. */
export function inBytes(reply: Reply): Reply {
  if (typeof reply === 'string') return Buffer.from(reply)
  return isArray(reply) ? reply.map(inBytes) : reply
}

const isArray = (reply: Reply): reply is readonly Reply[] => Array.isArray(reply)
