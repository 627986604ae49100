import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { ReplyError, UnhealthyClusterError } from '../errors.js'
import type { WireClient } from '../redis/wire.js'
import type { Fleet } from './fleet.js'
import type { NodeView } from './view.js'

const NAME = 'slotwise-moves-slots'
/** A server learns that a process was killed a moment after that. */
const PATIENCE_MS = 250

/**
 * Makes sure that nobody else moves slots by this package. Two who move the same slots to different nodes tell each
 * of them that the other has it, and in the end nobody does.
 *
 * The sign is the name of a connection to one node, the same for all who see the same nodes: it is there as long as
 * the connection is, and goes with its process, however that ends. Setting it and looking for others is one step.
 * Who may not name and list connections moves without it, and other tools do not see it.
 *
 * @throws UnhealthyClusterError somebody else does, or one who did has lost the network and the server does not know yet
 */
export async function alone(fleet: Fleet, views: readonly NodeView[]): Promise<void> {
  const [first] = views.toSorted((a, b) => (a.self.id < b.self.id ? -1 : 1))
  if (first === undefined) return
  const { client } = fleet.memberOf(first)
  const own = `${NAME}-${randomBytes(8).toString('hex')}`
  const leave = () => client.call(['CLIENT', 'SETNAME', ''])
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const other = await otherThan(own, client)
    if (other === undefined) return fleet.beforeLeaving(leave)
    await leave()
    if (performance.now() > deadline) {
      const [, from = 'elsewhere'] = /\baddr=(\S+)/.exec(other) ?? []
      const [, age = '?'] = /\bage=(\d+)/.exec(other) ?? []
      throw new UnhealthyClusterError(
        `somebody else is moving slots, connected to ${client.node} from ${from} for ${age} s: run it again when they are done`,
      )
    }
    await pause(20)
  }
}

/** Puts up the sign, and says who else has. */
async function otherThan(own: string, client: WireClient): Promise<string | undefined> {
  const replies = await client.pipeline([['MULTI'], ['CLIENT', 'SETNAME', own], ['CLIENT', 'LIST'], ['EXEC']])
  const refusal = replies.find((reply) => reply instanceof ReplyError)
  if (refusal !== undefined) {
    if (/NOPERM/.test(replies.map(String).join(' '))) return undefined
    throw refusal
  }
  const [, list] = replies[3] as readonly unknown[]
  return String(list)
    .split('\n')
    .find((line) => line.includes(` name=${NAME}-`) && !line.includes(` name=${own} `))
}
