import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClosedError } from '../../errors.js'
import type { Argument, Reply } from '../../redis/port.js'
import { slotOf } from '../../slots.js'
import { type Found, found } from './finding.js'
import { ownKey } from './own-key.js'
import type { Probe } from './probes.js'

/** Long enough for the probe, and the end of the key whatever becomes of us. */
const KEPT_MS = 60_000
const EXPIRES_MS = 20

/**
 * Writes a key of our own into a slot of the primary, reads it, and sees it expire, on the way that every call goes.
 * Nothing is left: the key is removed, and if that fails it ends by itself within a minute.
 */
export const canary: Probe = async (port, { primary, owners, deadlineAt, signal }) => {
  const key = ownKey(port, 'canary', (slot) => owners[slot] === primary.id)
  if (key === undefined) return []
  const value = randomUUID()
  let step = 'write'
  const call = (...command: readonly [string, ...Argument[]]): Promise<Reply> =>
    port.call(
      { key, command, repeat: 'safe' },
      { deadlineMs: Math.max(1, deadlineAt - performance.now()), signal },
    )
  const failed = (why: string): Found[] => [
    found('canary-failed', primary.name, `${step} at ${primary.name} (slot ${slotOf(key)}): ${why}`),
  ]
  try {
    await call('SET', key, value, 'PX', KEPT_MS)
    step = 'read'
    if ((await call('GET', key)) !== value) return failed('something else came back than was written')
    step = 'expire'
    await call('PEXPIRE', key, EXPIRES_MS)
    do await sleep(EXPIRES_MS, undefined, { ref: false })
    while ((await call('EXISTS', key)) === 1 && performance.now() < deadlineAt)
    return (await call('EXISTS', key)) === 0 ? [] : failed(`it is still there after ${EXPIRES_MS} ms`)
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof ClosedError) throw error
    return failed(error instanceof Error ? error.message : String(error))
  } finally {
    // What cannot be removed now ends by itself.
    await port
      .call({ key, command: ['DEL', key], repeat: 'safe' }, { deadlineMs: 200 })
      .catch(() => undefined)
  }
}
