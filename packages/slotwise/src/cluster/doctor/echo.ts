import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError } from '../../errors.js'
import type { RedisPort } from '../../redis/port.js'
import { slotOf } from '../../slots.js'
import { type Found, found } from './finding.js'
import { ownKey } from './own-key.js'
import type { Probe, ProbeBounds } from './probes.js'

/** What is published in the moment in which a slot moves may be missed, and is no fault: it is published again. */
const AGAIN_MS = 200

/**
 * Subscribes to a sharded channel of our own whose slot the primary owns, publishes on it and hears it, on the ways that
 * every subscription and every call go.
 */
export const echo: Probe = async (port, bounds) => {
  const { primary, owners, deadlineAt, signal } = bounds
  const channel = ownKey(port, 'echo', (slot) => owners[slot] === primary.id)
  if (channel === undefined) return []
  const where = `${primary.name} (slot ${slotOf(channel)})`
  const message = randomUUID()
  const heard = new AbortController()
  const within = () => ({ deadlineMs: Math.max(1, Math.floor(deadlineAt - performance.now())), signal })
  let step = 'subscribe'
  try {
    const listener = {
      message: (payload: Buffer) => {
        if (payload.toString() === message) heard.abort()
      },
    }
    const subscription = await port.subscribe(channel, listener, within())
    try {
      step = 'publish'
      let publishes = 0
      // What is left at the end is no time to be heard in.
      while (!heard.signal.aborted && (publishes === 0 || deadlineAt - performance.now() > AGAIN_MS / 10)) {
        await port.call({ key: channel, command: ['SPUBLISH', channel, message], repeat: 'safe' }, within())
        publishes++
        const waitMs = Math.max(0, Math.min(AGAIN_MS, deadlineAt - performance.now()))
        await sleep(waitMs, undefined, { signal: heard.signal, ref: false }).catch(() => undefined)
        signal?.throwIfAborted()
      }
      return heard.signal.aborted
        ? []
        : [
            found(
              'channel-failed',
              primary.name,
              `hear at ${where}: published ${publishes} times and not heard`,
            ),
          ]
    } finally {
      void subscription.close().catch(() => undefined)
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof ClosedError) throw error
    const why = error instanceof Error ? error.message : String(error)
    if (/\bNOPERM\b/.test(why)) return [await denied(port, bounds, `${step} at ${where}: ${why}`)]
    return [found('channel-failed', primary.name, `${step} at ${where}: ${why}`)]
  }
}

async function denied(port: RedisPort, { primary, signal }: ProbeBounds, evidence: string): Promise<Found> {
  const user = await port
    .onNode(primary.id, ['ACL', 'WHOAMI'], { deadlineMs: 200, signal })
    .catch(() => undefined)
  return found('channel-denied', primary.name, evidence, { user: typeof user === 'string' ? user : 'USER' })
}
