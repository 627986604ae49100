import { randomBytes } from 'node:crypto'
import { ReplyError, UnhealthyClusterError } from '../errors.js'
import type { Member } from './observe.js'
import type { NodeView } from './view.js'

const NAME = 'slotwise-moves-slots'

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
export async function alone(views: readonly NodeView[], memberOf: (view: NodeView) => Member): Promise<void> {
  const [first] = views.toSorted((a, b) => (a.self.id < b.self.id ? -1 : 1))
  if (first === undefined) return
  const { client } = memberOf(first)
  const own = `${NAME}-${randomBytes(8).toString('hex')}`
  const replies = await client.pipeline([['MULTI'], ['CLIENT', 'SETNAME', own], ['CLIENT', 'LIST'], ['EXEC']])
  const refusal = replies.find((reply) => reply instanceof ReplyError)
  if (refusal !== undefined) {
    if (/NOPERM/.test(replies.map(String).join(' '))) return
    throw refusal
  }
  const [, list] = replies[3] as readonly unknown[]
  const other = String(list)
    .split('\n')
    .find((line) => line.includes(` name=${NAME}-`) && !line.includes(` name=${own} `))
  if (other === undefined) return
  await client.call(['CLIENT', 'SETNAME', ''])
  const [, from = 'elsewhere'] = /\baddr=(\S+)/.exec(other) ?? []
  const [, age = '?'] = /\bage=(\d+)/.exec(other) ?? []
  throw new UnhealthyClusterError(
    `somebody else is moving slots, connected to ${client.node} from ${from} for ${age} s: run it again when they are done`,
  )
}
