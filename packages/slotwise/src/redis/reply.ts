import type { Reply } from './port.js'

/**
 * Why an answer cannot be passed on as it is. Client libraries read integers as doubles, so a larger one has lost
 * digits by now, and they put errors of their own making into arrays.
 */
export function flawOf(reply: unknown): string | undefined {
  if (typeof reply === 'number') {
    return Number.isSafeInteger(reply)
      ? undefined
      : 'an integer beyond 2^53, which the client library rounds; let a script answer with it as text'
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
