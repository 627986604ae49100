import { OutcomeUnknownError } from '../errors.js'
import { addressOf } from '../redis/address.js'
import type { RedisPort } from '../redis/port.js'

/**
 * Which failover made the server of a slot the primary, as sentinels count them: they may choose one again that never heard that it
 * was replaced, and nothing else tells. Should a server be told the epoch of its successor, as the leader of a failover lists both for
 * a second, it gives no locks, which would not count; when it is chosen again, the epoch is greater still.
 * 0 in a cluster: every promotion begins a reign there, and epochs grow with each slot that a node imports.
 */
export function epochOf(port: RedisPort, slot: number): number {
  const topology = port.topology()
  return topology.isBySentinels === true ? (topology.ownerOf(slot)?.epoch ?? 0) : 0
}

/**
 * Refuses what was given to a request that names this epoch, if another is known by now: the port may have sent it again, or to a
 * server that was replaced and chosen again since.
 *
 * @throws OutcomeUnknownError it was given, and does not count
 */
export function checkEpoch(port: RedisPort, slot: number, epoch: number): void {
  if (epochOf(port, slot) <= epoch) return
  const owner = port.topology().ownerOf(slot)
  throw new OutcomeUnknownError('it answered, but sentinels have chosen a primary anew meanwhile', {
    node: owner === undefined ? '' : addressOf(owner),
  })
}
